"""The real embedder, loaded once a module, and what the tests of stores share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from council.config import EmbedderConfig, StoreConfig
from council.retrieval import Embedder
from council.retrieval.edge_store import EdgeStore
from council.retrieval.index import chunk_id
from council.retrieval.sparse import SparseEmbedder, SparseVector
from council.retrieval.store import Chunk, Store

from .fake_qdrant import FakeQdrant

DIMENSION = 8


@dataclass(frozen=True)
class Space:
    """A vector space without a model: stores don't ask for more."""

    model: str = "test"
    dimension: int = DIMENSION


def make_chunk(text: str, domain: str | None = None, tenant: str = "default", title: str = "") -> Chunk:
    id = chunk_id(tenant, f"{title}/{domain}", text, 0)
    return Chunk(id=id, title=title, text=text, domain=domain, tenant=tenant, file=text, mark=text)


def vectors_of(chunks: list[Chunk], seed: int = 0) -> tuple[NDArray[np.float32], list[SparseVector]]:
    rows = np.random.default_rng(seed).normal(size=(len(chunks), DIMENSION)).astype(np.float32)
    bm25 = SparseEmbedder()
    return rows, [bm25.embed_document(c.text) for c in chunks]


def found_by(
    store: Store, dense: NDArray[np.float32], sparse: SparseVector, limit: int = 100, domain: str | None = None, tenant: str = "default"
) -> list[Chunk]:
    """What a query finds by either vector: in turn, the best by each, the next by each."""
    lists = store.nearest([dense, sparse], limit, tenant, domain)
    ids = dict.fromkeys(near[0] for pair in zip_longest(*lists) for near in pair if near is not None)
    stored = store.fetch(list(ids), tenant)
    return [stored[id].chunk for id in ids]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    made = Embedder(EmbedderConfig())
    made.load()
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EdgeStore]:
    made = EdgeStore(tmp_path / "store", Space())
    yield made
    made.close()


@pytest.fixture
def qdrant() -> Iterator[FakeQdrant]:
    with FakeQdrant() as made:
        yield made


@pytest.fixture
def config(qdrant: FakeQdrant) -> StoreConfig:
    return StoreConfig(kind="server", url=qdrant.url)
