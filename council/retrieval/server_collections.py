"""Which collection of a Qdrant server is the store's: one a version of what vectors are of, behind an alias.

The alias is `retrieval.store.collection`. Behind it stands NAME-HASH, where the hash is of the embedder's model, its dimension
and the format of what is stored (Version); the collection's metadata says the same in words, from Qdrant 1.16 on. A collection
that bears the alias's name itself is of an earlier release, and of whichever model of that dimension made it.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from qdrant_client import models

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval.server_client import ServerClient
from council.retrieval.store import DENSE, FILTERED, FORMAT, SPARSE, VectorSpace

FACTS: Final = "council"
"""The key of the metadata that the version is under."""


@dataclass(frozen=True)
class Version:
    """What stored vectors are of. Those of two versions are never compared."""

    model: str
    dimension: int
    format: int = FORMAT

    def collection(self, alias: str) -> str:
        """The name of this version's collection."""
        facts = json.dumps([self.model, self.dimension, self.format], ensure_ascii=False)
        return f"{alias}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}"

    def __str__(self) -> str:
        return f"{self.model!r} ({self.dimension} numbers, format {self.format})"


class Place(NamedTuple):
    """A collection by its own name, and whether the alias stands for it."""

    name: str
    aliased: bool


class ServerCollection:
    """The collection behind an alias on one server; from any thread. If `patient`, what fails and may pass is tried again."""

    def __init__(self, client: ServerClient, config: StoreConfig, space: VectorSpace, patient: bool = False) -> None:
        self._client, self._space, self._patient = client, space, patient
        self._quantization = config.quantization
        self.alias = config.collection
        self._name: str | None = None
        self._making = threading.Lock()

    @property
    def version(self) -> Version:
        """That of the embedder at hand, which is loaded for it."""
        return Version(self._space.model, self._space.dimension)

    def find(self, anew: bool = False) -> str | None:
        """The collection's own name; None where none has been made. Raises StoreError for one of another version.

        It stays the one that was found first, so that what another process puts behind the alias is never mixed into it.
        """
        if self._name is None or anew:
            place = self.locate()
            if place is not None:
                self.check(place.name)
            self._name = place.name if place is not None else None
        return self._name

    def ensure(self) -> str:
        """The same for a write: looked for anew, and made where it is missing; another process may make it at the same time."""
        with self._making:
            place = self.locate()
            if place is None or not (place.aliased or place.name == self.alias):
                self.point(self.create())
                place = self.locate()  # where another process has put another version there since, that one is refused
            if place is None:
                raise StoreError(f"{self._what} was removed while it was made: try again")
            self.complete(place.name, self.check(place.name))
            self._name = place.name
            return place.name

    def locate(self) -> Place | None:
        """What there is, of whichever version: what the alias stands for, the collection that bears its name, or this version's
        that was made and not pointed to yet."""
        aliases = self._client.call(lambda client: client.get_aliases(), self._patient).aliases
        target = next((a.collection_name for a in aliases if a.alias_name == self.alias), None)
        if target is not None:
            return Place(target, True)
        names = {c.name for c in self._client.call(lambda client: client.get_collections(), self._patient).collections}
        if self.alias in names:
            return Place(self.alias, False)
        # The version is asked for last: the embedder is loaded for it.
        if any(self._is_versioned(name) for name in names) and (own := self.version.collection(self.alias)) in names:
            return Place(own, False)
        return None

    def check(self, name: str) -> models.CollectionInfo:
        """StoreError unless the collection's vectors are of this version, or of one that is not known and fits."""
        info, ours = self.inspect(name), self.version
        size = _dense(info).size
        if self.is_current(name, info):
            return info
        made = made_of(info)
        if made is None and size == ours.dimension and not self._is_versioned(name):
            return info
        raise StoreError(
            f"{self._what} holds vectors of {made or f'another model or format ({size} numbers)'}, and the council's are of {ours}: "
            "migrate it (Council.migrate), set retrieval.embedder.model to the model that it was made with, or another "
            "retrieval.store.collection"
        )

    def is_current(self, name: str, info: models.CollectionInfo) -> bool:
        """Whether the collection is known to be of this version: by its metadata, or without any by its name."""
        made, ours = made_of(info), self.version
        return made == ours or (made is None and name == ours.collection(self.alias))

    def inspect(self, name: str) -> models.CollectionInfo:
        """StoreError unless the collection is one of the council's, of whichever version."""
        info = self._client.call(lambda client: client.get_collection(name), self._patient)
        sparse = (info.config.params.sparse_vectors or {}).get(SPARSE)
        if _dense(info).distance != models.Distance.COSINE or sparse is None or sparse.modifier != models.Modifier.IDF:
            raise StoreError(f"{self._what} is not one of the council's: set retrieval.store.collection to another name")
        return info

    def create(self) -> str:
        """This version's collection, made unless it is there; nothing points to it yet."""
        version = self.version
        name = version.collection(self.alias)
        vectors = {DENSE: models.VectorParams(size=version.dimension, distance=models.Distance.COSINE)}
        make_collection(
            self._client, name, vectors_config=vectors, quantization_config=_quantization(self._quantization),
            sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            metadata={FACTS: asdict(version)},
        )  # fmt: skip
        return name

    def complete(self, name: str, info: models.CollectionInfo) -> None:
        """What the collection lacks: indexes of what is filtered on, and the quantization that is configured. Where none is, what
        the server's operator has set stays."""
        make_indexes(self._client, name, [key for key in FILTERED if key not in info.payload_schema])
        wanted = _quantization(self._quantization)
        if wanted is not None and type(info.config.quantization_config) is not type(wanted):
            self._client.call(lambda client: client.update_collection(name, quantization_config=wanted), self._patient)

    def point(self, name: str, instead: bool = False) -> None:
        """Let the alias stand for the collection, in one step `instead` of for another."""
        away = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self.alias))
        to = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name=self.alias))
        operations: list[Any] = [away, to] if instead else [to]
        self._client.call(lambda client: client.update_collection_aliases(operations), self._patient)

    @property
    def _what(self) -> str:
        return f"the collection {self.alias!r} at {self._client.where}"

    def _is_versioned(self, name: str) -> bool:
        return re.fullmatch(rf"{re.escape(self.alias)}-[0-9a-f]{{8}}", name) is not None


