"""What a store of passages is: chunks with a dense and a sparse vector each, found by both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from council.errors import StoreError
from council.retrieval.sparse import SparseVector
from council.types import Frozen, Origin, Passage, Provenance

VectorQuery: TypeAlias = NDArray[np.float32] | SparseVector
"""Dense, [dimension], or sparse."""
FORMAT: Final = 3
"""Of what is stored; a store of another one is made again."""
DENSE: Final = "dense"
SPARSE: Final = "sparse"
FILTERED: Final = ("tenant", "domain", "file", "mark", "origin")
"""The payload's keys that queries filter on."""


class Chunk(Frozen):
    """A passage as it is stored. `id` is a UUID made from its tenant, its document and its place there."""

    id: str
    title: str
    text: str
    domain: str | None = None
    tenant: str = Field("default", min_length=1)
    provenance: Provenance = Provenance()
    file: str = ""
    """The file that it was read from: what changes or disappears as one."""
    mark: str = ""
    """A hash of its whole document and of how that was cut."""
    part: int = 0
    parts: int = 1
    """Which of the document's chunks it is, from 0, and how many there are."""
    held: str = ""
    """Why it is held back; such a chunk has no vectors, so that no query finds it."""


class StoredDocument(Frozen):
    """A document of a tenant. It is whole when all its chunks are there, those that are held back among them."""

    file: str
    mark: str
    title: str
    domain: str | None
    provenance: Provenance
    chunks: int
    parts: int
    held: tuple[str, ...] = ()
    """Why chunks of it are held back, each once."""

    @property
    def whole(self) -> bool:
        return self.chunks == self.parts


@dataclass(frozen=True)
class Stored:
    """A chunk as it was stored, with its dense vector, [dimension], of length 1; None: it is held back."""

    chunk: Chunk
    vector: NDArray[np.float32] | None


Nearness: TypeAlias = tuple[str, float]
"""A chunk's id, and the score of one query: a cosine, or BM25."""


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

        `dense` is [len(chunks), dimension]; of a chunk that is held back, the vectors are not kept.
        """
        ...

    def documents(self, tenant: str) -> list[StoredDocument]:
        """What the tenant has, by file and in the order of title."""
        ...

    def chunks(self, tenant: str) -> Iterator[Chunk]:
        """All that the tenant has, what is held back included."""
        ...

    def passages(self, tenant: str, file: str) -> list[Passage]:
        """What a file holds, in order, but for what is held back."""
        ...

    def remove(self, tenant: str, file: str, keep: Collection[str] = ()) -> int:
        """Remove a file's chunks, but for those of documents with the marks `keep`. Returns how many."""
        ...

    def purge(self) -> None:
        """See to it that nothing that was removed is left on the disk, where that is in the store's hands."""
        ...

    def nearest(
        self, queries: Sequence[VectorQuery], limit: int, tenant: str, domain: str | None = None, without: Collection[Origin] = ()
    ) -> list[list[Nearness]]:
        """For each query the nearest `limit` chunks of its kind of vector, best first; [] for one without terms.

        Only passages of `tenant` are seen and, unless it is None, of `domain`; none of the origins `without`.
        """
        ...

    def fetch(self, ids: Sequence[str], tenant: str) -> dict[str, Stored]:
        """Chunks by id, what is held back included; those that the tenant does not have are left out."""
        ...

    def count(self, tenant: str | None = None) -> int:
        """Passages of a tenant; None: of all, which only the operator may know."""
        ...

    def close(self) -> None:
        """Let go of files and connections; a second call does nothing."""
        ...


def is_blank(query: VectorQuery) -> bool:
    """Whether a query is a sparse one without terms, which finds nothing."""
    return isinstance(query, SparseVector) and not query.indices


def to_payload(chunk: Chunk) -> dict[str, Any]:
    """What is stored beside the vectors. The provenance is kept as text: no store has to understand its details."""
    return {
        "title": chunk.title,
        "text": chunk.text,
        "domain": chunk.domain,
        "tenant": chunk.tenant,
        "file": chunk.file,
        "mark": chunk.mark,
        "part": chunk.part,
        "parts": chunk.parts,
        "held": chunk.held,
        "origin": chunk.provenance.origin,
        "provenance": chunk.provenance.model_dump_json(),
    }


def scope(tenant: str, domain: str | None = None, file: str | None = None, mark: str | None = None) -> dict[str, str]:
    """What a stored chunk must match: the one place that says which chunks a caller may read or remove. No tenant, no scope.

    Raises StoreError for a tenant without a name.
    """
    if not tenant:
        raise StoreError("every read and write names its tenant, and this one has no name")
    wanted = {"tenant": tenant, "domain": domain, "file": file, "mark": mark}
    return {key: value for key, value in wanted.items() if value is not None}


def to_documents(payloads: Iterable[Mapping[str, Any] | None]) -> list[StoredDocument]:
    """Documents from the payloads of their chunks."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for payload in payloads:
        if payload is None or not {"file", "mark", "parts", "held", "provenance"} <= payload.keys():
            raise StoreError("a stored point is no passage: use a store of the council's own")
        found.setdefault((payload["file"], payload["mark"]), []).append(payload)
    made = []
    for (file, mark), chunks in found.items():
        first = min(chunks, key=lambda c: int(c["part"]))
        held = tuple(sorted({str(c["held"]) for c in chunks if c["held"]}))
        made.append(
            StoredDocument(
                file=file, mark=mark, title=first["title"], domain=first["domain"], chunks=len(chunks), parts=first["parts"], held=held,
                provenance=Provenance.model_validate_json(first["provenance"]),
            )
        )  # fmt: skip
    return sorted(made, key=lambda d: (d.file, d.title, d.mark))


def to_passages(chunks: Iterable[Chunk]) -> list[Passage]:
    """What a file holds, in order, but for what is held back."""
    shown = sorted((c for c in chunks if not c.held), key=lambda c: (c.mark, c.part))
    return [Passage(id=c.id, title=c.title, text=c.text, domain=c.domain, provenance=c.provenance) for c in shown]


def to_vector(stored: Any) -> NDArray[np.float32] | None:
    """The dense one of a stored point's vectors."""
    dense = stored.get(DENSE) if isinstance(stored, dict) else None
    return np.asarray(dense, np.float32) if dense is not None else None


def to_chunk(id: str, payload: Mapping[str, Any] | None) -> Chunk:
    """A stored point as a chunk; StoreError when something else wrote it."""
    try:
        fields = {key: value for key, value in (payload or {}).items() if key != "origin"}  # it is the provenance's
        provenance = Provenance.model_validate_json(fields.pop("provenance"))
        return Chunk(id=id, provenance=provenance, **fields)
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
