"""What a store of passages is: chunks with a dense and a sparse vector each, found by both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from council.errors import StoreError
from council.retrieval.sparse import SparseVector
from council.types import Frozen, Passage, Provenance

DENSE: Final = "dense"
SPARSE: Final = "sparse"
FILTERED: Final = ("tenant", "domain")
"""The payload's keys that queries filter on."""
RRF_K: Final = 2
"""Reciprocal rank fusion scores 1 / (k + rank), ranks from 0; 2 is Qdrant's own default."""
RRF_WEIGHTS: Final = (1.0, 0.99)
"""Of the dense and the sparse query. Equal ones tie whenever two passages swap ranks, and Qdrant breaks ties anew at
each call; a hair less for the sparse one makes results repeatable."""


class Chunk(Frozen):
    """A passage as it is stored. `id` is a UUID made from its content."""

    id: str
    title: str
    text: str
    domain: str | None = None
    tenant: str = "default"
    provenance: Provenance = Provenance()


class VectorSpace(Protocol):
    """What the dense vectors come from; Embedder is one."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...


class Store(Protocol):
    """Passages on a disk or a server. Every method may raise StoreError."""

    def upsert(self, chunks: Sequence[Chunk], dense: NDArray[np.float32], sparse: Sequence[SparseVector]) -> int:
        """Write the chunks, durably; those whose id is there already are replaced. Returns how many were new.

        `dense` is [len(chunks), dimension].
        """
        ...

    def query(
        self,
        dense: NDArray[np.float32],
        sparse: SparseVector,
        limit: int,
        prefetch: int,
        domain: str | None,
        tenant: str,
    ) -> list[Passage]:
        """The best `limit` passages by reciprocal rank fusion of the `prefetch` nearest of each vector, best first.

        `dense` is [dimension]. Only passages of `tenant` are seen and, unless it is None, of `domain`.
        """
        ...

    def count(self) -> int:
        """Passages of all tenants."""
        ...

    def close(self) -> None:
        """Let go of files and connections; a second call does nothing."""
        ...


def to_payload(chunk: Chunk) -> dict[str, Any]:
    """What is stored beside the vectors. The provenance is kept as text: no store has to understand its details."""
    return {
        "title": chunk.title,
        "text": chunk.text,
        "domain": chunk.domain,
        "tenant": chunk.tenant,
        "provenance": chunk.provenance.model_dump_json(),
    }


def to_passage(id: str, score: float, payload: Mapping[str, Any] | None) -> Passage:
    """A stored point as a passage; StoreError when something else wrote it."""
    payload = payload or {}
    try:
        provenance = Provenance.model_validate(json.loads(payload["provenance"]))
        return Passage(
            id=id,
            title=payload["title"],
            text=payload["text"],
            domain=payload["domain"],
            score=score,
            provenance=provenance,
        )
    except (KeyError, TypeError, ValueError, ValidationError) as exc:
        raise StoreError(f"the stored point {id} is no passage: use a store of the council's own") from exc


def check_shapes(chunks: Sequence[Chunk], dense: NDArray[np.float32], sparse: Sequence[SparseVector], dim: int) -> None:
    """StoreError unless there is one dense vector of `dim` numbers and one sparse vector for each chunk."""
    if dense.shape != (len(chunks), dim) or len(sparse) != len(chunks):
        raise StoreError(
            f"{len(chunks)} chunks came with dense vectors {dense.shape} and {len(sparse)} sparse ones; "
            f"the store wants ({len(chunks)}, {dim}) and {len(chunks)}"
        )
    if not np.isfinite(dense).all():
        raise StoreError("a dense vector holds a number that is not finite: check the embedding model")
