"""Documents -> chunks with their vectors -> store: what is new or has changed, and nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from council.config import RetrievalConfig
from council.errors import ConfigError
from council.retrieval.curation import DUPLICATE, POOR, Curator
from council.retrieval.documents import Document, Skipped, read_documents
from council.retrieval.embedder import CachedEmbedder, Embedder
from council.retrieval.readers.pages import first_pages
from council.retrieval.said import Said
from council.retrieval.sparse import SparseEmbedder, SparseVector
from council.retrieval.splitting import split
from council.retrieval.store import Chunk, Store, StoredDocument
from council.types import Frozen

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the chunks that are done and the chunks there are."""

WRITE: Final = 512
"""Chunks in one write. A preset's library fits into one, so that it is there whole or not at all."""


class IndexReport(Frozen):
    """What indexing did, or under a dry run would do. `chunks`: of all documents that were read; `new`: those that the store
    did not have; `changed`: files of which it had other documents; `removed`: chunks that went, with their documents or with
    their files; `skipped`: (path or path:line, reason)."""

    documents: int
    chunks: int
    new: int
    unchanged: int = 0
    """Documents that were there already, and were not embedded again."""
    changed: tuple[str, ...] = ()
    removed: int = 0
    pruned: tuple[str, ...] = ()
    """Files that were gone from the paths, and so from the store."""
    duplicates: int = 0
    """Of the new chunks, those held back since another document says the same."""
    poor: int = 0
    """And those held back for their quality."""
    skipped: tuple[Skipped, ...] = ()


@dataclass
class _Plan:
    """What there is to do for one tenant: chunks to write, and by file the marks that are to stay."""

    chunks: list[Chunk] = field(default_factory=list)
    keep: dict[str, set[str]] = field(default_factory=dict)
    unchanged: int = 0
    seen: int = 0
    changed: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)

    def replaced(self, known: Sequence[StoredDocument]) -> set[str]:
        """The marks of stored documents that this plan leaves nothing of, or writes again."""
        written = {c.mark for c in self.chunks}
        gone = {d.mark for d in known if d.file in self.pruned or (d.file in self.keep and d.mark not in self.keep[d.file])}
        return written | gone


