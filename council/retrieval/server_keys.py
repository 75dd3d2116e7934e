"""What the council said, on a Qdrant server: keys with their values, shared by the processes that share its passages."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from qdrant_client import models

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval.server_client import PATIENCE, Patience, connect
from council.retrieval.server_collections import make_collection, make_indexes, to_filter
from council.retrieval.store import scope

T = TypeVar("T")

LOOKUPS: Final = 1000
"""Keys in one request."""
WRITES: Final = 10_000
"""Keys in one write, which is kept whole or not at all: more than a question's answers have, in some megabytes."""


class ServerKeys:
    """Keys (of council.retrieval.said) in the collection `config.collection`-said, which has no vectors and is made at the first
    write; from any thread. More than WRITES at once are not kept all or none, but can be added again."""

    def __init__(self, config: StoreConfig, patience: Patience = PATIENCE) -> None:
        self._name = f"{config.collection}-said"
        self._writer, self._reader = connect(config, patience)
        self._made = self._seen = False
        self._making = threading.Lock()

    def add(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        """See Keys."""
        self._writer.check_writable()
        owner = scope(tenant)
        points = [
            models.PointStruct(id=_id(tenant, key), vector={}, payload={**owner, "value": base64.b64encode(value).decode()})
            for key, value in values.items()
        ]
        if points:
            self._ensure()
        for some in _batches(points, WRITES):
            self._writer.call(lambda client, s=some: client.upsert(self._name, s, wait=True), patient=True)  # type: ignore[misc]

    def get(self, tenant: str, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """See Keys."""
        owner, asked = scope(tenant), {_id(tenant, key): key for key in keys}
        if not asked or not self._exists():
            return {}
        found: dict[bytes, bytes] = {}
        for some in _batches(list(asked), LOOKUPS):
            seen = to_filter(owner, some)
            points, _ = self._reader.call(
                lambda client, s=seen: client.scroll(self._name, s, limit=LOOKUPS, with_payload=["value"])  # type: ignore[misc]
            )
            found |= {asked[str(p.id)]: self._value(p) for p in points}
        return found

    def close(self) -> None:
        """See Keys."""
        self._reader.close()
        self._writer.close()

    def _ensure(self) -> None:
        """Make the collection unless it is there; another process may make it at the same time."""
        with self._making:
            if not self._made:
                make_collection(self._writer, self._name, vectors_config={})
                make_indexes(self._writer, self._name, ["tenant"])
                self._made = True

    def _exists(self) -> bool:
        if not self._seen:
            self._seen = self._name in {c.name for c in self._reader.call(lambda client: client.get_collections()).collections}
        return self._seen

    def _value(self, point: models.Record) -> bytes:
        try:
            return base64.b64decode((point.payload or {})["value"], validate=True)
        except (KeyError, TypeError, ValueError) as exc:
            raise StoreError(f"the collection {self._name!r} at {self._reader.where} holds what is not the council's") from exc


def _id(tenant: str, key: bytes) -> str:
    """The UUID that is the hash of a tenant's key."""
    content = json.dumps([tenant, key.hex()]).encode()
    return str(uuid.UUID(bytes=hashlib.sha256(content).digest()[:16]))


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
