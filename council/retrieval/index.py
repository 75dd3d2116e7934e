"""Documents -> chunks with their vectors -> store."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np

from council.config import RetrievalConfig
from council.errors import ConfigError
from council.retrieval.documents import Document, Skipped, read_documents
from council.retrieval.embedder import Embedder
from council.retrieval.readers.pages import first_pages
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.splitting import split
from council.retrieval.store import Chunk, Store
from council.types import Frozen

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the chunks that are done and the chunks there are."""

WRITE: Final = 512
"""Chunks in one write. A preset's library fits into one, so that it is there whole or not at all."""


class IndexReport(Frozen):
    """What indexing did. `new`: chunks that the store did not have. `skipped`: (path or path:line, reason)."""

    documents: int
    chunks: int
    new: int
    skipped: tuple[Skipped, ...] = ()


class Index:
    """Cuts, embeds and stores documents."""

    def __init__(self, config: RetrievalConfig, store: Store, embedder: Embedder, sparse: SparseEmbedder) -> None:
        self._config, self._store = config, store
        self._embedder, self._sparse = embedder, sparse

    def add(
        self,
        paths: Sequence[str | os.PathLike[str]],
        tenant: str = "default",
        domain: str | None = None,
        progress: Progress | None = None,
    ) -> IndexReport:
        """Index files and folders; `domain` is that of documents that name none.

        Content that is there already is written again under the same id, so its provenance is the newest. Raises
        ConfigError when chunk_tokens is more than the embedder reads, and StoreError; earlier writes then remain.
        """
        limit = self._embedder.max_tokens
        if self._config.chunk_tokens > limit:
            raise ConfigError(
                f"retrieval.chunk_tokens: {self._config.chunk_tokens} is more than the {limit} tokens that {self._embedder.model!r} reads"
            )
        reading = read_documents(paths)
        unique = {chunk.id: chunk for doc in reading.documents for chunk in self._cut(doc, tenant, domain)}
        chunks = list(unique.values())
        new = 0
        for start in range(0, len(chunks), WRITE):
            new += self._write(chunks[start : start + WRITE], start, len(chunks), progress)
        return IndexReport(documents=len(reading.documents), chunks=len(chunks), new=new, skipped=reading.skipped)

    def _cut(self, document: Document, tenant: str, domain: str | None) -> list[Chunk]:
        pieces = split(
            document.text,
            document.title,
            self._config.chunk_tokens,
            self._config.overlap_tokens,
            self._embedder.token_count,
            document.markdown,
        )
        domain = document.domain or domain
        origin = document.provenance
        origins = [origin] * len(pieces)
        if document.pages:
            pages = first_pages(document.text, document.pages, [piece.text for piece in pieces])
            origins = [origin.model_copy(update={"details": {**origin.details, "page": page}}) for page in pages]
        return [
            Chunk(
                id=chunk_id(tenant, piece.title, piece.text, domain),
                title=piece.title,
                text=piece.text,
                domain=domain,
                tenant=tenant,
                provenance=origin,
            )
            for piece, origin in zip(pieces, origins, strict=True)
        ]

    def _write(self, chunks: Sequence[Chunk], before: int, total: int, progress: Progress | None) -> int:
        texts = [searched_text(chunk.title, chunk.text) for chunk in chunks]
        size = self._embedder.batch_size
        rows = []
        for start in range(0, len(texts), size):
            rows.append(self._embedder.embed(texts[start : start + size]))
            if progress is not None:
                progress(before + min(start + size, len(texts)), total)
        return self._store.upsert(chunks, np.concatenate(rows), [self._sparse.embed_document(text) for text in texts])


def searched_text(title: str, text: str) -> str:
    """What both vectors of a chunk are made from."""
    return f"{title}\n{text}" if title else text


def chunk_id(tenant: str, title: str, text: str, domain: str | None) -> str:
    """A UUID that is the hash of what a chunk is, so that the same content has one place."""
    content = json.dumps([tenant, title, text, domain], ensure_ascii=False).encode()
    return str(uuid.UUID(bytes=hashlib.sha256(content).digest()[:16]))
