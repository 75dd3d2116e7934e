"""Passages in Qdrant Edge: Qdrant's engine inside this process, in a folder of its own.

FOLDER/council.lock   held by the one process that has the store open; its text is that process's id
FOLDER/current/       store.json (which model the vectors are of) and shard/ (Qdrant Edge's files)
FOLDER/building/      a store that is being made; renamed to current/ when it is whole
FOLDER/old/           the store that one being made will replace; put back if that did not come to its end

Beside these, others keep what belongs to the store (BESIDE).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from council.errors import StoreError, StoreInUse
from council.retrieval.fault import one_line
from council.retrieval.sparse import SparseVector
from council.retrieval.store import (
    DENSE,
    FILTERED,
    FORMAT,
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

LOCK: Final = "council.lock"
CURRENT: Final = "current"
BUILDING: Final = "building"
OLD: Final = "old"
BESIDE: Final = ("examples", "said.sqlite", "vectors.sqlite")
"""What others keep in the same folder."""
PAGE: Final = 1024
"""Points that are read at once."""
MIB: Final = 1 << 20
OPEN_RESERVE: Final = 16 * MIB
"""Free space that opening asks for. Edge writes through memory maps, so a full disk would kill the process (SIGBUS)
instead of raising an error."""
WRITE_RESERVE: Final = 64 * MIB
"""Free space that must be left over by a write: a segment of Edge's log is 32 MiB."""


