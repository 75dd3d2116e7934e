"""Passages on a Qdrant server: shared by many processes and machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval.server_client import PATIENCE, Patience, ServerClient, connect
from council.retrieval.server_collections import ServerCollection, to_filter
from council.retrieval.sparse import SparseVector
from council.retrieval.store import (
    DENSE,
    SPARSE,
    Chunk,
    Nearness,
    Stored,
    StoredDocument,
    VectorQuery,
    VectorSpace,
    check_shapes,
    is_blank,
    scope,
    to_chunk,
    to_documents,
    to_passages,
    to_payload,
    to_vector,
)
from council.types import Origin, Passage

T = TypeVar("T")

PAGE: Final = 1024
"""Points that are read at once."""
BATCH: Final = 256
"""Points in one write: some megabytes, of the 32 that a server takes."""
OVERSAMPLING: Final = 2.0
"""Of quantized vectors, so many times the limit are compared again by their whole ones."""


class ServerStore:
    """The collection behind the alias `config.collection`, made at the first write; from any thread.

    It is written at `config.url` and read there, or at `config.read_url` if there is one. Writes are tried again as `patience`
    says, and reads are not: somebody waits for them.
    """

    def __init__(self, config: StoreConfig, space: VectorSpace, patience: Patience = PATIENCE) -> None:
        self._space = space
        self._quantized = config.quantization != "none"
        self._writer, self._reader = connect(config, patience)
        self._written = ServerCollection(self._writer, config, space, patient=True)
        self._collection = ServerCollection(self._reader, config, space)
        try:
            self._collection.find()
        except StoreError:
            self.close()
            raise

    def upsert(self, chunks: Sequence[Chunk], dense: NDArray[np.float32], sparse: Sequence[SparseVector]) -> int:
        """See Store. What is written in batches before one fails stays; the error says how much that is."""
        self._writer.check_writable()
        check_shapes(chunks, dense, sparse, self._space.dimension)
        if not chunks:
            return 0
        name, new = self._written.ensure(), 0
        for start in range(0, len(chunks), BATCH):
            some = slice(start, start + BATCH)
            try:
                new += write(self._writer, name, chunks[some], dense[some], sparse[some])
            except StoreError as exc:
                raise StoreError(f"{exc}; {start} of {len(chunks)} passages were written, and running it again goes on") from exc
        return new

    def nearest(
        self, queries: Sequence[VectorQuery], limit: int, tenant: str, domain: str | None = None, without: Collection[Origin] = ()
    ) -> list[list[Nearness]]:
        """See Store. All queries travel in one request."""
        seen = to_filter(scope(tenant, domain), spared=without, key="origin")
        requests = [self._request(query, seen, limit) for query in queries if not is_blank(query)]
        found = self._read(lambda client, name: client.query_batch_points(name, requests)) if requests else None
        if found is None:
            return [[] for _ in queries]
        answers = iter(found)
        return [[] if is_blank(q) else [(str(p.id), p.score) for p in next(answers).points] for q in queries]

    def _request(self, query: VectorQuery, seen: models.Filter, limit: int) -> models.QueryRequest:
        if isinstance(query, SparseVector):
            return models.QueryRequest(query=_sparse(query), using=SPARSE, filter=seen, limit=limit)
        rescored = models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING)
        params = models.SearchParams(quantization=rescored) if self._quantized else None
        return models.QueryRequest(query=query.tolist(), using=DENSE, filter=seen, limit=limit, params=params)

    def fetch(self, ids: Sequence[str], tenant: str) -> dict[str, Stored]:
        """See Store."""
        points = self._scroll(scope(tenant), True, ids) if ids else []
        return {str(p.id): Stored(to_chunk(str(p.id), p.payload), to_vector(p.vector)) for p in points}

    def documents(self, tenant: str) -> list[StoredDocument]:
        """See Store."""
        keys = ["file", "mark", "part", "parts", "held", "title", "domain", "provenance"]
        return to_documents(p.payload for p in self._scroll(scope(tenant), keys))

    def chunks(self, tenant: str) -> Iterator[Chunk]:
        """See Store."""
        return (to_chunk(str(p.id), p.payload) for p in self._scroll(scope(tenant), True))

    def passages(self, tenant: str, file: str) -> list[Passage]:
        """See Store."""
        return to_passages(to_chunk(str(p.id), p.payload) for p in self._scroll(scope(tenant, file=file), True))

    def remove(self, tenant: str, file: str, keep: Collection[str] = ()) -> int:
        """See Store."""
        self._writer.check_writable()
        gone = to_filter(scope(tenant, file=file), spared=keep)
        name = self._written.find(anew=True)
        if name is None:
            return 0
        count = self._writer.call(lambda client: client.count(name, count_filter=gone, exact=True), patient=True).count
        if count:
            chosen = models.FilterSelector(filter=gone)
            self._writer.call(lambda client: client.delete(name, chosen, wait=True), patient=True)
        return count

    def purge(self) -> None:
        """A server's optimizer sees to it in its own time."""

    def count(self, tenant: str | None = None) -> int:
        """See Store."""
        seen = to_filter(scope(tenant)) if tenant is not None else None
        found = self._read(lambda client, name: client.count(name, count_filter=seen, exact=True))
        return found.count if found is not None else 0

    def close(self) -> None:
        """See Store."""
        self._reader.close()
        self._writer.close()

    def _read(self, work: Callable[[QdrantClient, str], T]) -> T | None:
        """What `work` finds in the collection; None where there is none yet."""
        name = self._collection.find()
        return self._reader.call(lambda client: work(client, name)) if name is not None else None

    def _scroll(self, wanted: Mapping[str, str], payload: bool | list[str], ids: Sequence[str] = ()) -> list[models.Record]:
        """All of `wanted`; with `ids` those alone, and their dense vectors."""
        name = self._collection.find()
        if name is None:
            return []
        pages = scroll(self._reader, name, to_filter(wanted, ids), payload, [DENSE] if ids else False)
        return [point for page in pages for point in page]


def scroll(
    client: ServerClient, name: str, seen: models.Filter | None, payload: bool | list[str] = True, vectors: bool | list[str] = False,
    page: int = PAGE, patient: bool = False,
) -> Iterator[list[models.Record]]:  # fmt: skip
    """What the filter lets through, or with None all, in pages."""
    offset: Any = None
    while True:
        points, offset = client.call(
            lambda c, o=offset: c.scroll(  # type: ignore[misc]
                name, seen, limit=page, offset=o, with_payload=payload, with_vectors=vectors
            ),
            patient,
        )
        yield points
        if offset is None:
            return


def write(
    client: ServerClient, name: str, chunks: Sequence[Chunk], dense: NDArray[np.float32], sparse: Sequence[SparseVector]
) -> int:  # fmt: skip
    """One batch, durably; returns how many were new."""
    ids: list[Any] = list(dict.fromkeys(chunk.id for chunk in chunks))
    points = [_point(*row) for row in zip(chunks, dense, sparse, strict=True)]
    known = client.call(lambda c: c.retrieve(name, ids, with_payload=False, with_vectors=False), patient=True)
    client.call(lambda c: c.upsert(name, points, wait=True), patient=True)
    return len(ids) - len(known)


def _point(chunk: Chunk, dense: NDArray[np.float32], sparse: SparseVector) -> models.PointStruct:
    vector: dict[str, Any] = {DENSE: dense.tolist(), SPARSE: _sparse(sparse)} if not chunk.held else {}
    return models.PointStruct(id=chunk.id, vector=vector, payload=to_payload(chunk))


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))
