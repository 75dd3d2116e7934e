"""Index with the real embedder and store: what is counted, what is new, what a chunk carries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from council.config import RetrievalConfig, StoreConfig
from council.errors import ConfigError, StoreError
from council.retrieval import Embedder, IndexReport, Retriever
from council.retrieval.edge_store import EdgeStore
from council.retrieval.index import Index, chunk_id, searched_text
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.store import Chunk
from council.types import Question
from tests.retrieval.conftest import found_by

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
        {"text": "Gold is a metal.", "title": "Gold", "domain": "physics", "origin": "machine", "source": "a book"},
        {"text": "Gold is a metal.", "title": "Gold", "domain": "physics"},
        {"text": "x", "origin": "robot"},
    ]
    (folder / "gold.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return folder


def every(store: EdgeStore, embedder: Embedder, domain: str | None = None) -> list[Chunk]:
    return found_by(store, embedder.embed(["tide"])[0], SparseEmbedder().embed_query("tide"), domain=domain)


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
    assert index.add([tmp_path / "empty"]) == IndexReport(documents=0, chunks=0, new=0)
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


def test_an_id_is_the_hash_of_where_a_chunk_is() -> None:
    ids = {chunk_id(*x) for x in [("a", "b", "c", 0), ("a", "b", "c", 1), ("ab", "", "c", 0), ("a", "bc", "", 0)]}
    assert len(ids) == 4
    assert chunk_id("a", "b", "c", 0) == chunk_id("a", "b", "c", 0)


def test_chunks_longer_than_the_model_reads_are_refused(opened: EdgeStore, embedder: Embedder) -> None:
    index = Index(RetrievalConfig(chunk_tokens=300), opened, embedder, SparseEmbedder())
    with pytest.raises(ConfigError, match=r"retrieval\.chunk_tokens: 300 is more than the 254 tokens"):
        index.add([])


def texts(store: EdgeStore, tenant: str = "default") -> set[str]:
    return {c.text for c in store.chunks(tenant) if not c.held}


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    folder.mkdir()
    for name, fact in (
        ("ferry", "The ferry leaves at noon."),
        ("light", "The light was built in 1911."),
        ("mill", "The mill has six sails."),
    ):
        (folder / f"{name}.txt").write_text(fact)
    return folder


def test_what_has_changed_replaces_what_was_there(index: Index, opened: EdgeStore, handbook: Path) -> None:
    index.add([handbook])
    (handbook / "ferry.txt").write_text("The ferry leaves at one.")
    report = index.add([handbook])
    assert (report.new, report.unchanged, report.removed) == (1, 2, 1)
    assert report.changed == (str(handbook / "ferry.txt"),)
    assert texts(opened) == {"The ferry leaves at one.", "The light was built in 1911.", "The mill has six sails."}


def test_what_is_gone_goes_with_prune_alone(index: Index, opened: EdgeStore, handbook: Path) -> None:
    index.add([handbook])
    (handbook / "mill.txt").unlink()
    (handbook / "light.txt").write_bytes(bytes(range(256)) * 9)  # there, but no text any more: it is not gone
    assert index.add([handbook]).removed == 0 and opened.count() == 3
    told = index.add([handbook], prune=True, dry_run=True)
    assert told.pruned == (str(handbook / "mill.txt"),) and told.removed == 1 and opened.count() == 3
    assert index.add([handbook], prune=True).pruned == told.pruned
    assert texts(opened) == {"The ferry leaves at noon.", "The light was built in 1911."}
    assert not index.add([handbook / "ferry.txt"], prune=True).pruned  # only under the paths that are given


def test_a_dry_run_changes_nothing(index: Index, opened: EdgeStore, handbook: Path) -> None:
    assert index.add([handbook], dry_run=True).new == 3 and opened.count() == 0


def test_an_interrupted_run_goes_on_with_nothing_lost_and_nothing_double(
    index: Index, opened: EdgeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(60):
        (folder / f"{n}.md").write_text(
            f"# Number {n}\n\n" + " ".join(f"Fact {n} {word} stands alone here." for word in "abcdefghijklmnop")
        )
    monkeypatch.setattr("council.retrieval.index.WRITE", 50)
    write, calls = opened.upsert, list[int]()

    def dying(*args: Any) -> int:
        calls.append(1)
        if len(calls) == 3:
            raise StoreError("the machine went down")
        return write(*args)

    monkeypatch.setattr(opened, "upsert", dying)
    with pytest.raises(StoreError):
        index.add([folder])
    half = opened.count()
    assert half == 100
    report = index.add([folder])
    assert 0 < report.unchanged < 60 and report.chunks == opened.count()
    assert {d.whole for d in opened.documents("default")} == {True} and len(opened.documents("default")) == 60
    assert index.add([folder]).unchanged == 60


def test_what_another_document_says_is_held_back_and_comes_back_when_that_goes(index: Index, opened: EdgeStore, handbook: Path) -> None:
    copy = handbook / "zcopy.txt"
    copy.write_text("the FERRY leaves at noon")
    report = index.add([handbook])
    assert report.duplicates == 1 and len(texts(opened)) == 3
    held = [d for d in opened.documents("default") if d.held]
    assert [(d.file, d.held) for d in held] == [(str(copy), (f"duplicate of {handbook / 'ferry.txt'}",))]
    assert index.add([handbook]).unchanged == 4
    (handbook / "ferry.txt").unlink()
    index.add([handbook], prune=True)
    assert "the FERRY leaves at noon" in texts(opened)


def test_poor_text_is_held_back_with_the_reason(index: Index, opened: EdgeStore, handbook: Path) -> None:
    (handbook / "dump.txt").write_text("dGhpcyBpcyBub3QgdGV4dCBidXQgZGF0YSBpbiBiYXNlNjQ" * 8)
    report = index.add([handbook])
    assert report.poor >= 1 and len(texts(opened)) == 3
    assert next(d for d in opened.documents("default") if d.held).held[0].startswith("poor: ")


def test_tenants_do_not_hold_back_each_others_texts(index: Index, opened: EdgeStore, handbook: Path) -> None:
    for tenant in ("a", "b"):
        assert index.add([handbook], tenant=tenant).duplicates == 0
    assert texts(opened, "a") == texts(opened, "b") and len(texts(opened, "a")) == 3


def on_disk(folder: Path, content: bytes) -> bool:
    return any(content in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_changed_document_is_embedded_where_it_has_changed(embedder: Embedder, tmp_path: Path) -> None:
    embedded: list[int] = []

    class Counting(Embedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            embedded.append(len(texts))
            return super().embed(texts)

    note = tmp_path / "note.md"
    several = "# Tides\n\n" + "\n\n".join(f"## Part {n}\n\nThe tide of part {n} rises at {n} and falls at noon." for n in range(8))
    note.write_text(several)
    settings = RetrievalConfig(chunk_tokens=48, overlap_tokens=0, store=StoreConfig(path=str(tmp_path / "s")))
    with Retriever(settings, embedder=Counting(settings.embedder)) as retriever:
        first = retriever.index([note]).new
        assert sum(embedded) == first > 6
        embedded.clear()
        note.write_text(several + "\n\n## Part 9\n\nA word more.\n")
        assert retriever.index([note]).new == first + 1
        assert sum(embedded) == 1


def test_what_is_removed_is_gone_from_store_cache_and_disk(embedder: Embedder, tmp_path: Path) -> None:
    secret, kept = tmp_path / "secret.txt", tmp_path / "kept.txt"
    secret.write_text("The safe opens with the number 81726.")
    kept.write_text("The library opens at nine each morning.")
    folder = tmp_path / "s"
    with Retriever(RetrievalConfig(store=StoreConfig(path=str(folder))), embedder=embedder) as retriever:
        retriever.index([secret, kept])
        vectors = embedder.embed([searched_text(p.title, p.text) for file in (secret, kept) for p in retriever.passages(file)])
        assert on_disk(folder, b"81726") and on_disk(folder, vectors[0].tobytes())
        assert retriever.remove([secret]) == 1
        assert not on_disk(folder, b"81726") and not on_disk(folder, vectors[0].tobytes())
        assert on_disk(folder, b"library opens") and on_disk(folder, vectors[1].tobytes())
        kept.unlink()
        assert retriever.index([tmp_path], prune=True).pruned == (str(kept),)
        assert not on_disk(folder, b"library opens") and not on_disk(folder, vectors[1].tobytes())


def test_what_the_council_said_comes_back_as_its_own(embedder: Embedder, tmp_path: Path) -> None:
    long = "Bertram has kept the lighthouse on the north cape since the storm of that winter, and his daughter will keep it after him."
    row = {"title": "Lighthouse", "text": long, "origin": "human"}
    (tmp_path / "web.jsonl").write_text(json.dumps(row))
    (tmp_path / "other.jsonl").write_text(json.dumps(row | {"text": "Nobody knows who built the lighthouse, or in which year it was."}))
    with Retriever(RetrievalConfig(store=StoreConfig(path=str(tmp_path / "s"))), embedder=embedder) as retriever:
        asked = Question(text="Who keeps the lighthouse on the north cape?")
        retriever.record(asked, [long], [])
        retriever.index([tmp_path])
        retriever.index([tmp_path], tenant="other")
        origins = {p.text[:7]: p.provenance.origin for f in ("web", "other") for p in retriever.passages(tmp_path / f"{f}.jsonl")}
        assert origins == {"Bertram": "council", "Nobody ": "human"}
        assert [d.provenance.origin for d in retriever.documents("other")] == ["human", "human"]
        found = retriever.search(asked)
        assert [out.why for out in found.left_out] == ["the council said it itself, and that may take 0 of 4 places"]
        assert all(p.provenance.origin != "council" for p in found.passages)