class Index:
    """Cuts, embeds and stores documents. A file is what changes: its documents replace those it had before."""

    def __init__(
        self, config: RetrievalConfig, store: Store, embedder: Embedder, sparse: SparseEmbedder, said: Said | None = None,
        cached: CachedEmbedder | None = None,
    ) -> None:  # fmt: skip
        self._config, self._store, self._said = config, store, said
        self._embedder, self._sparse = embedder, sparse
        self._cached = cached or CachedEmbedder(embedder)
        self._writing = threading.Lock()

    def add(
        self,
        paths: Sequence[str | os.PathLike[str]],
        tenant: str = "default",
        domain: str | None = None,
        progress: Progress | None = None,
        prune: bool = False,
        dry_run: bool = False,
        under: str | os.PathLike[str] | None = None,
    ) -> IndexReport:
        """Index files and folders; `domain` is that of documents that name none, and `under` a folder within which their paths
        are what they are known by.

        Documents that are there whole and unchanged are left alone, so that a run that was broken off goes on where it
        ended. `prune` removes files that the store has from under `paths` and that are gone; `dry_run` changes nothing.
        Raises ConfigError when chunk_tokens is more than the embedder reads, and StoreError; earlier writes then remain.
        """
        limit = self._embedder.max_tokens
        if self._config.chunk_tokens > limit:
            raise ConfigError(
                f"retrieval.chunk_tokens: {self._config.chunk_tokens} is more than the {limit} tokens that {self._embedder.model!r} reads"
            )
        reading = read_documents(paths, under)
        with self._writing:  # what is planned holds until it is done
            known = self._store.documents(tenant)
            plan = self._plan(reading.documents, known, tenant, domain, _gone(paths, known) if prune else [])
            plan.chunks = self._recognised(plan.chunks, tenant)
            plan.chunks = Curator(self._config.curation, self._store, tenant, plan.replaced(known)).curate(plan.chunks)
            removed = sum(d.chunks for d in known if d.file in plan.pruned or (d.file in plan.keep and d.mark not in plan.keep[d.file]))
            new = len(plan.chunks)
            if not dry_run:
                new = sum(self._write(some, at, len(plan.chunks), progress) for at, some in _batches(plan.chunks))
                removed = self._clear(tenant, plan, known)
        return IndexReport(
            documents=len(reading.documents), chunks=plan.seen + len(plan.chunks), new=new, unchanged=plan.unchanged,
            changed=tuple(plan.changed), removed=removed, pruned=tuple(plan.pruned), skipped=reading.skipped,
            duplicates=sum(c.held.startswith(DUPLICATE) for c in plan.chunks), poor=sum(c.held.startswith(POOR) for c in plan.chunks),
        )  # fmt: skip

    def _plan(
        self, documents: Sequence[Document], known: Sequence[StoredDocument], tenant: str, domain: str | None, pruned: list[str]
    ) -> _Plan:
        plan, there = _Plan(pruned=pruned), {(d.file, d.mark): d for d in known}
        files = {d.file for d in known}
        originals = files - set(pruned)
        for document in documents:
            mark = self._mark(document, domain)
            stored = there.get((document.file, mark))
            kept = plan.keep.setdefault(document.file, set())
            if mark in kept:
                continue  # the file says it twice
            kept.add(mark)
            if stored is not None and stored.whole and all(h.removeprefix(DUPLICATE) in originals for h in stored.held if DUPLICATE in h):
                plan.unchanged, plan.seen = plan.unchanged + 1, plan.seen + stored.chunks
                continue
            plan.chunks += self._cut(document, tenant, domain, mark)
            if document.file in files and document.file not in plan.changed:
                plan.changed.append(document.file)
        return plan

    def _recognised(self, chunks: list[Chunk], tenant: str) -> list[Chunk]:
        """The chunks, those which the council said itself marked so, whatever their document says."""
        if self._said is None or not chunks:
            return chunks
        own = self._said.recognise(tenant, [searched_text(c.title, c.text) for c in chunks])
        return [_by_council(c) if mine else c for c, mine in zip(chunks, own, strict=True)]

    def _clear(self, tenant: str, plan: _Plan, known: Sequence[StoredDocument]) -> int:
        """Remove what the files of the plan no longer hold, now that what they hold is there."""
        stale = {d.file: plan.keep[d.file] for d in known if d.file in plan.keep and d.mark not in plan.keep[d.file]}
        return self._drop(tenant, stale) + self.remove(plan.pruned, tenant)

    def remove(self, files: Sequence[str], tenant: str) -> int:
        """Remove files, and what is left of their text and vectors on the disk; returns how many chunks these were."""
        removed = self._drop(tenant, dict.fromkeys(files, ()))
        if removed:
            self._store.purge()
        return removed

    def _drop(self, tenant: str, files: Mapping[str, Collection[str]]) -> int:
        """Remove files from the store, but for documents with these marks, and the vectors of what they held from the cache."""
        before = self._texts(tenant, files)
        removed = sum(self._store.remove(tenant, file, keep) for file, keep in files.items())
        self._cached.forget(sorted(before - self._texts(tenant, files)))
        return removed

    def _texts(self, tenant: str, files: Iterable[str]) -> set[str]:
        return {searched_text(p.title, p.text) for file in files for p in self._store.passages(tenant, file)}

    def _mark(self, document: Document, domain: str | None) -> str:
        """What a document is, and how it is cut: where this is the same, there is nothing to do."""
        cut = [self._config.chunk_tokens, self._config.overlap_tokens, self._embedder.model]
        content = [document.title, document.text, document.domain or domain, document.markdown, document.provenance.model_dump_json(), cut]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]

    def _cut(self, document: Document, tenant: str, domain: str | None, mark: str) -> list[Chunk]:
        pieces = split(
            document.text,
            document.title,
            self._config.chunk_tokens,
            self._config.overlap_tokens,
            self._embedder.token_count,
            document.markdown,
        )
        origin = document.provenance
        origins = [origin] * len(pieces)
        if document.pages:
            pages = first_pages(document.text, document.pages, [piece.text for piece in pieces])
            origins = [origin.model_copy(update={"details": {**origin.details, "page": page}}) for page in pages]
        return [
            Chunk(
                id=chunk_id(tenant, document.file, mark, part), title=piece.title, text=piece.text, domain=document.domain or domain,
                tenant=tenant, provenance=origin, file=document.file, mark=mark, part=part, parts=len(pieces),
            )
            for part, (piece, origin) in enumerate(zip(pieces, origins, strict=True))
        ]  # fmt: skip

    def _write(self, chunks: Sequence[Chunk], before: int, total: int, progress: Progress | None) -> int:
        size = self._embedder.batch_size
        dense = np.zeros((len(chunks), self._embedder.dimension), np.float32)
        sparse = [SparseVector((), ())] * len(chunks)
        found = [place for place, chunk in enumerate(chunks) if not chunk.held]
        texts = {place: searched_text(chunks[place].title, chunks[place].text) for place in found}
        for start in range(0, len(found), size):
            some = found[start : start + size]
            dense[some] = self._cached.embed([texts[place] for place in some])
            if progress is not None:
                progress(before + min(start + size, len(found)), total)
        for place in found:
            sparse[place] = self._sparse.embed_document(texts[place])
        if progress is not None and len(found) < len(chunks):
            progress(before + len(chunks), total)
        return self._store.upsert(chunks, dense, sparse)


def _batches(chunks: Sequence[Chunk]) -> Iterator[tuple[int, Sequence[Chunk]]]:
    for start in range(0, len(chunks), WRITE):
        yield start, chunks[start : start + WRITE]


def _gone(paths: Sequence[str | os.PathLike[str]], known: Sequence[StoredDocument]) -> list[str]:
    """Files of the store under these paths that are on the disk no more; one that is there but can't be read is not gone."""
    under = [Path(os.path.abspath(path)) for path in paths]
    files = sorted({d.file for d in known if d.file})
    return [f for f in files if not os.path.lexists(f) and any(Path(f).is_relative_to(path) for path in under)]


def _by_council(chunk: Chunk) -> Chunk:
    return chunk.model_copy(update={"provenance": chunk.provenance.model_copy(update={"origin": "council"})})


def searched_text(title: str, text: str) -> str:
    """What both vectors of a chunk are made from."""
    return f"{title}\n{text}" if title else text


def chunk_id(tenant: str, file: str, mark: str, part: int) -> str:
    """A UUID that is the hash of where a chunk is: of a tenant's file, a document, and a part of it."""
    content = json.dumps([tenant, file, mark, part], ensure_ascii=False).encode()
    return str(uuid.UUID(bytes=hashlib.sha256(content).digest()[:16]))
