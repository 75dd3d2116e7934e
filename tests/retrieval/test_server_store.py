"""ServerStore: what it finds and keeps, and what a user meets when the server is away, refuses, or holds something else.

The client is the real one; the server is the small one of fake_qdrant.py.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval import server_client
from council.retrieval.edge_store import EdgeStore
from council.retrieval.server_store import ServerStore
from council.retrieval.sparse import SparseEmbedder, SparseVector
from council.retrieval.store import Chunk

from .conftest import DIMENSION, Space, found_by, make_chunk, vectors_of
from .fake_qdrant import FakeQdrant, Points

KEY = "s3cret-key"
CHUNKS = [
    make_chunk("neutrons have no charge", "physics"),
    make_chunk("insulin lowers sugar", "medicine"),
    make_chunk("neutrons in reactors", "energy"),
    make_chunk("neutrons of another tenant", "physics", tenant="other"),
    make_chunk("neutrons without a domain"),
]


@pytest.fixture
def store(config: StoreConfig) -> Iterator[ServerStore]:
    made = ServerStore(config, Space())
    yield made
    made.close()


def plain(size: int = DIMENSION, distance: str = "Cosine", sparse: dict[str, Any] | None = None) -> Points:
    """A collection as an earlier release made it."""
    vectors = {"dense": {"size": size, "distance": distance}}
    return Points({"vectors": vectors, "sparse_vectors": {"sparse": {"modifier": "idf"}} if sparse is None else sparse})


def found(store: ServerStore, text: str, domain: str | None = None, tenant: str = "default", limit: int = 10) -> list[str]:
    dense = vectors_of(CHUNKS)[0][0]
    return [c.text for c in found_by(store, dense, SparseEmbedder().embed_query(text), limit, domain, tenant)]


def one_line(config: StoreConfig) -> str:
    with pytest.raises(StoreError) as caught:
        ServerStore(config, Space())
    message = str(caught.value)
    assert "\n" not in message
    assert KEY not in message
    return message


# --- what it finds and keeps ---------------------------------------------------------------------------------------------


def test_an_empty_store_finds_nothing(store: ServerStore) -> None:
    assert store.count() == 0 == store.count("default")
    assert found(store, "neutrons") == []
    assert store.documents("default") == [] == list(store.chunks("default"))
    assert store.remove("default", "a.txt") == 0


def test_each_query_finds_by_its_own_vector_and_scores_fall(store: ServerStore) -> None:
    dense, sparse = vectors_of(CHUNKS)
    store.upsert(CHUNKS, dense, sparse)
    # The dense vector is the first chunk's, the word the second's.
    by_vector, by_word, by_nothing = store.nearest([dense[0], SparseEmbedder().embed_query("insulin"), SparseVector((), ())], 10, "default")
    assert by_vector[0][0] == CHUNKS[0].id and by_vector[0][1] == pytest.approx(1.0, abs=1e-5)
    assert [id for id, _ in by_word] == [CHUNKS[1].id]
    assert by_nothing == []
    scores = [score for _, score in by_vector]
    assert scores == sorted(scores, reverse=True) and len(scores) == sum(c.tenant == "default" for c in CHUNKS)


def test_it_finds_what_the_embedded_store_finds(store: ServerStore, tmp_path: Path) -> None:
    """Which is Qdrant's own engine: the server here scores as it does."""
    edge = EdgeStore(tmp_path / "edge", Space())
    chunks = [make_chunk(f"neutron {n} of {n % 7} and {n % 3} reactors", ("physics", "energy")[n % 2]) for n in range(60)]
    for each in (edge, store):
        each.upsert([*chunks, *CHUNKS], *vectors_of([*chunks, *CHUNKS]))
    asked = [*vectors_of(chunks, 1)[0][:5], *(SparseEmbedder().embed_query(f"reactors of neutron {n}, 3 or insulin") for n in range(5))]
    for domain in (None, "physics"):
        for ours, theirs in zip(store.nearest(asked, 30, "default", domain), edge.nearest(asked, 30, "default", domain), strict=True):
            assert [score for _, score in ours] == pytest.approx([score for _, score in theirs], abs=1e-5)
            assert dict(ours).keys() - dict(theirs).keys() <= {id for id, score in ours if score == pytest.approx(ours[-1][1])}
    edge.close()


def test_all_queries_travel_in_one_request(qdrant: FakeQdrant, store: ServerStore) -> None:
    dense, sparse = vectors_of(CHUNKS)
    store.upsert(CHUNKS, dense, sparse)
    assert [len(near) for near in store.nearest([*dense, *sparse], 2, "default")] == [2] * len(CHUNKS) + [2, 1, 2, 2, 2]
    assert [len(r.body["searches"]) for r in qdrant.sent("query/batch")] == [2 * len(CHUNKS)]


