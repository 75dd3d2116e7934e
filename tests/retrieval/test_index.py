"""Index with the real embedder and store: what is counted, what is new, what a chunk carries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from council.config import RetrievalConfig
from council.errors import ConfigError
from council.retrieval import Embedder
from council.retrieval.edge_store import EdgeStore
from council.retrieval.index import Index, chunk_id
from council.retrieval.sparse import SparseEmbedder
from council.types import Passage

LONG = "# Tides\n\n" + "\n\n".join(f"## Part {n}\n\n" + f"The tide of part {n} rises and falls. " * 12 for n in range(3))


@pytest.fixture
def opened(tmp_path: Path, embedder: Embedder) -> EdgeStore:
    return EdgeStore(tmp_path / "store", embedder)


@pytest.fixture
def index(opened: EdgeStore, embedder: Embedder) -> Index:
    return Index(RetrievalConfig(chunk_tokens=48, overlap_tokens=8), opened, embedder, SparseEmbedder())


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "tides.md").write_text(LONG)
    (folder / "bad.txt").write_bytes(b"\xff")
    lines: list[object] = [
        {"text": "Gold is a metal.", "title": "Gold", "domain": "physics", "origin": "generated", "source": "a book"},
        {"text": "Gold is a metal.", "title": "Gold", "domain": "physics"},
        {"text": "x", "origin": "robot"},
    ]
    (folder / "gold.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return folder


def every(store: EdgeStore, embedder: Embedder, domain: str | None = None) -> list[Passage]:
    return store.query(embedder.embed(["tide"])[0], SparseEmbedder().embed_query("tide"), 100, 100, domain, "default")


def test_indexing_twice_adds_nothing(index: Index, opened: EdgeStore, documents: Path) -> None:
    first = index.add([documents])
    assert (first.documents, first.new) == (3, first.chunks)
    assert opened.count() == first.chunks > 3
    again = index.add([documents])
    assert (again.new, again.chunks) == (0, first.chunks)
    assert opened.count() == first.chunks


def test_what_is_skipped_is_named(index: Index, documents: Path) -> None:
    skipped = dict(index.add([documents, documents / "no.txt"]).skipped)
    assert set(skipped) == {str(documents / "bad.txt"), f"{documents / 'gold.jsonl'}:3", str(documents / "no.txt")}


def test_nothing_to_index_is_a_report(index: Index, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert index.add([tmp_path / "empty"]).model_dump() == {"documents": 0, "chunks": 0, "new": 0, "skipped": ()}
    assert index.add([]).chunks == 0


def test_chunks_carry_titles_domain_and_provenance(index: Index, opened: EdgeStore, embedder: Embedder, documents: Path) -> None:
    index.add([documents], domain="sea")
    (gold,) = every(opened, embedder, "physics")
    assert (gold.title, gold.text) == ("Gold", "Gold is a metal.")
    tides = every(opened, embedder, "sea")
    assert {p.title for p in tides} == {"Tides: Part 0", "Tides: Part 1", "Tides: Part 2"}
    assert {p.provenance.source for p in tides} == {str(documents / "tides.md")}
    assert len({p.provenance.document for p in tides}) == 1
    assert all(embedder.token_count(p.text) <= 48 for p in tides)
    assert len({p.text for p in tides}) == len(tides)


def test_progress_ends_at_the_total(index: Index, documents: Path) -> None:
    calls: list[tuple[int, int]] = []
    report = index.add([documents], progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (report.chunks, report.chunks)
    assert calls == sorted(calls)


def test_an_id_is_the_hash_of_what_a_chunk_is() -> None:
    ids = {chunk_id(*x) for x in [("a", "b", "c", "d"), ("a", "b", "c", None), ("ab", "", "c", "d"), ("a", "b", "cd", "")]}
    assert len(ids) == 4
    assert chunk_id("a", "b", "c", "d") == chunk_id("a", "b", "c", "d")


def test_chunks_longer_than_the_model_reads_are_refused(opened: EdgeStore, embedder: Embedder) -> None:
    index = Index(RetrievalConfig(chunk_tokens=300), opened, embedder, SparseEmbedder())
    with pytest.raises(ConfigError, match=r"retrieval\.chunk_tokens: 300 is more than the 254 tokens"):
        index.add([])
