"""ServerKeys: what the council said, kept beside its passages, each tenant's by themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval import server_keys
from council.retrieval.said import Keys, Said
from council.retrieval.server_client import Patience
from council.retrieval.server_keys import ServerKeys
from council.retrieval.server_store import ServerStore

from .conftest import Space, make_chunk, vectors_of
from .fake_qdrant import FakeQdrant

SHORT = Patience(attempts=3, first_s=0.01, longest_s=0.02, jitter_s=0.01)


@pytest.fixture
def keys(config: StoreConfig) -> Iterator[ServerKeys]:
    made = ServerKeys(config, SHORT)
    yield made
    made.close()


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_what_is_added_is_found_by_its_tenant_alone(keys: ServerKeys) -> None:
    kept: Keys = keys
    assert kept.get("anna", [key(1)]) == {} == kept.get("anna", [])
    kept.add("anna", {})
    kept.add("anna", {key(1): b"", key(2): b"\x00\xff"})
    kept.add("bo", {key(1): b"bo's"})
    assert kept.get("anna", [key(1), key(2), key(3)]) == {key(1): b"", key(2): b"\x00\xff"}
    assert kept.get("bo", iter([key(1), key(2)])) == {key(1): b"bo's"}
    assert kept.get("cy", [key(1)]) == {}
    kept.add("anna", {key(2): b"again"})
    assert kept.get("anna", [key(2)]) == {key(2): b"again"}


def test_nothing_is_sent_for_nothing_or_by_a_tenant_without_a_name(qdrant: FakeQdrant, keys: ServerKeys) -> None:
    keys.add("anna", {})
    assert keys.get("anna", []) == {}
    for work in (lambda: keys.add("", {key(1): b""}), lambda: keys.get("", [key(1)])):
        with pytest.raises(StoreError, match="names its tenant"):
            work()
    assert qdrant.requests == []


def test_many_keys_are_looked_up_in_few_requests_and_written_in_one(qdrant: FakeQdrant, keys: ServerKeys) -> None:
    values = {key(n): bytes([n % 256]) for n in range(2500)}
    keys.add("anna", values)
    assert keys.get("anna", [*values, *(key(n) for n in range(5000, 5100))]) == values
    assert len(qdrant.sent("PUT .*points")) == 1 and len(qdrant.sent("scroll")) == 3


def test_a_write_that_is_too_large_for_one_request_takes_several(
    qdrant: FakeQdrant, keys: ServerKeys, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(server_keys, "WRITES", 10)
    keys.add("anna", {key(n): b"" for n in range(25)})
    assert [len(r.body["points"]) for r in qdrant.sent("PUT .*points")] == [10, 10, 5]


def test_the_collection_has_no_vectors_and_stands_beside_the_passages(qdrant: FakeQdrant, config: StoreConfig, keys: ServerKeys) -> None:
    store, chunks = ServerStore(config, Space()), [make_chunk("one")]
    store.upsert(chunks, *vectors_of(chunks))
    keys.add("anna", {key(1): b""})
    assert qdrant.collections["council-said"].config["vectors"] == {}
    assert list(qdrant.collections["council-said"].indexes) == ["tenant"]
    assert store.count() == 1
    other = ServerStore(config, Space())
    assert other.count() == 1
    other.close()
    store.close()


def test_many_make_the_collection_at_the_same_time(qdrant: FakeQdrant, config: StoreConfig) -> None:
    many = [ServerKeys(config, SHORT) for _ in range(5)]
    together = threading.Barrier(len(many))

    def add(number: int) -> None:
        together.wait()
        many[number].add("anna", {key(number): b""})

    with ThreadPoolExecutor(len(many)) as pool:
        list(pool.map(add, range(len(many))))
    assert len(many[0].get("anna", map(key, range(5)))) == 5
    for keys in many:
        keys.close()


def test_writes_are_tried_again_and_reads_go_to_the_replica(qdrant: FakeQdrant, config: StoreConfig) -> None:
    with FakeQdrant() as replica:
        replica.collections = qdrant.collections
        keys = ServerKeys(config.model_copy(update={"read_url": replica.url}), SHORT)
        qdrant.fail("PUT .*points", 503, times=2)
        keys.add("anna", {key(1): b"x"})
        before = len(qdrant.requests)
        assert keys.get("anna", [key(1)]) == {key(1): b"x"}
        assert len(qdrant.requests) == before
        qdrant.fail("PUT .*points", 503, times=3)
        with pytest.raises(StoreError, match="503"):
            keys.add("anna", {key(1): b"x"})
        keys.close()


def test_keys_that_are_only_read(qdrant: FakeQdrant, config: StoreConfig) -> None:
    keys = ServerKeys(config.model_copy(update={"read_only": True}), SHORT)
    with pytest.raises(StoreError, match=r"retrieval\.store\.read_only is set"):
        keys.add("anna", {key(1): b""})
    assert qdrant.requests == []
    assert keys.get("anna", [key(1)]) == {} and not qdrant.collections
    keys.close()


def test_what_another_program_stored_is_said(qdrant: FakeQdrant, keys: ServerKeys) -> None:
    keys.add("anna", {key(1): b""})
    (point,) = qdrant.collections["council-said"].points.values()
    for payload in ({}, {"value": 5}, {"value": "?"}):
        point["payload"] = {"tenant": "anna", **payload}
        with pytest.raises(StoreError, match="holds what is not the council's"):
            keys.get("anna", [key(1)])


def test_closed_keys_say_so(keys: ServerKeys) -> None:
    keys.close()
    keys.close()
    with pytest.raises(StoreError, match="is closed"):
        keys.get("anna", [key(1)])


def test_what_the_council_said_is_known_again_by_another_process(config: StoreConfig) -> None:
    question, answer = "Who wrote the first Latin grammar in Spain?", "Antonio de Nebrija"
    first = Said(ServerKeys(config, SHORT))
    first.record("anna", question, [answer], [])
    first.close()
    second = Said(ServerKeys(config, SHORT))
    texts = [f"{question} {answer}", "Antonio de Nebrija was born in Lebrija in 1444."]
    assert second.recognise("anna", texts) == [True, False]
    assert second.recognise("bo", texts) == [False, False]
    second.close()
