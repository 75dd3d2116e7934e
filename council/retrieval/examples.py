"""Worked examples of right and wrong answers: a store of their own, found by their questions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from council.errors import DocumentError
from council.retrieval.embedder import Embedder
from council.retrieval.index import chunk_id
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.store import Chunk, Store
from council.types import Example, Provenance, Question

FILE: Final = "examples"
"""What all of them are kept under, in place of a file."""
NEAREST: Final = 0.35
"""The cosine of two questions from which an example of the one may help with the other."""


class ExampleBook:
    """The examples of each tenant in `store`, which holds nothing else."""

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self._store, self._embedder, self._sparse = store, embedder, SparseEmbedder()

    def add(self, examples: Sequence[Example], tenant: str = "default") -> int:
        """Store examples; one with the same question and answer is replaced. Returns how many are new. Raises StoreError."""
        chunks = list({c.id: c for c in (_to_chunk(example, tenant) for example in examples)}.values())
        new, size = 0, self._embedder.batch_size
        for start in range(0, len(chunks), size):
            some = chunks[start : start + size]
            questions = [c.title for c in some]
            new += self._store.upsert(some, self._embedder.embed(questions), [self._sparse.embed_document(q) for q in questions])
        return new

    def all(self, tenant: str = "default") -> list[Example]:
        """A tenant's examples, by question."""
        return sorted((_to_example(c) for c in self._store.chunks(tenant)), key=lambda e: (e.question, e.answer))

    def remove(self, ids: Sequence[str], tenant: str = "default") -> int:
        """Remove examples, from the disk too. Raises DocumentError, and removes nothing, if one is not there."""
        there = self._store.fetch(list(ids), tenant)
        missing = [id for id in ids if id not in there]
        if missing:
            raise DocumentError(f"there is no example {missing[0]!r} of the tenant {tenant!r}; see `council examples list`")
        removed = sum(self._store.remove(tenant, s.chunk.file) for s in there.values())
        if removed:
            self._store.purge()
        return removed

    def nearest(self, question: Question, wanted: int) -> list[Example]:
        """The examples whose questions are most like this one, nearest first; none of another tenant, none below NEAREST."""
        if wanted < 1 or not self._store.count(question.tenant):
            return []
        (found,) = self._store.nearest([self._embedder.embed([question.text])[0]], wanted, question.tenant, question.domain)
        ids = [id for id, cosine in found if cosine >= NEAREST]
        stored = self._store.fetch(ids, question.tenant)
        return [_to_example(stored[id].chunk) for id in ids if id in stored]

    def close(self) -> None:
        self._store.close()


def _to_chunk(example: Example, tenant: str) -> Chunk:
    mark = json.dumps([example.question, example.answer], ensure_ascii=False)
    # Each is a file of its own, so that it can be removed alone.
    id = chunk_id(tenant, FILE, mark, 0)
    details = {"right": example.right, "why": example.why}
    return Chunk(
        id=id, title=example.question, text=example.answer, domain=example.domain, tenant=tenant, provenance=Provenance(details=details),
        file=f"{FILE}/{id}", mark=id,
    )  # fmt: skip


def _to_example(chunk: Chunk) -> Example:
    details = chunk.provenance.details
    return Example(
        id=chunk.id, question=chunk.title, answer=chunk.text, right=bool(details.get("right")), why=str(details.get("why", "")),
        domain=chunk.domain,
    )  # fmt: skip


def read_examples(paths: Iterable[Path]) -> list[Example]:
    """Examples from JSONL files: `question`, `answer`, `right`, and if wanted `why` and `domain`. Raises DocumentError, which
    names the line, if one is none: examples are few and chosen, so that none is passed over."""
    found: list[Example] = []
    for path in paths:
        try:
            lines = path.read_text("utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as exc:
            raise DocumentError(f"{path} can't be read: {exc}") from exc
        for number, line in enumerate(lines, 1):
            if line.strip():
                found.append(_read(line, f"{path}:{number}"))
    return found


def _read(line: str, where: str) -> Example:
    try:
        return Example.model_validate_json(line)
    except ValidationError as exc:
        fault = exc.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise DocumentError(f"{where}: no example: {f'{key}: ' * bool(key)}{fault['msg'].lower()}") from exc