def test_chunks_are_fetched_with_their_vectors_by_their_tenant_alone(store: ServerStore) -> None:
    dense, sparse = vectors_of(CHUNKS)
    held = make_chunk("held back").model_copy(update={"held": "poor"})
    store.upsert([*CHUNKS, held], np.vstack([dense, dense[:1]]), [*sparse, sparse[0]])
    stored = store.fetch([c.id for c in (*CHUNKS, held)], "default")
    assert {id: s.chunk for id, s in stored.items()} == {c.id: c for c in (*CHUNKS, held) if c.tenant == "default"}
    vector = stored[CHUNKS[0].id].vector
    assert vector is not None and vector == pytest.approx(dense[0] / np.linalg.norm(dense[0]), abs=1e-5)
    assert stored[held.id].vector is None
    assert held.id not in {id for near in store.nearest([dense[0], sparse[0]], 10, "default") for id, _ in near}
    assert store.fetch([], "default") == {} == store.fetch([str(uuid.uuid4())], "default")


def test_domain_and_tenant_filter_both_queries(store: ServerStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    assert set(found(store, "neutrons")) == {c.text for c in CHUNKS if c.tenant == "default"}
    assert found(store, "neutrons", "physics") == ["neutrons have no charge"]
    assert found(store, "neutrons", "physics", "other") == ["neutrons of another tenant"]
    assert found(store, "neutrons", "law") == []
    assert found(store, "neutrons", None, "nobody") == []


def test_a_query_of_stop_words_alone_is_dense(store: ServerStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    assert found(store, "the")[0] == CHUNKS[0].text


def test_upsert_counts_what_is_new(store: ServerStore) -> None:
    dense, sparse = vectors_of(CHUNKS)
    assert store.upsert(CHUNKS[:2], dense[:2], sparse[:2]) == 2
    assert store.upsert(CHUNKS, dense, sparse) == 3
    assert store.upsert(CHUNKS, dense, sparse) == 0
    twice = [make_chunk("again"), make_chunk("again")]
    assert store.upsert(twice, *vectors_of(twice)) == 1
    assert store.upsert([], np.zeros((0, DIMENSION), np.float32), []) == 0
    assert store.count() == len(CHUNKS) + 1


def part(number: int, mark: str, held: str = "") -> Chunk:
    id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{mark}{number}"))
    return Chunk(id=id, title="T", text=f"part {number} of {mark}", file="a.txt", mark=mark, part=number, parts=3, held=held)


def test_files_are_listed_shown_in_order_and_removed_but_for_marks(store: ServerStore) -> None:
    chunks = [part(2, "old"), part(0, "old"), part(1, "old", held="poor"), part(0, "new")]
    store.upsert([*chunks, *CHUNKS], *vectors_of([*chunks, *CHUNKS]))
    new, old = [d for d in store.documents("default") if d.file == "a.txt"]
    assert (old.mark, old.chunks, old.whole, old.held) == ("old", 3, True, ("poor",)) and not new.whole
    assert [p.text for p in store.passages("default", "a.txt")] == ["part 0 of new", "part 0 of old", "part 2 of old"]
    assert store.remove("other", "a.txt") == 0
    assert store.remove("default", "a.txt", ["new"]) == 3
    assert [p.text for p in store.passages("default", "a.txt")] == ["part 0 of new"]
    assert store.remove("default", "a.txt") == 1
    assert {c.text for c in store.chunks("default")} == {c.text for c in CHUNKS if c.tenant == "default"}


def test_more_than_a_page_is_read_whole(config: StoreConfig, store: ServerStore) -> None:
    chunks = [make_chunk(f"chunk {n}") for n in range(1100)]
    dense, sparse = np.eye(len(chunks), DIMENSION, dtype=np.float32) + 1, [SparseVector((n,), (1.0,)) for n in range(len(chunks))]
    assert store.upsert(chunks, dense, sparse) == len(chunks)
    assert {c.text for c in store.chunks("default")} == {c.text for c in chunks}
    assert len(store.fetch([c.id for c in chunks], "default")) == len(chunks) == len(store.documents("default"))
    other = ServerStore(config, Space())
    assert other.count() == len(chunks)
    other.close()


def test_a_store_that_another_process_makes_is_found(config: StoreConfig, store: ServerStore) -> None:
    assert store.count() == 0
    other = ServerStore(config, Space())
    other.upsert(CHUNKS, *vectors_of(CHUNKS))
    other.close()
    assert store.count() == len(CHUNKS)


def test_threads_share_a_store(store: ServerStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    many = [[make_chunk(f"chunk {n} {m}") for m in range(5)] for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        new = sum(pool.map(lambda chunks: store.upsert(chunks, *vectors_of(chunks)), many))
        results = list(pool.map(lambda _: found(store, "insulin", "medicine"), range(20)))
    assert new == 40
    assert results == [["insulin lowers sugar"]] * 20


def test_a_wrong_dimension_changes_nothing(store: ServerStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    with pytest.raises(StoreError, match="the store wants"):
        store.upsert(CHUNKS[:1], np.ones((1, 3), np.float32), [SparseVector((), ())])
    with pytest.raises(StoreError, match=r"answered 400: .*expected dim: 8, got 3"):
        store.nearest([np.ones(3, np.float32)], 1, "default")
    assert store.count() == len(CHUNKS)


def test_what_another_program_stored_is_said(qdrant: FakeQdrant, store: ServerStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    id = str(uuid.uuid4())
    qdrant.target("council").points[id] = {"id": id, "vector": {}, "payload": {"tenant": "default", "text": "x"}}
    for read in (store.documents, lambda tenant: list(store.chunks(tenant))):
        with pytest.raises(StoreError, match="is no passage"):
            read("default")


def test_a_tenant_without_a_name_reads_and_removes_nothing(qdrant: FakeQdrant, store: ServerStore) -> None:
    dense, _ = vectors_of(CHUNKS)
    before = len(qdrant.requests)
    for work in (store.documents, store.chunks, store.count, lambda t: store.remove(t, "a"), lambda t: store.nearest([dense[0]], 1, t)):
        with pytest.raises(StoreError, match="names its tenant"):
            work("")
    assert len(qdrant.requests) == before


def test_a_closed_store_says_so(store: ServerStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.count()


# --- what a user meets ---------------------------------------------------------------------------------------------------


def test_an_unreachable_server_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = one_line(StoreConfig(kind="server", url=f"http://user:{KEY}@127.0.0.1:{port}"))
    assert f"the Qdrant server at http://127.0.0.1:{port} can't be reached" in message
    assert "retrieval.store.url" in message
    replica = one_line(StoreConfig(kind="server", read_url=f"http://127.0.0.1:{port}"))
    assert "set retrieval.store.read_url" in replica


@pytest.mark.parametrize("url", ["", "localhost", "ftp://x", "http://", "http://x:port", "http://[x"])
def test_what_is_no_url_is_said(url: str) -> None:
    assert "retrieval.store.url is no URL" in one_line(StoreConfig(kind="server", url=url))
    assert "retrieval.store.read_url is no URL" in one_line(StoreConfig(kind="server", read_url=url))


def test_a_key_is_wanted_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = StoreConfig(kind="server", api_key_env="COUNCIL_TEST_KEY")
    monkeypatch.delenv("COUNCIL_TEST_KEY", raising=False)
    assert "COUNCIL_TEST_KEY" in one_line(config)
    for bad in (f"{KEY}\nX-Other: 1", f"{KEY}\u00e9"):
        monkeypatch.setenv("COUNCIL_TEST_KEY", bad)
        assert "no usable key" in one_line(config)


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.parametrize(("status", "said"), [(401, "refuses the key"), (403, "refuses the key"), (500, "500: Invalid API key ***")])
def test_a_key_is_sent_and_never_shown(qdrant: FakeQdrant, monkeypatch: pytest.MonkeyPatch, status: int, said: str) -> None:
    monkeypatch.setenv("COUNCIL_TEST_KEY", KEY)
    qdrant.fail("/aliases", status, text=f"Invalid API key {KEY}")
    message = one_line(StoreConfig(kind="server", url=qdrant.url, api_key_env="COUNCIL_TEST_KEY"))
    assert said in message
    assert status == 500 or "COUNCIL_TEST_KEY" in message
    assert qdrant.requests[-1].headers["api-key"] == KEY


def test_a_key_that_is_missing_is_said(qdrant: FakeQdrant, config: StoreConfig) -> None:
    qdrant.fail("/aliases", 401)
    assert "set retrieval.store.api_key_env" in one_line(config)


def test_a_failing_server_is_said_at_once(qdrant: FakeQdrant, config: StoreConfig) -> None:
    qdrant.fail("/aliases", 500, text="disk\nfull")
    assert "answered 500: disk full" in one_line(config)
    assert len(qdrant.requests) == 1  # somebody waits for what is read


def test_a_server_that_is_none_of_qdrants_is_said(qdrant: FakeQdrant, config: StoreConfig) -> None:
    qdrant.fail("/aliases", 200)
    assert "is no answer of Qdrant's" in one_line(config)
    qdrant.fail("/aliases", 502, headers={"Content-Length": "0"})
    assert "502" in one_line(config)


def test_a_server_that_does_not_answer_in_time_is_said(qdrant: FakeQdrant, config: StoreConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "TIMEOUT_S", 1)
    qdrant.delay("/aliases", 1.5)
    assert "can't be reached: timed out" in one_line(config)


@pytest.mark.parametrize("other", [plain(distance="Dot"), plain(sparse={}), plain(sparse={"sparse": {}}), Points({"vectors": {}})])
def test_a_collection_of_someone_else_is_refused(qdrant: FakeQdrant, config: StoreConfig, other: Points) -> None:
    qdrant.collections["council"] = other
    assert "is not one of the council's" in one_line(config)


def test_a_collection_that_vanishes_is_said(qdrant: FakeQdrant, store: ServerStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    qdrant.collections.clear()
    with pytest.raises(
        StoreError, match=r"answered 404: .* doesn't exist!; if the collection was migrated or removed, open the store again"
    ):
        store.count()
