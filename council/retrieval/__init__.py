"""Documents in, passages out: embedder, store, index, hybrid search."""

from council.retrieval.embedder import Embedder
from council.retrieval.index import IndexReport
from council.retrieval.retriever import Retriever
from council.retrieval.store import FORMAT, Store, StoredDocument

__all__ = ["FORMAT", "Embedder", "IndexReport", "Retriever", "Store", "StoredDocument"]
