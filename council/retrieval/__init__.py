"""Documents in, passages out: readers, curation, embedder, stores, search; and what is kept beside the passages."""

from council.retrieval.embedder import Embedder
from council.retrieval.examples import ExampleBook, read_examples
from council.retrieval.export import ExportReport, export_corpus
from council.retrieval.index import IndexReport
from council.retrieval.opening import migrate_store
from council.retrieval.retriever import Retriever
from council.retrieval.search import Found
from council.retrieval.store import FORMAT, Store, StoredDocument

__all__ = [
    "FORMAT",
    "Embedder",
    "ExampleBook",
    "ExportReport",
    "Found",
    "IndexReport",
    "Retriever",
    "Store",
    "StoredDocument",
    "export_corpus",
    "migrate_store",
    "read_examples",
]
