"""ServerStore: what is tried again and for how long, what may not be written, where reads go, and what is quantized."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval.server_client import Patience
from council.retrieval.server_migration import migrate
from council.retrieval.server_store import BATCH, ServerStore
from council.retrieval.sparse import SparseEmbedder

from .conftest import Space, found_by, make_chunk, vectors_of
from .fake_qdrant import FakeQdrant

SHORT = Patience(attempts=4, first_s=0.01, longest_s=0.05, jitter_s=0.01, longest_asked_s=5.0)
WRITES = r"PUT .*/points$"
CHUNKS = [make_chunk(f"chunk {n}") for n in range(10)]
MANY = [make_chunk(f"chunk {n}") for n in range(2 * BATCH + 50)]


@pytest.fixture
def store(config: StoreConfig) -> Iterator[ServerStore]:
    made = ServerStore(config, Space(), SHORT)
    yield made
    made.close()


# --- trying again --------------------------------------------------------------------------------------------------------


def test_writes_are_batched_and_waited_for(qdrant: FakeQdrant, store: ServerStore) -> None:
    assert store.upsert(MANY, *vectors_of(MANY)) == len(MANY)
    sent = qdrant.sent(WRITES)
    assert [len(r.body["points"]) for r in sent] == [BATCH, BATCH, 50]
    assert all("wait=true" in r.query for r in sent)
    store.remove("default", MANY[0].file)
    assert "wait=true" in qdrant.sent("points/delete")[0].query
    assert store.upsert(MANY, *vectors_of(MANY)) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, None])
def test_what_may_pass_is_tried_again(qdrant: FakeQdrant, store: ServerStore, status: int | None) -> None:
    qdrant.fail(WRITES, status, times=2)
    assert store.upsert(CHUNKS, *vectors_of(CHUNKS)) == len(CHUNKS)
    assert len(qdrant.sent(WRITES)) == 3


@pytest.mark.parametrize("path", ["GET /aliases", "GET /collections$", r"PUT /collections/[\w-]+$", "POST /collections/aliases", "/index"])
def test_so_is_each_step_of_making_the_collection(qdrant: FakeQdrant, store: ServerStore, path: str) -> None:
    qdrant.fail(path, 503)
    qdrant.fail(path, None, after=True)
    assert store.upsert(CHUNKS, *vectors_of(CHUNKS)) == len(CHUNKS)
    assert sorted(qdrant.target("council").indexes) == ["domain", "file", "mark", "origin", "tenant"]


@pytest.mark.parametrize("path", [WRITES, "points/delete"])
def test_a_write_whose_answer_is_lost_is_counted_once(qdrant: FakeQdrant, store: ServerStore, path: str) -> None:
    qdrant.fail(path, None, after=True)
    assert store.upsert(CHUNKS, *vectors_of(CHUNKS)) == len(CHUNKS)
    assert store.remove("default", CHUNKS[0].file) == 1
    assert store.count() == len(CHUNKS) - 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_what_will_not_pass_is_not_tried_again(qdrant: FakeQdrant, store: ServerStore, status: int) -> None:
    qdrant.fail(WRITES, status)
    with pytest.raises(StoreError):
        store.upsert(CHUNKS, *vectors_of(CHUNKS))
    assert len(qdrant.sent(WRITES)) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_time_is_given_it(qdrant: FakeQdrant, store: ServerStore, status: int) -> None:
    qdrant.fail(WRITES, status, headers={"Retry-After": "1"})
    started = time.monotonic()
    assert store.upsert(CHUNKS, *vectors_of(CHUNKS)) == len(CHUNKS)
    assert time.monotonic() - started >= 1


def test_one_that_asks_for_too_much_is_left_alone(qdrant: FakeQdrant, store: ServerStore) -> None:
    qdrant.fail(WRITES, 429, headers={"Retry-After": "3600"}, text="too many writes")
    with pytest.raises(StoreError, match="answered 429 and asks to wait 3600 s: too many writes"):
        store.upsert(CHUNKS, *vectors_of(CHUNKS))
    assert len(qdrant.sent(WRITES)) == 1
    qdrant.fail(WRITES, 429, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})
    assert store.upsert(CHUNKS, *vectors_of(CHUNKS)) == len(CHUNKS)


def test_what_fails_in_the_end_says_how_far_it_came_and_goes_on(qdrant: FakeQdrant, store: ServerStore) -> None:
    qdrant.before.append((WRITES, lambda: qdrant.fail(WRITES, 503, times=SHORT.attempts, text="shard is down")))  # from the second on
    with pytest.raises(StoreError) as caught:
        store.upsert(MANY, *vectors_of(MANY))
    assert "answered 503: shard is down; 256 of 562 passages were written, and running it again goes on" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(qdrant.sent(WRITES)) == 1 + SHORT.attempts
    assert store.count() == BATCH
    assert store.upsert(MANY, *vectors_of(MANY)) == len(MANY) - BATCH


def test_reads_are_not_tried_again(qdrant: FakeQdrant, store: ServerStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    for path, read in (("count", store.count), ("scroll", lambda: store.documents("default"))):
        qdrant.fail(path, 503)
        with pytest.raises(StoreError, match="503"):
            read()
        read()


# --- where to, and whether -----------------------------------------------------------------------------------------------


def test_reads_go_to_the_replica_and_writes_do_not(qdrant: FakeQdrant) -> None:
    with FakeQdrant() as replica:
        replica.collections, replica.aliases = qdrant.collections, qdrant.aliases
        store = ServerStore(StoreConfig(kind="server", url=qdrant.url, read_url=replica.url), Space(), SHORT)
        assert store.count() == 0 and qdrant.requests == []
        dense, sparse = vectors_of(CHUNKS)
        store.upsert(CHUNKS, dense, sparse)
        written = len(qdrant.requests)
        assert [c.text for c in found_by(store, dense[0], sparse[0], 1)] == [CHUNKS[0].text]
        assert store.count() == len(list(store.chunks("default"))) == len(store.documents("default")) == len(CHUNKS)
        assert [p.text for p in store.passages("default", CHUNKS[0].file)] == [CHUNKS[0].text]
        assert len(qdrant.requests) == written
        assert {r.method for r in replica.requests if not r.path.startswith("/collections/council-")} == {"GET"}
        assert not replica.sent("PUT|DELETE|PATCH|points$|delete")
        before = len(replica.requests)
        assert store.remove("default", CHUNKS[0].file) == 1
        assert len(replica.requests) == before
        store.close()


def test_a_store_that_is_only_read_sends_nothing_to_write(qdrant: FakeQdrant, config: StoreConfig, store: ServerStore) -> None:
    readonly = config.model_copy(update={"read_only": True})
    reader = ServerStore(readonly, Space(), SHORT)
    assert reader.count() == 0 and not qdrant.collections
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    before = len(qdrant.requests)
    writes: list[Callable[[], int]] = [
        lambda: reader.upsert(CHUNKS, *vectors_of(CHUNKS)),
        lambda: reader.upsert([], *vectors_of([])),
        lambda: reader.remove("default", CHUNKS[0].file),
        lambda: migrate(readonly, Space(), SparseEmbedder().embed_document, patience=SHORT),  # type: ignore[arg-type]
    ]
    for write in writes:
        with pytest.raises(StoreError, match=r"^nothing is written to .*: retrieval\.store\.read_only is set$"):
            write()
    reader.purge()
    assert len(qdrant.requests) == before
    assert reader.count() == len(CHUNKS)
    reader.close()


# --- quantization --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("none", None),
        ("scalar", {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}}),
        ("binary", {"binary": {"always_ram": True}}),
    ],
)
def test_vectors_are_quantized_and_the_best_compared_again(
    qdrant: FakeQdrant, config: StoreConfig, kind: Literal["none", "scalar", "binary"], made: object
) -> None:
    quantized = ServerStore(config.model_copy(update={"quantization": kind}), Space(), SHORT)
    dense, sparse = vectors_of(CHUNKS)
    quantized.upsert(CHUNKS, dense, sparse)
    quantized.nearest([dense[0], sparse[0]], 3, "default")
    assert qdrant.target("council").config.get("quantization_config") == made
    by_dense, by_sparse = qdrant.sent("query/batch")[0].body["searches"]
    assert by_dense.get("params") == (None if made is None else {"quantization": {"rescore": True, "oversampling": 2.0}})
    assert "params" not in by_sparse
    quantized.close()


def test_a_collection_is_quantized_when_the_config_comes_to_say_so(qdrant: FakeQdrant, config: StoreConfig, store: ServerStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    quantized = ServerStore(config.model_copy(update={"quantization": "binary"}), Space(), SHORT)
    for _ in range(2):
        quantized.upsert(CHUNKS, *vectors_of(CHUNKS))
    assert [r.body for r in qdrant.sent("PATCH")] == [{"quantization_config": {"binary": {"always_ram": True}}}]
    store.upsert(CHUNKS, *vectors_of(CHUNKS))  # without a word on it, what is set stays
    assert len(qdrant.sent("PATCH")) == 1
    quantized.close()
