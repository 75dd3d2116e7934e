"""Collections of a Qdrant server: one a version of the embedder and the format, behind an alias, and never two mixed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval.server_collections import Version
from council.retrieval.server_store import ServerStore
from council.retrieval.store import FILTERED, FORMAT

from .conftest import DIMENSION, Space, make_chunk, vectors_of
from .fake_qdrant import FakeQdrant, Points

CHUNKS = [make_chunk("one"), make_chunk("two", tenant="other")]
OWN = Version("test", DIMENSION).collection("council")


def config_of(qdrant: FakeQdrant) -> StoreConfig:
    return StoreConfig(kind="server", url=qdrant.url)


def filled(qdrant: FakeQdrant, model: str = "test") -> ServerStore:
    store = ServerStore(config_of(qdrant), Space(model))
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    return store


def plain(size: int = DIMENSION) -> Points:
    """A collection as an earlier release made it."""
    vectors = {"dense": {"size": size, "distance": "Cosine"}}
    return Points({"vectors": vectors, "sparse_vectors": {"sparse": {"modifier": "idf"}}})


def test_the_first_write_makes_the_collection_its_indexes_and_the_alias(qdrant: FakeQdrant) -> None:
    store = ServerStore(config_of(qdrant), Space())
    assert store.count() == 0 and qdrant.collections == {}
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    made = qdrant.collections[OWN]
    assert qdrant.aliases == {"council": OWN} and list(qdrant.collections) == [OWN]
    assert made.config["metadata"] == {"council": {"model": "test", "dimension": DIMENSION, "format": FORMAT}}
    assert {key: index["is_tenant"] for key, index in made.indexes.items()} == {
        "tenant": True,
        "domain": False,
        "file": False,
        "mark": False,
        "origin": False,
    }
    store.close()


def test_the_name_is_of_the_model_the_dimension_and_the_format() -> None:
    versions = [Version("a", 8), Version("b", 8), Version("a", 9), Version("a", 8, FORMAT + 1)]
    assert len({v.collection("council") for v in versions}) == len(versions)
    assert Version("sentence-transformers/all-MiniLM-L6-v2", 384, 3).collection("council") == "council-9e450593"  # as it is stored


@pytest.mark.parametrize("metadata", [True, False])
def test_vectors_of_another_model_are_refused_and_kept(metadata: bool) -> None:
    with FakeQdrant(metadata) as qdrant:
        filled(qdrant).close()
        with pytest.raises(StoreError) as caught:
            ServerStore(config_of(qdrant), Space(model="other"))
        known = "'test' (8 numbers, format 3)" if metadata else "another model or format (8 numbers)"
        assert f"holds vectors of {known}, and the council's are of 'other' (8 numbers, format 3): migrate it" in str(caught.value)
        assert "\n" not in str(caught.value)
        again = ServerStore(config_of(qdrant), Space())
        assert again.count() == len(CHUNKS)
        again.close()


def test_a_store_that_was_opened_before_reads_on_and_writes_no_more(qdrant: FakeQdrant) -> None:
    before = filled(qdrant)
    assert before.count() == len(CHUNKS)
    qdrant.aliases.clear()
    filled(qdrant, "other").close()
    assert qdrant.aliases["council"] != OWN
    assert before.count() == len(CHUNKS)
    requests = len(qdrant.sent("PUT|DELETE|delete"))
    writes: list[Callable[[], int]] = [lambda: before.upsert(CHUNKS, *vectors_of(CHUNKS)), lambda: before.remove("default", "one")]
    for write in writes:
        with pytest.raises(StoreError, match="migrate it"):
            write()
    assert len(qdrant.sent("PUT|DELETE|delete")) == requests
    before.close()


def test_a_collection_of_an_earlier_release_is_used_if_it_fits(qdrant: FakeQdrant) -> None:
    qdrant.collections["council"] = plain()
    store = filled(qdrant)
    assert store.count() == len(CHUNKS) == len(qdrant.collections["council"].points)
    assert qdrant.aliases == {} and list(qdrant.collections) == ["council"]
    assert "tenant" in qdrant.collections["council"].indexes  # which it lacked
    store.close()
    qdrant.collections["council"] = plain(768)
    with pytest.raises(
        StoreError, match=r"another model or format \(768 numbers\), and the council's are of 'test' \(8 numbers, format 3\)"
    ):
        ServerStore(config_of(qdrant), Space())


def test_an_alias_of_the_operators_own_is_followed_if_it_fits(qdrant: FakeQdrant) -> None:
    qdrant.collections["mine"], qdrant.aliases["council"] = plain(), "mine"
    store = filled(qdrant)
    assert len(qdrant.collections["mine"].points) == len(CHUNKS)
    store.close()


@pytest.mark.parametrize("path", ["POST /collections/aliases", "/index"])
def test_a_creation_that_was_broken_off_is_gone_on_with(qdrant: FakeQdrant, path: str) -> None:
    qdrant.fail(path, 403, after=True)
    with pytest.raises(StoreError, match="refuses"):
        filled(qdrant)
    qdrant.aliases.clear()
    store = filled(qdrant)
    assert store.count() == len(CHUNKS)
    assert qdrant.aliases == {"council": OWN} and len(qdrant.collections[OWN].indexes) == len(FILTERED)
    store.close()


def test_many_make_the_collection_at_the_same_time(qdrant: FakeQdrant) -> None:
    qdrant.delay("GET /collections$", 0.1)  # so that each finds none, and goes on to make it
    stores = [ServerStore(config_of(qdrant), Space()) for _ in range(6)]
    together = threading.Barrier(len(stores))

    def write(number: int) -> int:
        together.wait()
        chunks = [make_chunk(f"chunk {number} {n}") for n in range(3)]
        return stores[number].upsert(chunks, *vectors_of(chunks))

    with ThreadPoolExecutor(len(stores)) as pool:
        assert list(pool.map(write, range(len(stores)))) == [3] * len(stores)
    assert len(qdrant.sent(r"PUT /collections/council-\w+$")) > 1
    assert {store.count() for store in stores} == {18}
    assert qdrant.aliases == {"council": OWN} and list(qdrant.collections) == [OWN]
    for store in stores:
        store.close()


def test_of_two_versions_made_at_the_same_time_one_is_refused(qdrant: FakeQdrant) -> None:
    def other_first() -> None:
        qdrant.collections["council-0badcafe"] = plain()
        qdrant.aliases["council"] = "council-0badcafe"

    store = ServerStore(config_of(qdrant), Space())
    qdrant.before.append(("POST /collections/aliases", lambda: qdrant.before.append(("GET /aliases", other_first))))
    with pytest.raises(StoreError, match="migrate it"):
        store.upsert(CHUNKS, *vectors_of(CHUNKS))
    assert not qdrant.collections["council-0badcafe"].points
    store.close()


def test_a_config_without_an_embedder_at_hand_loads_none_for_an_empty_server(qdrant: FakeQdrant) -> None:
    class Unloaded:
        model = "test"

        @property
        def dimension(self) -> int:
            raise AssertionError("the model was loaded")

    qdrant.collections["someone-elses"] = Points({})
    store = ServerStore(config_of(qdrant), Unloaded())
    assert store.count() == 0
    store.close()
