"""Passages on a Qdrant server: shared by many processes and machines."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval.fault import one_line
from council.retrieval.sparse import SparseVector
from council.retrieval.store import (
    DENSE,
    FILTERED,
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
from council.types import Passage

T = TypeVar("T")

TIMEOUT_S: Final = 30
PAGE: Final = 1024
"""Points that are read at once."""


class ServerStore:
    """The collection `config.collection` at `config.url`, made on first use; from any thread."""

    def __init__(self, config: StoreConfig, space: VectorSpace) -> None:
        self._space = space
        self._collection = config.collection
        self._where = _address(config.url)
        self._key_env = config.api_key_env
        self._dimension = 0
        self._making = threading.Lock()
        key = _key(config.api_key_env)
        self._client: QdrantClient | None = None
        client = self._guard(lambda: QdrantClient(url=config.url, api_key=key, timeout=TIMEOUT_S, check_compatibility=False))
        self._client = client
        try:
            if self._guard(lambda: client.collection_exists(self._collection)):
                self._dimension = self._check()
        except StoreError:
            self.close()
            raise

    def _check(self) -> int:
        """StoreError unless the collection has our vectors; returns its dimension."""
        params = self._call(lambda client: client.get_collection(self._collection)).config.params
        dense = params.vectors.get(DENSE) if isinstance(params.vectors, dict) else None
        sparse = (params.sparse_vectors or {}).get(SPARSE)
        what = f"the collection {self._collection!r} at {self._where}"
        cosine = dense is not None and dense.distance == models.Distance.COSINE
        if dense is None or not cosine or sparse is None or sparse.modifier != models.Modifier.IDF:
            raise StoreError(f"{what} is not one of the council's: set retrieval.store.collection to another name")
        if dense.size != self._space.dimension:
            raise StoreError(
                f"{what} holds vectors of {dense.size} numbers, and {self._space.model!r} makes "
                f"{self._space.dimension}: set retrieval.embedder.model to the model it was made with, or "
                "another retrieval.store.collection"
            )
        return dense.size

    def _ensure(self) -> None:
        """Make the collection unless it is there; another process may make it at the same time."""
        with self._making:
            if self._dimension:
                return
            vectors = {DENSE: models.VectorParams(size=self._space.dimension, distance=models.Distance.COSINE)}
            sparse = {SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)}
            try:
                self._call(lambda client: client.create_collection(self._collection, vectors_config=vectors, sparse_vectors_config=sparse))
            except StoreError:
                if not self._call(lambda client: client.collection_exists(self._collection)):
                    raise
            for key in FILTERED:
                schema = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=key == "tenant")
                self._call(lambda client, k=key, s=schema: client.create_payload_index(self._collection, k, s))  # type: ignore[misc]
            self._dimension = self._check()

    def upsert(self, chunks: Sequence[Chunk], dense: NDArray[np.float32], sparse: Sequence[SparseVector]) -> int:
        """See Store."""
        check_shapes(chunks, dense, sparse, self._space.dimension)
        if not chunks:
            return 0
        self._ensure()
        ids: list[Any] = list(dict.fromkeys(chunk.id for chunk in chunks))
        points = [_point(*row) for row in zip(chunks, dense, sparse, strict=True)]
        known = self._call(lambda client: client.retrieve(self._collection, ids, with_payload=False, with_vectors=False))
        self._call(lambda client: client.upsert(self._collection, points, wait=True))
        return len(ids) - len(known)

    def nearest(self, queries: Sequence[VectorQuery], limit: int, tenant: str, domain: str | None = None) -> list[list[Nearness]]:
        """See Store. All queries travel in one request."""
        asked = [q for q in queries if not is_blank(q)]
        if not asked or (not self._dimension and not self._found()):
            return [[] for _ in queries]
        seen = _filter(scope(tenant, domain))
        requests = [
            models.QueryRequest(query=_sparse(q), using=SPARSE, filter=seen, limit=limit) if isinstance(q, SparseVector)
            else models.QueryRequest(query=q.tolist(), using=DENSE, filter=seen, limit=limit)
            for q in asked
        ]  # fmt: skip
        answers = iter(self._call(lambda client: client.query_batch_points(self._collection, requests)))
        return [[] if is_blank(q) else [(str(p.id), p.score) for p in next(answers).points] for q in queries]

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
        if not self._dimension and not self._found():
            return 0
        gone = _filter(scope(tenant, file=file), spared=keep)
        count = self._call(lambda client: client.count(self._collection, count_filter=gone, exact=True)).count
        if count:
            self._call(lambda client: client.delete(self._collection, models.FilterSelector(filter=gone), wait=True))
        return count

    def purge(self) -> None:
        """A server's optimizer sees to it in its own time."""

    def _scroll(self, wanted: Mapping[str, str], payload: bool | list[str], ids: Sequence[str] = ()) -> list[models.Record]:
        """All of `wanted`; with `ids` those alone, and their dense vectors."""
        seen, vectors = _filter(wanted, ids), [DENSE] if ids else False
        if not self._dimension and not self._found():
            return []
        found: list[models.Record] = []
        offset: Any = None
        while True:
            points, offset = self._call(
                lambda client, o=offset: client.scroll(  # type: ignore[misc]
                    self._collection, seen, limit=PAGE, offset=o, with_payload=payload, with_vectors=vectors
                )
            )
            found += points
            if offset is None:
                return found

    def count(self, tenant: str | None = None) -> int:
        """See Store."""
        if not self._dimension and not self._found():
            return 0
        seen = _filter(scope(tenant)) if tenant is not None else None
        return self._call(lambda client: client.count(self._collection, count_filter=seen, exact=True)).count

    def close(self) -> None:
        """See Store."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _found(self) -> bool:
        """Whether another process has made the collection since."""
        if self._call(lambda client: client.collection_exists(self._collection)):
            self._dimension = self._check()
        return bool(self._dimension)

    def _call(self, work: Callable[[QdrantClient], T]) -> T:
        client = self._client
        if client is None:
            raise StoreError(f"the connection to {self._where} is closed: open it again")
        return self._guard(lambda: work(client))

    def _guard(self, work: Callable[[], T]) -> T:
        """Qdrant's errors as StoreError; none of them holds the key, which travels in a header."""
        try:
            return work()
        except UnexpectedResponse as exc:
            if exc.status_code in (401, 403):
                named = self._key_env is not None
                hint = f"check the variable {self._key_env}" if named else "set retrieval.store.api_key_env"
                raise StoreError(f"the Qdrant server at {self._where} refuses the key: {hint}") from exc
            raise StoreError(f"the Qdrant server at {self._where} answered {one_line(exc)}") from exc
        except ResponseHandlingException as exc:
            raise StoreError(
                f"the Qdrant server at {self._where} can't be reached: {one_line(exc)}; start it, or set retrieval.store.url"
            ) from exc
        except Exception as exc:
            raise StoreError(f"the request to the Qdrant server at {self._where} failed: {one_line(exc)}") from exc


