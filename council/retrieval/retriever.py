"""Question -> passages: the package's front."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from council.config import RetrievalConfig
from council.errors import DocumentError
from council.retrieval.embedder import CachedEmbedder, Embedder
from council.retrieval.examples import ExampleBook
from council.retrieval.index import Index, IndexReport, Progress
from council.retrieval.opening import Shelf
from council.retrieval.rerank import Reranker
from council.retrieval.said import Said
from council.retrieval.search import Found, Searcher
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.store import Chunk, StoredDocument
from council.types import Example, Passage, Question


class Retriever:
    """An open store with its embedder; use it from any thread, and close it.

    `preset_store` is the folder for an embedded store whose config has no path of its own; if that store is empty, it
    is filled from `config.library` at once. The embedding model is loaded when it is first needed: to make a store, to
    index, or for the first question. `embedder` may be shared; the retriever makes one when none is given.
    """

    def __init__(
        self,
        config: RetrievalConfig,
        preset_store: Path | None = None,
        progress: Progress | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self._config = config
        self.embedder = embedder or Embedder(config.embedder)
        self._sparse = SparseEmbedder(config.chunk_tokens)
        self._shelf = Shelf(config.store, preset_store, self.embedder)
        self._opening, self._open = threading.Lock(), ExitStack()
        self._book: ExampleBook | None = None
        self._store = self._shelf.store()
        self._open.callback(self._store.close)
        try:
            self._said = Said(self._shelf.said())
            self._open.callback(self._said.close)
            self._vectors = CachedEmbedder(self.embedder, self._shelf.vectors, config.embedder.cache)
            self._open.callback(self._vectors.close)
            reranker = Reranker(config.rerank) if config.rerank is not None else None
            self._searcher = Searcher(config, self._store, self.embedder, self._sparse, reranker)
            self._index = Index(config, self._store, self.embedder, self._sparse, self._said, self._vectors)
            self._fill(progress)
        except BaseException:
            self.close()
            raise

    def _fill(self, progress: Progress | None) -> None:
        library = self._config.library
        own = self._config.store.kind == "edge" and self._config.store.path is None
        if library is None or not own or self._store.count():
            return
        report = self._index.add([library], progress=progress)
        if not report.chunks:
            why = f": {report.skipped[0][0]}: {report.skipped[0][1]}" if report.skipped else ""
            raise DocumentError(f"the library {library} holds no documents{why}; set retrieval.library to a folder of some")

    def retrieve(self, question: Question, top_k: int | None = None) -> list[Passage]:
        """The best passages, best first: at most `top_k`, by default the config's. None when the store is empty.

        `Passage.score` is what fusion, or a reranker, makes of it. Of passages that say the same, only the first is given.
        """
        return list(self.search(question, top_k).passages)

    def search(self, question: Question, top_k: int | None = None, routed: str | None = None) -> Found:
        """The same, with what was left out. `routed` is the domain of the specialist whom routing prefers."""
        wanted = self._config.top_k if top_k is None else top_k
        if wanted < 1 or not question.text.strip() or not self._store.count():
            return Found()
        return self._searcher.search(question, wanted, routed)

    def load(self) -> None:
        """Load the models that questions need. Raises EmbedderError and ConfigError."""
        self.embedder.load()
        if self._searcher.reranker is not None:
            self._searcher.reranker.load()

    def examples(self, question: Question) -> list[Example]:
        """The worked examples for a question, nearest first."""
        book = self._examples(make=False) if self._config.examples else None
        return book.nearest(question, self._config.examples) if book is not None else []

    def book(self) -> ExampleBook:
        """All worked examples, to add to and to remove from."""
        book = self._examples(make=True)
        assert book is not None
        return book

    def _examples(self, make: bool) -> ExampleBook | None:
        with self._opening:
            if self._book is None:
                store = self._shelf.examples(make)
                if store is None:
                    return None
                self._open.callback(store.close)
                self._book = ExampleBook(store, self.embedder)
            return self._book

    def record(self, question: Question, answers: Sequence[str], passages: Sequence[Passage]) -> None:
        """Keep fingerprints of what the council and its members said, by which it is known when it comes back as a document."""
        others = [f"{p.title} {p.text}" for p in passages if p.provenance.origin != "council"]  # what it said before is its own still
        self._said.record(question.tenant, question.text, answers, others)

    def chunks(self, tenant: str = "default") -> Iterator[Chunk]:
        """All that a tenant has, what is held back included."""
        return self._store.chunks(tenant)

    def index(
        self,
        paths: Sequence[str | os.PathLike[str]],
        tenant: str = "default",
        domain: str | None = None,
        progress: Progress | None = None,
        prune: bool = False,
        dry_run: bool = False,
        under: str | os.PathLike[str] | None = None,
    ) -> IndexReport:
        """Add files and folders; `domain` is that of documents that name none. See Index.add."""
        return self._index.add(paths, tenant, domain, progress, prune, dry_run, under)

    def documents(self, tenant: str = "default") -> list[StoredDocument]:
        """What a tenant has, by file."""
        return self._store.documents(tenant)

    def passages(self, file: str | os.PathLike[str], tenant: str = "default") -> list[Passage]:
        """What a file holds, in order. Raises DocumentError if the tenant has none of that name."""
        return self._store.passages(tenant, self._known(file, tenant))

    def remove(self, files: Sequence[str | os.PathLike[str]], tenant: str = "default") -> int:
        """Remove files from the store, and what they held from its disk; returns how many passages these were. Raises
        DocumentError, and removes nothing, if the tenant has none of one name."""
        known = [self._known(file, tenant) for file in files]
        return self._index.remove(known, tenant)

    def _known(self, file: str | os.PathLike[str], tenant: str) -> str:
        """The name that the store has a file under: its absolute path; as it was given, where another machine indexed it."""
        names, files = [os.path.abspath(file), os.fspath(file)], {d.file for d in self._store.documents(tenant)}
        found = next((name for name in names if name in files), None)
        if found is None:
            raise DocumentError(f"the store has no document {os.fspath(file)!r} of the tenant {tenant!r}; see `council documents list`")
        return found

    def count(self, tenant: str | None = None) -> int:
        """Passages of a tenant; None: of all, which only the operator may know."""
        return self._store.count(tenant)

    def close(self) -> None:
        """Close the store and what belongs to it."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
