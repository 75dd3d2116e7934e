"""EdgeStore on real disks: what survives, who may open it, and what a bad folder or a full disk says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from council.errors import StoreError, StoreInUse
from council.retrieval import edge_store
from council.retrieval.edge_store import CURRENT, EdgeStore
from council.retrieval.sparse import SparseEmbedder, SparseVector

from .conftest import DIMENSION, Space, found_by, make_chunk, vectors_of

CHUNKS = [
    make_chunk("neutrons have no charge", "physics"),
    make_chunk("insulin lowers sugar", "medicine"),
    make_chunk("neutrons in reactors", "energy"),
    make_chunk("neutrons of another tenant", "physics", tenant="other"),
    make_chunk("neutrons without a domain"),
]


def filled(path: Path) -> EdgeStore:
    store = EdgeStore(path, Space())
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    return store


def found(store: EdgeStore, text: str, domain: str | None = None, tenant: str = "default", limit: int = 10) -> list[str]:
    dense = vectors_of(CHUNKS)[0][0]
    return [c.text for c in found_by(store, dense, SparseEmbedder().embed_query(text), limit, domain, tenant)]


def test_an_empty_store_finds_nothing(store: EdgeStore) -> None:
    assert store.count() == 0
    assert found(store, "neutrons") == []


def test_each_query_finds_by_its_own_vector_and_scores_fall(store: EdgeStore) -> None:
    dense, sparse = vectors_of(CHUNKS)
    store.upsert(CHUNKS, dense, sparse)
    # The dense vector is the first chunk's, the word the second's.
    by_vector, by_word, by_nothing = store.nearest([dense[0], SparseEmbedder().embed_query("insulin"), SparseVector((), ())], 10, "default")
    assert by_vector[0][0] == CHUNKS[0].id and by_vector[0][1] == pytest.approx(1.0, abs=1e-5)
    assert [id for id, _ in by_word] == [CHUNKS[1].id]
    assert by_nothing == []
    scores = [score for _, score in by_vector]
    assert scores == sorted(scores, reverse=True) and len(scores) == sum(c.tenant == "default" for c in CHUNKS)


def test_chunks_are_fetched_with_their_vectors_by_their_tenant_alone(store: EdgeStore) -> None:
    dense, sparse = vectors_of(CHUNKS)
    held = make_chunk("held back").model_copy(update={"held": "poor"})
    store.upsert([*CHUNKS, held], np.vstack([dense, dense[:1]]), [*sparse, sparse[0]])
    found = store.fetch([c.id for c in (*CHUNKS, held)], "default")
    assert {id: s.chunk for id, s in found.items()} == {c.id: c for c in (*CHUNKS, held) if c.tenant == "default"}
    vector = found[CHUNKS[0].id].vector
    assert vector is not None and vector == pytest.approx(dense[0] / np.linalg.norm(dense[0]), abs=1e-5)
    assert found[held.id].vector is None
    assert store.fetch([], "default") == {} == store.fetch([str(uuid.uuid4())], "default")


def test_the_same_query_gives_the_same_order(tmp_path: Path) -> None:
    chunks = [make_chunk(f"neutron number {n} of {n % 3}") for n in range(40)]
    with_words = SparseEmbedder().embed_query("neutron number 2")
    dense, sparse = vectors_of(chunks)
    store = EdgeStore(tmp_path / "s", Space())
    store.upsert(chunks, dense, sparse)
    orders = {tuple(c.id for c in found_by(store, dense[3], with_words, 20)) for _ in range(20)}
    store.close()
    assert len(orders) == 1


def test_domain_and_tenant_filter_both_queries(store: EdgeStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    assert set(found(store, "neutrons")) == {c.text for c in CHUNKS if c.tenant == "default"}
    assert found(store, "neutrons", "physics") == ["neutrons have no charge"]
    assert found(store, "neutrons", "physics", "other") == ["neutrons of another tenant"]
    assert found(store, "neutrons", "law") == []
    assert found(store, "neutrons", None, "nobody") == []


def test_a_query_of_stop_words_alone_is_dense(store: EdgeStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    assert found(store, "the")[0] == CHUNKS[0].text


def test_upsert_counts_what_is_new(store: EdgeStore) -> None:
    dense, sparse = vectors_of(CHUNKS)
    assert store.upsert(CHUNKS[:2], dense[:2], sparse[:2]) == 2
    assert store.upsert(CHUNKS, dense, sparse) == 3
    assert store.upsert(CHUNKS, dense, sparse) == 0
    twice = [make_chunk("again"), make_chunk("again")]
    assert store.upsert(twice, *vectors_of(twice)) == 1
    assert store.upsert([], np.zeros((0, DIMENSION), np.float32), []) == 0
    assert store.count() == len(CHUNKS) + 1


def test_content_survives_closing(tmp_path: Path) -> None:
    filled(tmp_path / "s").close()
    again = EdgeStore(tmp_path / "s", Space())
    assert again.count() == len(CHUNKS)
    assert found(again, "neutrons", "physics") == ["neutrons have no charge"]
    again.close()


def test_content_survives_a_killed_process(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from retrieval.test_edge_store import filled\n"
        "filled(Path(sys.argv[1])); os.kill(os.getpid(), 9)\n"
    )
    assert run(code, tmp_path / "s").returncode == -9
    again = EdgeStore(tmp_path / "s", Space())
    assert again.count() == len(CHUNKS)
    again.close()


def test_an_interrupted_creation_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "s" / "building" / "shard").mkdir(parents=True)
    (tmp_path / "s" / "building" / "store.json").write_text("{")
    store = filled(tmp_path / "s")
    assert store.count() == len(CHUNKS)
    assert not (tmp_path / "s" / "building").exists()
    store.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.count()


def test_threads_share_a_store(store: EdgeStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    many = [[make_chunk(f"chunk {n} {m}") for m in range(5)] for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        new = sum(pool.map(lambda chunks: store.upsert(chunks, *vectors_of(chunks)), many))
        results = list(pool.map(lambda _: found(store, "insulin", "medicine"), range(20)))
    assert new == 40
    assert results == [["insulin lowers sugar"]] * 20


def test_a_second_process_is_refused_and_told_who_holds_the_store(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    code = (
        "import sys; from pathlib import Path\n"
        "from retrieval.conftest import Space; from council.retrieval.edge_store import EdgeStore\n"
        "from council.errors import StoreInUse\n"
        "try: EdgeStore(Path(sys.argv[1]), Space()).close(); print('opened')\n"
        "except StoreInUse as exc: print(exc)\n"
    )
    refused = run(code, tmp_path / "s").stdout
    assert str(tmp_path / "s") in refused
    assert f"process {os.getpid()}:" in refused
    assert refused.count("\n") == 1
    assert found(store, "neutrons", "physics")
    store.close()
    assert run(code, tmp_path / "s").stdout == "opened\n"


def test_a_second_store_in_one_process_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    with pytest.raises(StoreInUse):
        EdgeStore(tmp_path / "s", Space())
    store.close()


def test_a_file_in_the_way_and_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/no-such/store")):
        with pytest.raises(StoreError, match=r"set retrieval\.store\.path") as caught:
            EdgeStore(path, Space())
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_folder_of_other_files_is_not_filled(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match=r"holds other files \('thesis.tex'\)"):
        EdgeStore(tmp_path, Space())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_vectors_of_another_model_are_refused(tmp_path: Path) -> None:
    filled(tmp_path / "s").close()
    with pytest.raises(StoreError, match="holds vectors of 'test', not of 'other'"):
        EdgeStore(tmp_path / "s", Space(model="other"))
    EdgeStore(tmp_path / "s", Space()).close()


@pytest.mark.parametrize("about", ["", "[]", "{}", json.dumps({"format": 99, "model": "test", "dimension": 8})])
def test_a_damaged_description_is_one_line(tmp_path: Path, about: str) -> None:
    filled(tmp_path / "s").close()
    (tmp_path / "s" / CURRENT / "store.json").write_text(about)
    with pytest.raises(StoreError, match="index again"):
        EdgeStore(tmp_path / "s", Space())


def test_a_wrong_dimension_changes_nothing(store: EdgeStore) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    with pytest.raises(StoreError, match="the store wants"):
        store.upsert(CHUNKS[:1], np.ones((1, 3), np.float32), [SparseVector((), ())])
    with pytest.raises(StoreError, match="dim"):
        store.nearest([np.ones(3, np.float32)], 1, "default")
    assert store.count() == len(CHUNKS)


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path, store: EdgeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.upsert(CHUNKS, *vectors_of(CHUNKS))
    monkeypatch.setattr(edge_store, "WRITE_RESERVE", 1 << 60)
    late = [make_chunk("late")]
    with pytest.raises(StoreError, match="no space left"):
        store.upsert(late, *vectors_of(late))
    assert store.count() == len(CHUNKS)
    with pytest.raises(StoreError, match="no space left"):
        EdgeStore(tmp_path / "new", Space())
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["council.lock"]


def test_a_failed_write_leaves_earlier_content(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from retrieval.conftest import make_chunk, vectors_of; from retrieval.test_edge_store import filled, found\n"
        "from council.errors import StoreError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = filled(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "late = [make_chunk(f'late {n}') for n in range(500)]\n"
        "try: store.upsert(late, *vectors_of(late))\n"
        "except StoreError as exc: print(exc)\n"
        "print(found(store, 'neutrons', 'physics'))\n"
    )
    done = run(code, tmp_path / "s")
    refused, after = done.stdout.splitlines()
    assert "can't be written" in refused
    assert after == "['neutrons have no charge']"
    again = EdgeStore(tmp_path / "s", Space())
    assert found(again, "neutrons", "physics") == ["neutrons have no charge"]
    again.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small file system can't be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_small_disk_is_an_error_and_not_a_crash(small_disk: Path) -> None:
    code = "import sys; from pathlib import Path; from retrieval.test_edge_store import filled; filled(Path(sys.argv[1]))"
    done = run(code, small_disk / "s")
    assert done.returncode == 1
    assert "StoreError: no space left for the store" in done.stderr


def run(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process that sees the tests, with `path` as its argument."""
    tests = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=env, check=False)
