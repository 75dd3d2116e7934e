"""What retrieval is measured on: passages in a store, and questions with the passages that answer them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from council.config import RetrievalConfig, load_config
from council.retrieval.embedder import Embedder
from council.retrieval.index import Index, chunk_id, searched_text
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.store import Chunk, Store
from council.types import Provenance
from tests.bench.facts import PARTS, Fact, Maker
from tests.bench.reading import POCKET

WRITE: Final = 512
QUESTIONS: Final = 300
"""About made-up facts."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Asked:
    """A question, and the ids of the documents or passages that answer it, as Provenance.details has them."""

    text: str
    passages: frozenset[str]
    domain: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """Passages as they are, or documents to be cut into them."""

    name: str
    config: RetrievalConfig
    asked: tuple[Asked, ...]
    documents: Path | None = None
    chunks: tuple[Chunk, ...] = ()

    def fill(self, store: Store, embedder: Embedder, progress: Progress) -> None:
        """Write the whole corpus into a store."""
        sparse = SparseEmbedder(self.config.chunk_tokens)
        if self.documents is not None:
            Index(self.config, store, embedder, sparse).add([self.documents], progress=progress)
        for start in range(0, len(self.chunks), WRITE):
            some = self.chunks[start : start + WRITE]
            texts = [searched_text(c.title, c.text) for c in some]
            store.upsert(some, embedder.embed(texts), [sparse.embed_document(text) for text in texts])
            progress(start + len(some), len(self.chunks))


def pocket() -> Corpus:
    """The pocket preset's library, and its questions that one document answers."""
    rows = [json.loads(line) for line in (POCKET / "questions.jsonl").read_text("utf-8").splitlines()]
    asked = [
        Asked(r["question"], frozenset(r["documents"]), r["domain"], (r["answer"], *r["aliases"])) for r in rows if r["documents"]
    ]  # fmt: skip
    return Corpus("pocket", load_config("pocket").retrieval, tuple(asked), POCKET / "library")


def domain_qa(folder: Path, work: Path) -> Corpus:
    """The questions and passages of FOLDER/README.md; `work` is a folder for the passages as documents."""
    work.mkdir(parents=True)
    with (work / "passages.jsonl").open("w", encoding="utf-8") as out:
        for row in _rows(folder / "passages.jsonl.gz"):
            out.write(json.dumps({key: row[key] for key in ("id", "domain", "text")}) + "\n")
    asked = [
        Asked(r["question"], frozenset(r["passages"]), r["domain"], tuple(r["answers"]) if r["kind"] == "span" else ())
        for r in _rows(folder / "questions.jsonl.gz")
    ]
    return Corpus("domain_qa", RetrievalConfig(), tuple(asked), work)


def generated(chunks: int) -> Corpus:
    """So many made-up facts, to the next lower whole number of names, and questions about some."""
    maker = Maker(max(1, chunks // (10 * PARTS)))
    facts = maker.make()
    asked = [Asked(f.question, frozenset({f.id}), f.domain, (f.answer,)) for f in maker.ask(facts, QUESTIONS)]
    return Corpus("generated", RetrievalConfig(), tuple(asked), chunks=tuple(map(_chunk, facts)))


def _chunk(fact: Fact) -> Chunk:
    return Chunk(
        id=chunk_id("default", fact.thing, fact.thing, fact.part), title=fact.title, text=fact.text, domain=fact.domain, file=fact.thing,
        mark=fact.thing, part=fact.part, parts=PARTS, provenance=Provenance(date=fact.date, details={"id": fact.id}),
    )  # fmt: skip


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