def made_of(info: models.CollectionInfo) -> Version | None:
    """The version that a collection's metadata names."""
    facts = (info.config.metadata or {}).get(FACTS)
    try:
        return Version(**facts) if isinstance(facts, dict) else None
    except TypeError:
        return None


def make_collection(client: ServerClient, name: str, **settings: Any) -> None:
    """Make the collection unless it is there; another process may make it at the same time."""
    try:
        client.call(lambda c: c.create_collection(name, **settings), True)
    except StoreError:
        if name not in {c.name for c in client.call(lambda c: c.get_collections(), True).collections}:
            raise


def make_indexes(client: ServerClient, name: str, keys: Collection[str]) -> None:
    """Indexes of what is filtered on. The tenant's also lays its points next to each other."""
    for key in keys:
        schema = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=key == "tenant")
        client.call(lambda c, k=key, s=schema: c.create_payload_index(name, k, s), True)  # type: ignore[misc]


def to_filter(wanted: Mapping[str, str], ids: Sequence[str] = (), spared: Collection[str] = (), key: str = "mark") -> models.Filter:
    """All of `wanted`, which `scope` made; of these the `ids`, where there are any; but for those whose `key` is one of `spared`."""
    must: list[Any] = [models.FieldCondition(key=k, match=models.MatchValue(value=v)) for k, v in wanted.items()]
    must += [models.HasIdCondition(has_id=list(ids))] if ids else []
    others: list[Any] = [models.FieldCondition(key=key, match=models.MatchAny(any=list(spared)))] if spared else []
    return models.Filter(must=must, must_not=others or None)


def _dense(info: models.CollectionInfo) -> models.VectorParams:
    """The dense vectors' size and distance; of a collection without such vectors, what no collection has."""
    vectors = info.config.params.vectors
    found = vectors.get(DENSE) if isinstance(vectors, dict) else None
    return found or models.VectorParams(size=1, distance=models.Distance.MANHATTAN)


def _quantization(kind: str) -> models.ScalarQuantization | models.BinaryQuantization | None:
    """Kept in memory, whatever is done with the whole vectors."""
    match kind:
        case "scalar":
            scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
            return models.ScalarQuantization(scalar=scalar)
        case "binary":
            return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
        case _:
            return None
