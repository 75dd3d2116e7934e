"""Tenants see nothing of each other, whatever is done in which order; and what is removed is gone from the disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from council.errors import StoreError
from council.retrieval.edge_store import EdgeStore
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.store import Chunk, scope

from .conftest import DIMENSION, Space, found_by, vectors_of

TENANTS = ("anna", "bo", "cy", "default", "*")
FILES = ("one.txt", "two.txt", "three.txt")
OPERATIONS = int(os.environ.get("COUNCIL_OPERATIONS", "2000"))
"""Ten thousand take a minute: COUNCIL_OPERATIONS=10000."""


def chunk(tenant: str, file: str, number: int) -> Chunk:
    from council.retrieval.index import chunk_id

    mark = f"m{number}"
    text = f"{tenant} says {file} number {number}"
    return Chunk(id=chunk_id(tenant, file, mark, 0), title="", text=text, tenant=tenant, file=file, mark=mark)


def test_random_operations_leak_nothing(tmp_path: Path) -> None:
    """Against a model: what each tenant wrote and has not removed."""
    random, bm25 = np.random.default_rng(7), SparseEmbedder()
    model: dict[str, dict[tuple[str, str], str]] = {t: {} for t in TENANTS}
    store = EdgeStore(tmp_path / "s", Space())
    for number in range(OPERATIONS):
        tenant, file = str(random.choice(TENANTS)), str(random.choice(FILES))
        mine = model[tenant]
        match random.integers(0, 10):
            case 0 | 1 | 2:
                made = chunk(tenant, file, int(random.integers(0, 30)))
                store.upsert([made], *vectors_of([made], number))
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
            case _:
                dense = random.normal(size=DIMENSION).astype(np.float32)
                word = f"{random.choice(TENANTS)} number {random.integers(0, 30)}"
                found = found_by(store, dense, bm25.embed_query(word), 50, tenant=tenant)
                assert {p.text for p in found} <= set(mine.values())
                assert len(found) == len(mine) if len(mine) <= 50 else len(found) >= 50
    assert {t: store.count(t) for t in TENANTS} == {t: len(m) for t, m in model.items()}
    store.close()


def test_no_tenant_no_scope() -> None:
    with pytest.raises(StoreError, match="names its tenant"):
        scope("")


class Tenants(RuleBasedStateMachine):
    """Two tenants that write the same text under the same name, with removal and purging between."""

    @initialize()
    def open(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.store = EdgeStore(Path(self.folder.name) / "s", Space())
        self.there: set[tuple[str, str, int]] = set()

    @rule(tenant=st.sampled_from(TENANTS[:2]), file=st.sampled_from(FILES[:2]), number=st.integers(0, 3))
    def write(self, tenant: str, file: str, number: int) -> None:
        made = chunk(tenant, file, number)
        self.store.upsert([made], *vectors_of([made]))
        self.there.add((tenant, file, number))

    @rule(tenant=st.sampled_from(TENANTS[:2]), file=st.sampled_from(FILES[:2]))
    def remove(self, tenant: str, file: str) -> None:
        self.store.remove(tenant, file)
        self.there = {x for x in self.there if x[:2] != (tenant, file)}

    @rule()
    def purge(self) -> None:
        self.store.purge()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = EdgeStore(Path(self.folder.name) / "s", Space())

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "store"):
            for tenant in TENANTS[:2]:
                assert {c.text for c in self.store.chunks(tenant)} == {chunk(*x).text for x in self.there if x[0] == tenant}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


TestTenants = Tenants.TestCase
TestTenants.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)


def on_disk(folder: Path, word: bytes) -> list[Path]:
    return [f for f in folder.rglob("*") if f.is_file() and word in f.read_bytes()]


def test_what_is_removed_is_gone_from_the_disk(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "s", Space())
    chunks = [chunk("anna", "secret.txt", 1), chunk("anna", "kept.txt", 2), chunk("bo", "secret.txt", 3)]
    dense, sparse = vectors_of(chunks)
    store.upsert(chunks, dense, sparse)
    said, vector = b"anna says secret.txt", dense[0].tobytes()[:8]
    assert on_disk(tmp_path, said)
    assert store.remove("anna", "secret.txt") == 1
    store.purge()
    assert not on_disk(tmp_path, said) and not on_disk(tmp_path, vector)
    assert {c.text for t in ("anna", "bo") for c in store.chunks(t)} == {chunks[1].text, chunks[2].text}
    found = found_by(store, dense[2], sparse[2], tenant="bo")
    assert [p.text for p in found] == [chunks[2].text]  # its vectors have been kept
    store.close()
    again = EdgeStore(tmp_path / "s", Space())
    assert again.count() == 2
    again.close()


def test_a_purge_that_was_broken_off_loses_nothing(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "s", Space())
    chunks = [chunk("anna", "kept.txt", 2)]
    store.upsert(chunks, *vectors_of(chunks))
    store.close()
    (tmp_path / "s" / "current").rename(tmp_path / "s" / "old")  # as after the first of its two renames
    (tmp_path / "s" / "building").mkdir()
    again = EdgeStore(tmp_path / "s", Space())
    assert again.count("anna") == 1 and not (tmp_path / "s" / "old").exists()
    again.close()
