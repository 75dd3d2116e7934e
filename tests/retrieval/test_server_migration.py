"""Migration: the same passages under another embedder's vectors, switched to at once, whatever comes between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval import server_migration
from council.retrieval.server_client import Patience
from council.retrieval.server_collections import Version
from council.retrieval.server_migration import migrate
from council.retrieval.server_store import ServerStore
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.store import Chunk

from .conftest import Space, make_chunk, vectors_of
from .fake_qdrant import FakeQdrant, Points

SHORT = Patience(attempts=2, first_s=0.01, longest_s=0.02, jitter_s=0.01)
BATCH = 20
CHUNKS = [make_chunk(f"neutron {n}", title="N" if n % 2 else "", tenant=("anna", "bo")[n % 3 == 0]) for n in range(2 * BATCH + 10)]
HELD = make_chunk("held back", tenant="anna").model_copy(update={"held": "poor"})
ALL = [*CHUNKS, HELD]
SWITCH = "POST /collections/aliases"


@dataclass
class Other:
    """Another embedder: of another model and dimension, and vectors that are told by their text."""

    model: str = "other"
    dimension: int = 4
    texts: list[str] = field(default_factory=list)
    before: Callable[[int], None] = lambda calls: None
    calls: int = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls += 1
        self.before(self.calls)
        self.texts += texts
        return np.array([self.vector(text) for text in texts], np.float32)

    def vector(self, text: str) -> list[float]:
        return [1.0, *(float(byte) / 255 for byte in text.encode()[-3:])]

    @property
    def collection(self) -> str:
        return Version(self.model, self.dimension).collection("council")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_migration, "BATCH", BATCH)


@pytest.fixture
def old(config: StoreConfig) -> Iterator[ServerStore]:
    made = ServerStore(config, Space(), SHORT)
    made.upsert(ALL, *vectors_of(ALL))
    yield made
    made.close()


def run(config: StoreConfig, other: Other, drop_old: bool = False, progress: Callable[[int, int], None] | None = None) -> int:
    return migrate(config, other, SparseEmbedder().embed_document, progress, drop_old, SHORT)


def texts(store: ServerStore) -> list[str]:
    return sorted(c.text for tenant in ("anna", "bo") for c in store.chunks(tenant))


def check(config: StoreConfig, other: Other, chunks: Sequence[Chunk] = ALL) -> None:
    """The council reads all of it under the other embedder, and finds it by its own vectors."""
    store = ServerStore(config, other, SHORT)
    assert {c.id: c for tenant in ("anna", "bo") for c in store.chunks(tenant)} == {c.id: c for c in chunks}
    some = chunks[1]
    searched = f"{some.title}\n{some.text}" if some.title else some.text
    by_vector, by_words = store.nearest(
        [np.array(other.vector(searched), np.float32), SparseEmbedder().embed_query(some.text)], 3, some.tenant
    )
    assert by_vector[0][1] == pytest.approx(1.0, abs=1e-5)
    assert by_words[0][0] == some.id
    store.close()


def test_all_is_copied_and_the_alias_is_switched_at_once(qdrant: FakeQdrant, config: StoreConfig, old: ServerStore) -> None:
    other, seen, steps = Other(), [], []
    qdrant.before.append((SWITCH, lambda: seen.append((qdrant.aliases["council"], len(qdrant.collections[other.collection].points)))))
    assert run(config, other, progress=lambda done, all: steps.append((done, all))) == len(ALL)
    check(config, other)
    was = Version("test", 8).collection("council")
    assert seen == [(was, len(ALL))]
    assert [list(a) for a in qdrant.sent(SWITCH)[-1].body["actions"]] == [["delete_alias"], ["create_alias"]]
    assert steps == [(BATCH, len(ALL)), (2 * BATCH, len(ALL)), (len(ALL), len(ALL))]
    assert sorted(other.texts) == sorted(f"{c.title}\n{c.text}" if c.title else c.text for c in CHUNKS)  # and not what is held
    assert "dense" not in qdrant.collections[other.collection].points[HELD.id]["vector"]
    assert set(qdrant.collections) == {was, other.collection}
    assert run(config, other) == 0 and len(other.texts) == len(CHUNKS)  # there is nothing left to do
    with pytest.raises(StoreError, match="migrate it"):
        ServerStore(config, Space(), SHORT)


def test_the_old_collection_goes_if_asked(qdrant: FakeQdrant, config: StoreConfig, old: ServerStore) -> None:
    other = Other()
    run(config, other, drop_old=True)
    assert list(qdrant.collections) == [other.collection] and qdrant.aliases == {"council": other.collection}
    check(config, other)


def test_there_and_back(qdrant: FakeQdrant, config: StoreConfig, old: ServerStore) -> None:
    other = Other()
    run(config, other)
    store = ServerStore(config, other, SHORT)
    store.remove("anna", "held back")
    store.close()
    back = Other("test", 8)
    back.vector = lambda text: [1.0] * 8  # type: ignore[method-assign]
    assert run(config, back) == 0 == len(back.texts)  # what is there is of this model
    assert old.count() == len(CHUNKS)


def test_what_was_broken_off_goes_on(qdrant: FakeQdrant, config: StoreConfig, old: ServerStore) -> None:
    def interrupt(calls: int) -> None:
        if calls == 2:
            raise KeyboardInterrupt

    first = Other(before=interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(config, first)
    assert old.count() == len(ALL) and texts(old) == sorted(c.text for c in ALL)
    gone, changed = old.chunks("anna"), next(c for c in CHUNKS if c.text in first.texts and c.tenant == "anna")
    left = next(c for c in gone if c.text in first.texts and c.id != changed.id)
    old.remove("anna", left.file)
    changed = changed.model_copy(update={"held": "duplicate of another"})
    old.upsert([changed], *vectors_of([changed]))
    second = Other()
    written = run(config, second)
    assert written == len(ALL) - BATCH + 1 and len(second.texts) == len(ALL) - BATCH - (HELD.text not in first.texts)
    wanted = {c.id: c for c in ALL} | {changed.id: changed}
    del wanted[left.id]
    store = ServerStore(config, second, SHORT)
    assert {c.id: c for tenant in ("anna", "bo") for c in store.chunks(tenant)} == wanted
    store.close()


@pytest.mark.parametrize("path", [r"PUT .*/points$", "scroll", SWITCH])
def test_a_server_that_fails_leaves_the_old_collection_in_use(
    qdrant: FakeQdrant, config: StoreConfig, old: ServerStore, path: str
) -> None:  # fmt: skip
    qdrant.before.append((path, lambda: qdrant.fail(path, 503, times=SHORT.attempts, text="shard is down")))
    if path == SWITCH:
        qdrant.fail(path, 503, times=SHORT.attempts, text="shard is down")
    with pytest.raises(StoreError) as caught:
        run(config, Other())
    assert "503: shard is down" in str(caught.value) and "\n" not in str(caught.value)
    if path != SWITCH:
        assert f"; {BATCH} of {len(ALL)} passages are copied, and migrating again goes on" in str(caught.value)
    assert old.count() == len(ALL)
    qdrant.heal()
    other = Other()
    assert run(config, other) == (len(ALL) - BATCH if path != SWITCH else 0)
    check(config, other)


def test_a_collection_that_keeps_changing_is_left_as_it_is(qdrant: FakeQdrant, config: StoreConfig, old: ServerStore) -> None:
    def write(calls: int) -> None:
        late = [make_chunk(f"late {calls}", tenant="bo")]
        late[0] = late[0].model_copy(update={"id": f"00000000-0000-0000-0000-{calls:012}"})  # before the page that is read
        old.upsert(late, *vectors_of(late))

    with pytest.raises(StoreError, match="changes while it is migrated, and is left as it is: stop what writes to it and migrate again"):
        run(config, Other(before=write))
    assert qdrant.aliases["council"] == Version("test", 8).collection("council")
    assert run(config, Other()) > 0


def test_vectors_that_are_wrong_are_not_switched_to(qdrant: FakeQdrant, config: StoreConfig, old: ServerStore) -> None:
    wrong = Other()
    wrong.vector = lambda text: [float("nan")] * 4  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="not finite"):
        run(config, wrong)
    wrong.vector = lambda text: [1.0] * 3  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="the store wants"):
        run(config, wrong)
    assert old.count() == len(ALL) and qdrant.aliases["council"] != wrong.collection


def earlier(qdrant: FakeQdrant, config: StoreConfig) -> None:
    """A collection of an earlier release, without an alias, filled."""
    vectors = {"dense": {"size": 8, "distance": "Cosine"}}
    qdrant.collections["council"] = Points({"vectors": vectors, "sparse_vectors": {"sparse": {"modifier": "idf"}}})
    store = ServerStore(config, Space(), SHORT)
    store.upsert(ALL, *vectors_of(ALL))
    store.close()


def test_a_collection_of_an_earlier_release_makes_way_for_the_alias(qdrant: FakeQdrant, config: StoreConfig) -> None:
    earlier(qdrant, config)
    other = Other()
    with pytest.raises(StoreError, match="bears the name that the alias needs: migrate with drop_old"):
        run(config, other)
    assert list(qdrant.collections) == ["council"]
    assert run(config, other, drop_old=True) == len(ALL)
    assert list(qdrant.collections) == [other.collection] and qdrant.aliases == {"council": other.collection}
    check(config, other)


def test_nothing_is_lost_between_it_and_the_alias(qdrant: FakeQdrant, config: StoreConfig) -> None:
    earlier(qdrant, config)
    other = Other()
    qdrant.fail(SWITCH, 503, times=SHORT.attempts)
    with pytest.raises(StoreError, match="503"):
        run(config, other, drop_old=True)
    assert qdrant.aliases == {} and list(qdrant.collections) == [other.collection]
    check(config, other)
    assert run(config, other) == 0
    assert qdrant.aliases == {"council": other.collection}


def test_an_empty_server_is_made_ready(qdrant: FakeQdrant, config: StoreConfig) -> None:
    other = Other()
    assert run(config, other) == 0 == other.calls
    assert qdrant.aliases == {"council": other.collection}


def test_a_server_without_metadata_migrates_too() -> None:
    with FakeQdrant(metadata=False) as qdrant:
        config = StoreConfig(kind="server", url=qdrant.url)
        store = ServerStore(config, Space(), SHORT)
        store.upsert(ALL, *vectors_of(ALL))
        store.close()
        other = Other()
        assert run(config, other) == len(ALL)
        check(config, other)
        assert run(config, other) == 0


def test_what_is_not_the_councils_is_not_migrated(qdrant: FakeQdrant, config: StoreConfig) -> None:
    qdrant.collections["mine"], qdrant.aliases["council"] = Points({"vectors": {"size": 4, "distance": "Dot"}}), "mine"
    qdrant.collections["mine"].config["vectors"] = {"other": {"size": 4, "distance": "Dot"}}
    with pytest.raises(StoreError, match="is not one of the council's"):
        run(config, Other(), drop_old=True)
    assert list(qdrant.collections) == ["mine"]