class EdgeStore:
    """A store in `path`, made when the folder is new or empty; for one process at a time, from any of its threads."""

    def __init__(self, path: Path, space: VectorSpace) -> None:
        self._path = path.expanduser().absolute()
        self._calls = threading.RLock()
        self._shard: edge.EdgeShard | None = None
        self._lock = _lock_folder(self._path)
        try:
            shutil.rmtree(self._path / BUILDING, ignore_errors=True)
            if (self._path / OLD).exists() and not (self._path / CURRENT).exists():
                (self._path / OLD).rename(self._path / CURRENT)
            shutil.rmtree(self._path / OLD, ignore_errors=True)
            if not (self._path / CURRENT).exists():
                self._create(space)
            self._dimension = self._load(space)
        except BaseException:
            self._unlock()
            raise

    def _create(self, space: VectorSpace) -> None:
        self._need_space(WRITE_RESERVE)
        try:
            self._build(space.model, space.dimension, [])
            (self._path / BUILDING).rename(self._path / CURRENT)
        except Exception as exc:
            shutil.rmtree(self._path / BUILDING, ignore_errors=True)
            raise StoreError(f"no store can be made in {self._path}: {one_line(exc)}; set retrieval.store.path") from exc

    def _build(self, model: str, dimension: int, pages: Iterable[list[edge.Point]]) -> None:
        """A whole store in building/, with these points."""
        building = self._path / BUILDING
        config = edge.EdgeConfig(
            vectors={DENSE: edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Cosine)},
            sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        )
        building.mkdir()
        about = {"format": FORMAT, "model": model, "dimension": dimension}
        (building / "store.json").write_text(json.dumps(about), "utf-8")
        shard = edge.EdgeShard.create(str(building / "shard"), config)
        for key in FILTERED:
            schema = edge.KeywordIndexParams(is_tenant=key == "tenant")
            shard.update(edge.UpdateOperation.create_field_index(key, schema))
        for points in pages:
            shard.update(edge.UpdateOperation.upsert_points(points))
        shard.flush()
        shard.close()

    def _load(self, space: VectorSpace) -> int:
        """Open the shard; returns its dimension."""
        self._need_space(OPEN_RESERVE)
        current = self._path / CURRENT
        advice = "give another retrieval.store.path, or remove that folder and index again"
        try:
            about = json.loads((current / "store.json").read_text("utf-8"))
            version, model, dimension = about["format"], str(about["model"]), int(about["dimension"])
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise StoreError(f"the store in {self._path} can't be read: {one_line(exc)}; {advice}") from exc
        if version != FORMAT:
            raise StoreError(f"the store in {self._path} has the format {version!r}, not {FORMAT}; {advice}")
        if model != space.model:
            raise StoreError(f"the store in {self._path} holds vectors of {model!r}, not of {space.model!r}; {advice}")
        try:
            self._shard = edge.EdgeShard.load(str(current / "shard"))
        except Exception as exc:
            raise StoreError(f"the store in {self._path} can't be opened: {one_line(exc)}; {advice}") from exc
        return dimension

    def upsert(self, chunks: Sequence[Chunk], dense: NDArray[np.float32], sparse: Sequence[SparseVector]) -> int:
        """See Store. Refused before anything is written when the disk has too little room."""
        check_shapes(chunks, dense, sparse, self._dimension)
        if not chunks:
            return 0
        points = [_point(*row) for row in zip(chunks, dense, sparse, strict=True)]
        ids = list(dict.fromkeys(chunk.id for chunk in chunks))
        size = dense.nbytes + sum(4 * (len(c.text) + len(c.title)) + 1024 for c in chunks)
        size += sum(8 * len(vector.indices) for vector in sparse)

        def write(shard: edge.EdgeShard) -> int:
            # All of it goes to the log and to a segment, which also indexes it.
            self._need_space(WRITE_RESERVE + 4 * size)
            known = shard.retrieve(list(ids), False, False)
            shard.update(edge.UpdateOperation.upsert_points(points))
            shard.flush()
            return len(ids) - len(known)

        return self._call("written", write)

    def nearest(
        self, queries: Sequence[VectorQuery], limit: int, tenant: str, domain: str | None = None, without: Collection[Origin] = ()
    ) -> list[list[Nearness]]:
        """See Store."""
        seen = _filter(scope(tenant, domain), spared=without, key="origin")

        def search(shard: edge.EdgeShard, query: VectorQuery) -> list[Nearness]:
            if isinstance(query, SparseVector):
                near = edge.Query.Nearest(_sparse(query), using=SPARSE)
            else:
                near = edge.Query.Nearest(query.tolist(), using=DENSE)
            points = shard.query(edge.QueryRequest(limit=limit, query=near, filter=seen)) if not is_blank(query) else []
            return [(str(p.id), p.score) for p in points]

        return self._call("searched", lambda shard: [search(shard, query) for query in queries])

    def fetch(self, ids: Sequence[str], tenant: str) -> dict[str, Stored]:
        """See Store."""
        wanted = _filter(scope(tenant), ids)
        pages = self._call("read", lambda shard: list(_scroll(shard, wanted, True, True))) if ids else []
        return {str(p.id): Stored(to_chunk(str(p.id), p.payload), to_vector(p.vector)) for page in pages for p in page}

    def documents(self, tenant: str) -> list[StoredDocument]:
        """See Store."""
        keys = edge.PayloadSelector.Include(["file", "mark", "part", "parts", "held", "title", "domain", "provenance"])
        seen = _filter(scope(tenant))
        return to_documents(p.payload for page in self._call("read", lambda s: list(_scroll(s, seen, keys))) for p in page)

    def chunks(self, tenant: str) -> Iterator[Chunk]:
        """See Store."""
        pages = self._call("read", lambda shard: list(_scroll(shard, _filter(scope(tenant)), True)))
        return (to_chunk(str(p.id), p.payload) for page in pages for p in page)

    def passages(self, tenant: str, file: str) -> list[Passage]:
        """See Store."""
        pages = self._call("read", lambda shard: list(_scroll(shard, _filter(scope(tenant, file=file)), True)))
        return to_passages(to_chunk(str(p.id), p.payload) for page in pages for p in page)

    def remove(self, tenant: str, file: str, keep: Collection[str] = ()) -> int:
        """See Store."""
        gone = _filter(scope(tenant, file=file), spared=keep)

        def delete(shard: edge.EdgeShard) -> int:
            count = shard.count(edge.CountRequest(filter=gone))
            if count:
                self._need_space(WRITE_RESERVE)
                shard.update(edge.UpdateOperation.delete_points_by_filter(gone))
                shard.flush()
            return count

        return self._call("written", delete)

    def purge(self) -> None:
        """Edge marks points as removed, and leaves their text in its files and its log: so the others are copied to files of
        their own, which take the place of those."""
        current = self._path / CURRENT

        def copy(shard: edge.EdgeShard) -> None:
            about = json.loads((current / "store.json").read_text("utf-8"))
            size = sum(f.stat().st_size for f in (current / "shard").rglob("*") if f.is_file())
            self._need_space(WRITE_RESERVE + size)
            pages = ([_copy(point) for point in page] for page in _scroll(shard, None, True, True))
            shutil.rmtree(self._path / BUILDING, ignore_errors=True)
            self._build(about["model"], about["dimension"], pages)
            shard.close()
            current.rename(self._path / OLD)
            (self._path / BUILDING).rename(current)
            self._shard = edge.EdgeShard.load(str(current / "shard"))
            shutil.rmtree(self._path / OLD)

        self._call("written", copy)

    def count(self, tenant: str | None = None) -> int:
        """See Store."""
        seen = _filter(scope(tenant)) if tenant is not None else None
        return self._call("read", lambda shard: shard.count(edge.CountRequest(filter=seen)))

    def close(self) -> None:
        """Flush, and let another process in."""
        with self._calls:
            shard, self._shard = self._shard, None
            if shard is None:
                return
            try:
                shard.flush()
                shard.close()
            except Exception as exc:
                raise StoreError(f"the store in {self._path} can't be closed: {one_line(exc)}") from exc
            finally:
                self._unlock()

    def _call(self, done: str, work: Callable[[edge.EdgeShard], T]) -> T:
        with self._calls:
            if self._shard is None:
                raise StoreError(f"the store in {self._path} is closed: open it again")
            try:
                return work(self._shard)
            except StoreError:
                raise
            except Exception as exc:
                raise StoreError(f"the store in {self._path} can't be {done}: {one_line(exc)}") from exc

    def _need_space(self, needed: int) -> None:
        try:
            free = shutil.disk_usage(self._path).free
        except OSError as exc:
            raise StoreError(f"the folder {self._path} can't be read: {one_line(exc)}") from exc
        if free < needed:
            raise StoreError(
                f"no space left for the store in {self._path}: {free // MIB} MiB are free and {-(-needed // MIB)} MiB "
                "are needed; make room, or set retrieval.store.path to a folder on another disk"
            )

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _lock_folder(path: Path) -> int:
    """Make the folder if need be and take its lock; returns the descriptor that holds it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        strange = sorted(p.name for p in path.iterdir() if p.name not in (LOCK, CURRENT, BUILDING, OLD) and not p.name.startswith(BESIDE))
        if strange and not (path / CURRENT).is_dir():
            raise StoreError(f"{path} holds other files ({strange[0]!r}) and no store: set retrieval.store.path to a folder of its own")
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise StoreError(
            f"the store's folder {path} can't be used: {exc.strerror or exc}; set retrieval.store.path to a folder that you may write to"
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except BlockingIOError as exc:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "not known"
        os.close(lock)
        raise StoreInUse(
            f"the store in {path} is in use by the process {holder}: stop it, ask it instead of opening the store "
            "twice, or use a Qdrant server (retrieval.store.kind: server)"
        ) from exc
    except OSError as exc:
        os.close(lock)
        raise StoreError(f"the store's folder {path} can't be locked: {exc.strerror or exc}") from exc
    return lock


def _filter(wanted: Mapping[str, str], ids: Sequence[str] = (), spared: Collection[str] = (), key: str = "mark") -> edge.Filter:
    """All of `wanted`, which `scope` made; of these the `ids`, where there are any; but for those whose `key` is one of `spared`."""
    must: list[Any] = [edge.FieldCondition(k, match=edge.MatchValue(v)) for k, v in wanted.items()]
    must += [edge.HasIdCondition(set(ids))] if ids else []
    return edge.Filter(must=must, must_not=[edge.FieldCondition(key, match=edge.MatchAny(list(spared)))] if spared else None)


def _scroll(shard: edge.EdgeShard, seen: edge.Filter | None, payload: Any, vectors: bool = False) -> Iterator[list[edge.Record]]:
    offset: Any = None
    while True:
        points, offset = shard.scroll(edge.ScrollRequest(offset=offset, limit=PAGE, filter=seen, with_payload=payload, with_vector=vectors))
        yield points
        if offset is None:
            return


def _copy(point: edge.Record) -> edge.Point:
    return edge.Point(id=point.id, vector=point.vector or {}, payload=point.payload)


def _point(chunk: Chunk, dense: NDArray[np.float32], sparse: SparseVector) -> edge.Point:
    vector: dict[str, Any] = {DENSE: dense.tolist(), SPARSE: _sparse(sparse)} if not chunk.held else {}
    return edge.Point(id=chunk.id, vector=vector, payload=to_payload(chunk))


def _sparse(vector: SparseVector) -> edge.SparseVector:
    return edge.SparseVector(indices=list(vector.indices), values=list(vector.values))
