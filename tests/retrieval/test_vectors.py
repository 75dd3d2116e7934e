"""VectorCache: the same vectors as without it, each computed once, gone when forgotten, and never in the way."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from council.errors import EmbedderError, StoreError
from council.retrieval import vectors
from council.retrieval.vectors import LOOKUPS, VectorCache

DIMENSION = 48
TEXTS = st.lists(st.one_of(st.sampled_from("abcdefgh"), st.text(max_size=5)), max_size=12)
STEPS = st.lists(st.tuples(st.sampled_from(["embed", "forget"]), TEXTS), max_size=12)
NO_DATABASE = b"this is no database, but a text that is long enough to pass for one" * 40


class Model:
    """Texts -> vectors that depend on nothing else, of any float32 that is finite; and how it was asked."""

    def __init__(self, dimension: int = DIMENSION) -> None:
        self.dimension = dimension
        self.calls: list[list[str]] = []

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        self.calls.append(texts)
        return self.rows(texts)

    def rows(self, texts: list[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            seed = int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
            bits = np.random.default_rng(seed).integers(0, 1 << 32, self.dimension, np.uint32).view(np.float32)
            row[:] = np.where(np.isfinite(bits), bits, np.float32(-0.0))
        return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "vectors.sqlite"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("a small file system can't be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def pieces(row: NDArray[np.float32]) -> tuple[bytes, bytes, bytes]:
    """The beginning, the middle and the end of a vector, 32 bytes of each."""
    content = row.tobytes()
    middle = len(content) // 2
    return content[:32], content[middle : middle + 32], content[-32:]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@given(STEPS)
def test_vectors_are_as_without_it_and_only_what_is_missing_is_computed(steps: list[tuple[str, list[str]]]) -> None:
    cache, known = VectorCache(None, "m", DIMENSION), set[str]()
    for step, texts in steps:
        model = Model()
        if step == "embed":
            rows = cache.embed(texts, model)
            assert rows.dtype == np.float32 and rows.shape == (len(texts), DIMENSION)
            assert rows.tobytes() == model.rows(texts).tobytes()
            missing = [text for text in dict.fromkeys(texts) if text not in known]
            assert model.calls == ([missing] if missing else [])
            known |= set(texts)
        else:
            assert cache.forget(texts) == len(known & set(texts))
            known -= set(texts)
    cache.close()


def test_what_is_given_out_is_the_callers(path: Path) -> None:
    cache, model = VectorCache(path, "m", DIMENSION), Model()
    for _ in range(2):
        rows = cache.embed(["a"], model)
        assert rows.tobytes() == model.rows(["a"]).tobytes()
        rows += 1
    cache.close()


def test_vectors_survive_closing_and_are_one_models(path: Path) -> None:
    texts = [f"text {n}" for n in range(2 * LOOKUPS + 1)]
    model, other, wider = Model(), Model(), Model(DIMENSION + 1)
    for name, made in (("m", model), ("other", other), ("wide", wider), ("m", model), ("other", other), ("wide", wider)):
        cache = VectorCache(path, name, made.dimension)
        assert cache.embed(texts, made).tobytes() == made.rows(texts).tobytes()
        cache.close()
    assert model.calls == other.calls == wider.calls == [texts]
    # The same name with another dimension is another model, and a name that ends as a text begins is not that text.
    cache = VectorCache(path, "m", wider.dimension)
    assert cache.embed(texts[:3], wider).shape == (3, wider.dimension)
    cache.close()
    cache = VectorCache(path, "mtext", DIMENSION)
    cache.embed([" 1"], model)
    assert model.calls[1:] == [[" 1"]]
    cache.close()


@pytest.mark.parametrize("dimension", [4, 48, 384, 1500])
def test_nothing_of_a_forgotten_vector_is_left_in_the_file(path: Path, dimension: int) -> None:
    """Of many that come and go, so that the file's pages fill, are split and are used again. The text's hash goes too, by which
    it could be told that it was there."""
    random = np.random.default_rng(0)
    model, cache = Model(dimension), VectorCache(path, "m", dimension)
    known: list[str] = []
    gone: list[str] = []
    for turn in range(4):
        new = [f"text {turn} {n}" for n in range(200)]
        for start in range(0, len(new), 50):
            cache.embed(new[start : start + 50], model)
        random.shuffle(known := known + new)
        for _ in range(2):
            assert cache.forget(known[:60]) == 60
            gone, known = gone + known[:60], known[60:]
        content = path.read_bytes()
        assert not any(sha256(sha256(b"m").digest() + text.encode()).digest() in content for text in gone)
        assert all(sha256(sha256(b"m").digest() + text.encode()).digest() in content for text in known)
        assert not any(piece in content for row in model.rows(gone) for piece in pieces(row))
        # This test can see what is there. A longer vector may be cut within a piece.
        assert all(piece in content for row in model.rows(known) for piece in pieces(row)) or dimension > 500
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    cache.close()


def test_what_the_model_raises_is_raised_and_nothing_is_kept() -> None:
    cache = VectorCache(None, "m", 3)

    def fail(texts: list[str]) -> NDArray[np.float32]:
        raise EmbedderError("no model")

    with pytest.raises(EmbedderError, match="no model"):
        cache.embed(["a"], fail)
    for shape in ((1, 3), (2, 2), (3,)):
        with pytest.raises(EmbedderError, match="of 2 texts, not 3 of each"):
            cache.embed(["a", "b"], lambda texts, shape=shape: np.zeros(shape, np.float32))  # type: ignore[misc]
    assert cache.forget(["a", "b"]) == 0
    # A vector that the store will refuse is not kept either: the model may be repaired.
    assert np.isnan(cache.embed(["a", "b"], lambda texts: np.array([[0, 0, 0], [0, np.nan, 0]], np.float32))[1, 1])
    assert cache.forget(["a", "b"]) == 1
    cache.close()


@pytest.mark.parametrize("content", [NO_DATABASE, b"SQLite format 3\0" + b"x" * 8192])
def test_a_file_that_is_no_database_is_replaced(path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    model = Model()
    for _ in range(2):
        cache = VectorCache(path, "m", DIMENSION)
        assert cache.embed(["a", "b"], model).tobytes() == model.rows(["a", "b"]).tobytes()
        cache.close()
    assert model.calls == [["a", "b"]]
    (warning,) = warnings(caplog)
    assert "vectors.sqlite can't be used: file is not a database; it was replaced by an empty one" in warning


def test_a_damaged_file_is_replaced_when_it_is_met(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts, model = [f"text {n}" for n in range(500)], Model()
    cache = VectorCache(path, "m", DIMENSION)
    cache.embed(texts, model)
    cache.close()
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + b"\xff" * third + content[2 * third :])
    for _ in range(2):
        cache = VectorCache(path, "m", DIMENSION)
        assert cache.embed(texts, model).tobytes() == model.rows(texts).tobytes()
        cache.close()
    assert len(model.calls) == 2
    (warning,) = warnings(caplog)
    assert "malformed; it was replaced" in warning


def use_without(cache: VectorCache, caplog: pytest.LogCaptureFixture) -> str:
    """Vectors come, computed each time; returns the one warning."""
    model = Model()
    for _ in range(3):
        assert cache.embed(["a", "b", "a"], model).tobytes() == model.rows(["a", "b", "a"]).tobytes()
    assert model.calls == [["a", "b"]] * 3
    (warning,) = warnings(caplog)
    assert warning.endswith("vectors are computed without it") and "\n" not in warning
    return warning


def test_a_path_that_is_no_file_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("a file")
    for path in (tmp_path, tmp_path / "file" / "vectors.sqlite"):
        caplog.clear()
        cache = VectorCache(path, "m", DIMENSION)
        assert str(path) in use_without(cache, caplog)
        with pytest.raises(StoreError, match=r"can't be removed from .*remove the file, it is only a cache"):
            cache.forget(["a"])
        cache.close()


def test_another_programs_database_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE vectors (x, y)")
    db.close()
    before = path.read_bytes()
    use_without(VectorCache(path, "m", DIMENSION), caplog)
    assert path.read_bytes() == before


def test_a_file_that_another_process_locks_is_done_without(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "PATIENCE_S", 0.1)
    cache = VectorCache(path, "m", DIMENSION)
    cache.embed(["c"], Model())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "locked" in use_without(cache, caplog)
    with pytest.raises(StoreError, match="locked"):
        cache.forget(["c"])
    other.execute("ROLLBACK")
    other.close()
    # What has to be forgotten is, although nothing is looked up any more.
    assert cache.forget(["c"]) == 1
    cache.close()


def test_a_full_disk_is_done_without(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache, model, texts = VectorCache(small_disk / "vectors.sqlite", "m", 4096), Model(4096), [str(n) for n in range(100)]
    assert cache.embed(texts, model).tobytes() == model.rows(texts).tobytes()
    (warning,) = warnings(caplog)
    assert "full; vectors are computed without it" in warning
    cache.close()
    cache = VectorCache(small_disk / "vectors.sqlite", "m", 4096)
    assert cache.embed(texts[:2], model).tobytes() == model.rows(texts[:2]).tobytes()
    cache.close()


def test_a_closed_cache_computes(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache, model = VectorCache(path, "m", DIMENSION), Model()
    cache.embed(["a"], model)
    cache.close()
    cache.close()
    assert cache.embed(["a"], model).tobytes() == model.rows(["a"]).tobytes()
    assert model.calls == [["a"], ["a"]] and not warnings(caplog)
    assert cache.forget(["a"]) == 1


def test_threads_share_a_cache(path: Path) -> None:
    cache, model = VectorCache(path, "m", DIMENSION), Model()
    parts = [[f"text {n}" for n in range(start, start + 30)] for start in range(0, 300, 10)]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda texts: cache.embed(texts, model), parts))
    assert all(got.tobytes() == model.rows(texts).tobytes() for got, texts in zip(rows, parts, strict=True))
    assert cache.forget(sorted({text for texts in parts for text in texts})) == 320
    cache.close()


def test_processes_share_a_file(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import numpy as np; from council.retrieval.vectors import VectorCache\n"
        "cache = VectorCache(Path(sys.argv[1]), 'm', 4)\n"
        "for n in range(40): cache.embed([f'{n}', f'{n} {sys.argv[2]}'], lambda texts: np.ones((len(texts), 4), np.float32))\n"
        "cache.close()\n"
    )
    with ThreadPoolExecutor(3) as pool:
        commands = [[sys.executable, "-c", code, str(path), name] for name in "abc"]
        done = list(pool.map(lambda command: subprocess.run(command, capture_output=True, text=True, check=False, timeout=120), commands))
    assert [(d.returncode, d.stderr) for d in done] == [(0, "")] * 3
    cache = VectorCache(path, "m", 4)
    assert cache.forget([f"{n}{end}" for n in range(40) for end in ("", " a", " b", " c")]) == 160
    cache.close()