def _key(env: str | None) -> str | None:
    """The key in the environment; refused when it could not travel in a header, since that error would show it."""
    if env is None:
        return None
    key = os.environ.get(env, "").strip()
    if not key:
        raise StoreError(f"the environment variable {env} (retrieval.store.api_key_env) holds no key: set it")
    if not (key.isascii() and key.isprintable()):
        raise StoreError(f"the environment variable {env} (retrieval.store.api_key_env) holds no usable key: set it again")
    return key


def _address(url: str) -> str:
    """The URL without a name and password in it."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as exc:
        raise StoreError("retrieval.store.url is no URL: give one like http://localhost:6333") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StoreError("retrieval.store.url is no URL: give one like http://localhost:6333")
    return f"{parts.scheme}://{parts.hostname}{port}"


def _filter(wanted: Mapping[str, str], ids: Sequence[str] = (), spared: Collection[str] = ()) -> models.Filter:
    """All of `wanted`, which `scope` made; of these the `ids`, where there are any; but for documents with the marks `spared`."""
    must: list[Any] = [models.FieldCondition(key=k, match=models.MatchValue(value=v)) for k, v in wanted.items()]
    must += [models.HasIdCondition(has_id=list(ids))] if ids else []
    others: list[Any] = [models.FieldCondition(key="mark", match=models.MatchAny(any=list(spared)))] if spared else []
    return models.Filter(must=must, must_not=others or None)


def _point(chunk: Chunk, dense: NDArray[np.float32], sparse: SparseVector) -> models.PointStruct:
    vector: dict[str, Any] = {DENSE: dense.tolist(), SPARSE: _sparse(sparse)} if not chunk.held else {}
    return models.PointStruct(id=chunk.id, vector=vector, payload=to_payload(chunk))


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))
