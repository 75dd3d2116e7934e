"""From one version of a collection on a Qdrant server to another: the same passages, with vectors of another embedder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval.index import Progress, searched_text
from council.retrieval.server_client import PATIENCE, Patience, ServerClient
from council.retrieval.server_collections import ServerCollection
from council.retrieval.server_store import BATCH, PAGE, scroll, write
from council.retrieval.sparse import SparseVector
from council.retrieval.store import Chunk, VectorSpace, check_shapes, to_chunk

ROUNDS: Final = 3
"""How often the collections are compared, where others write to the old one meanwhile."""


class Embeds(VectorSpace, Protocol):
    """What makes dense vectors; Embedder is one."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


def migrate(
    config: StoreConfig, embedder: Embeds, sparse: Callable[[str], SparseVector], progress: Progress | None = None,
    drop_old: bool = False, patience: Patience = PATIENCE,
) -> int:  # fmt: skip
    """Copy what the alias stands for into the collection of this embedder, with new vectors, and let the alias stand for that one.
    Returns how many passages were written; 0 where the alias stands for it already.

    Until all is there, everybody reads the old collection; then the alias is switched in one step. A run that was broken off goes
    on: what is there as it should be is not embedded again. No other process should write meanwhile: what comes after the last
    comparison stays behind. The old collection stays too, unless `drop_old`, which a collection that bears the alias's own name
    (of an earlier release) needs: the alias can't be made beside it. Raises StoreError.
    """
    client = ServerClient(config, patience)
    try:
        client.check_writable()
        collection = ServerCollection(client, config, embedder, patient=True)
        place = collection.locate()
        if place is None or collection.is_current(place.name, collection.inspect(place.name)):
            collection.ensure()
            return 0
        if not place.aliased and not drop_old:
            raise StoreError(
                f"the collection {place.name!r} at {client.where} is of an earlier release and bears the name that the alias needs: "
                "migrate with drop_old, or set another retrieval.store.collection and index again"
            )
        new = collection.create()
        collection.complete(new, collection.inspect(new))
        written = _Copy(client, place.name, new, embedder, sparse).run(progress)
        if not place.aliased:
            client.call(lambda c: c.delete_collection(place.name), patient=True)
        collection.point(new, instead=place.aliased)
        if place.aliased and drop_old:
            client.call(lambda c: c.delete_collection(place.name), patient=True)
        return written
    finally:
        client.close()


class _Copy:
    """The passages of the collection `old` in the collection `new`."""

    def __init__(self, client: ServerClient, old: str, new: str, embedder: Embeds, sparse: Callable[[str], SparseVector]) -> None:
        self._client, self._old, self._new = client, old, new
        self._embedder, self._sparse = embedder, sparse

    def run(self, progress: Progress | None) -> int:
        """Copy until both hold the same. Returns how many were written."""
        written = 0
        for _ in range(ROUNDS):
            written += self._add(progress)
            if self._count(self._new) > self._count(self._old):
                self._remove()
            if self._count(self._new) == self._count(self._old):
                return written
        raise StoreError(
            f"the collection {self._old!r} at {self._client.where} changes while it is migrated, and is left as it is: stop what "
            "writes to it and migrate again"
        )

    def _add(self, progress: Progress | None) -> int:
        """Copy what is missing or different."""
        done, written, total = 0, 0, self._count(self._old)
        try:
            for page in scroll(self._client, self._old, None, page=BATCH, patient=True):
                written += self._copy([to_chunk(str(p.id), p.payload) for p in page])
                done += len(page)
                if progress is not None:
                    progress(done, max(done, total))
        except StoreError as exc:
            raise StoreError(f"{exc}; {done} of {total} passages are copied, and migrating again goes on") from exc
        return written

    def _copy(self, chunks: Sequence[Chunk]) -> int:
        there = {str(p.id): to_chunk(str(p.id), p.payload) for p in self._retrieve(self._new, chunks)}
        missing = [chunk for chunk in chunks if there.get(chunk.id) != chunk]
        if missing:
            self._write(missing)
        return len(missing)

    def _write(self, chunks: Sequence[Chunk]) -> None:
        texts = {place: searched_text(c.title, c.text) for place, c in enumerate(chunks) if not c.held}
        dense = np.zeros((len(chunks), self._embedder.dimension), np.float32)
        sparse = [SparseVector((), ())] * len(chunks)
        if texts:
            made = self._embedder.embed(list(texts.values()))
            check_shapes([chunks[place] for place in texts], made, sparse[: len(texts)], self._embedder.dimension)
            dense[list(texts)] = made
        for place, text in texts.items():
            sparse[place] = self._sparse(text)
        write(self._client, self._new, chunks, dense, sparse)

    def _remove(self) -> None:
        """What an earlier run copied and was removed from the old collection since."""
        for page in scroll(self._client, self._new, None, payload=False, page=PAGE, patient=True):
            kept = {p.id for p in self._retrieve(self._old, page, payload=False)}
            gone = [p.id for p in page if p.id not in kept]
            if gone:
                self._client.call(lambda c, g=gone: c.delete(self._new, models.PointIdsList(points=g), wait=True), True)  # type: ignore[misc]

    def _retrieve(self, name: str, wanted: Sequence[Any], payload: bool = True) -> list[models.Record]:
        ids = [point.id for point in wanted]
        return self._client.call(lambda c: c.retrieve(name, ids, with_payload=payload, with_vectors=False), patient=True) if ids else []

    def _count(self, name: str) -> int:
        return self._client.call(lambda c: c.count(name, exact=True), patient=True).count
