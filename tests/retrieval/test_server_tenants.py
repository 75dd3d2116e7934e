"""Tenants on a server see nothing of each other, whatever is done in which order."""

from __future__ import annotations

import os

import numpy as np

from council.config import StoreConfig
from council.retrieval.server_store import ServerStore
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.store import Chunk

from .conftest import DIMENSION, Space, found_by, vectors_of
from .fake_qdrant import FakeQdrant

TENANTS = ("anna", "bo", "cy", "default", "*")
FILES = ("one.txt", "two.txt", "three.txt")
OPERATIONS = int(os.environ.get("COUNCIL_OPERATIONS", "400"))


def chunk(tenant: str, file: str, number: int) -> Chunk:
    from council.retrieval.index import chunk_id

    mark = f"m{number}"
    text = f"{tenant} says {file} number {number}"
    return Chunk(id=chunk_id(tenant, file, mark, 0), title="", text=text, tenant=tenant, file=file, mark=mark)


def test_random_operations_leak_nothing() -> None:
    """Against a model: what each tenant wrote and has not removed. Two stores take turns, as two processes would."""
    random, bm25 = np.random.default_rng(7), SparseEmbedder()
    model: dict[str, dict[tuple[str, str], str]] = {t: {} for t in TENANTS}
    with FakeQdrant() as qdrant:
        config = StoreConfig(kind="server", url=qdrant.url)
        stores = [ServerStore(config, Space()), ServerStore(config, Space())]
        for number in range(OPERATIONS):
            store = stores[number % 2]
            tenant, file = str(random.choice(TENANTS)), str(random.choice(FILES))
            mine = model[tenant]
            match random.integers(0, 10):
                case 0 | 1 | 2:
                    made = chunk(tenant, file, int(random.integers(0, 30)))
                    assert store.upsert([made], *vectors_of([made], number)) == ((made.file, made.mark) not in mine)
                    mine[made.file, made.mark] = made.text
                case 3:
                    keep = [m for f, m in mine if f == file][:2]
                    assert store.remove(tenant, file, keep) == sum(f == file and m not in keep for f, m in mine)
                    model[tenant] = {k: v for k, v in mine.items() if k[0] != file or k[1] in keep}
                case 4:
                    assert {(d.file, d.mark) for d in store.documents(tenant)} == set(mine)
                case 5:
                    assert sorted(p.text for p in store.passages(tenant, file)) == sorted(v for k, v in mine.items() if k[0] == file)
                case 6:
                    assert store.count(tenant) == len(mine)
                case 7:
                    ids = [chunk(t, f, n).id for t in TENANTS for f in FILES for n in range(30)]
                    assert {s.chunk.text for s in store.fetch(ids, tenant).values()} == set(mine.values())
                case _:
                    dense = random.normal(size=DIMENSION).astype(np.float32)
                    word = f"{random.choice(TENANTS)} number {random.integers(0, 30)}"
                    found = found_by(store, dense, bm25.embed_query(word), 100, tenant=tenant)
                    assert {p.text for p in found} == set(mine.values())
        assert {t: stores[0].count(t) for t in TENANTS} == {t: len(m) for t, m in model.items()}
        for store in stores:
            store.close()
