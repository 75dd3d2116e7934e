"""Retriever as a user has it: real documents, real model, real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import council.retrieval
from council.config import EmbedderConfig, OriginsConfig, RetrievalConfig, StoreConfig
from council.errors import DocumentError, EmbedderError, StoreError, StoreInUse
from council.retrieval import Embedder, IndexReport, Retriever
from council.types import Question

POCKET = Path(__file__).parents[2] / "configs" / "pocket"


def config(path: Path | None = None, library: Path | None = None) -> RetrievalConfig:
    origins = OriginsConfig(machine=1.0)  # the pocket library was written by a model
    store = StoreConfig(path=str(path) if path else None)
    return RetrievalConfig(store=store, library=str(library) if library else None, origins=origins, min_likeness=0)


@pytest.fixture(scope="module")
def pocket(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
    folder = tmp_path_factory.mktemp("pocket") / "store"
    with Retriever(config(library=POCKET / "library"), folder, embedder=embedder) as retriever:
        yield retriever


def test_the_public_names() -> None:
    assert all(hasattr(council.retrieval, name) for name in council.retrieval.__all__)
    assert {"Embedder", "ExampleBook", "Found", "IndexReport", "Retriever", "export_corpus"} <= set(council.retrieval.__all__)


def test_the_pocket_library_answers_its_questions(pocket: Retriever) -> None:
    lines = (POCKET / "questions.jsonl").read_text("utf-8").splitlines()
    asked = [q for q in map(json.loads, lines) if q["kind"] == "answerable" and q["split"] == "test"]
    assert len(asked) > 50
    hits = 0
    for q in asked:
        passages = pocket.retrieve(Question(text=q["question"]))
        assert len(passages) == 4
        hits += bool({p.provenance.details["id"] for p in passages} & set(q["documents"]))
    assert hits / len(asked) >= 0.98


def test_passages_are_best_first_and_as_many_as_wanted(pocket: Retriever) -> None:
    question = Question(text="Who discovered the neutron?")
    passages = pocket.retrieve(question, top_k=3)
    assert passages[0].title == "Neutron"
    assert [p.score for p in passages] == sorted((p.score for p in passages), reverse=True)
    assert len(passages) == 3
    assert passages == pocket.retrieve(question, top_k=3)
    assert pocket.retrieve(question, top_k=0) == []


def test_a_domain_and_a_tenant_narrow_the_search(pocket: Retriever) -> None:
    found = pocket.retrieve(Question(text="Who discovered the neutron?", domain="law"))
    assert {p.domain for p in found} == {"law"}
    assert pocket.retrieve(Question(text="Who discovered the neutron?", tenant="stranger")) == []


@pytest.mark.parametrize("text", ["", "  \n", "the", "?!", "x" * 100_000, "'; DROP TABLE {{x}} \x00 %s", "日本語 ☃"])
def test_strange_questions_are_survived(pocket: Retriever, text: str) -> None:
    assert len(pocket.retrieve(Question(text=text))) == (4 if text.strip() else 0)


def test_a_path_of_ones_own_starts_empty(embedder: Embedder, tmp_path: Path) -> None:
    settings = config(tmp_path / "own", POCKET / "library")
    with Retriever(settings, tmp_path / "preset", embedder=embedder) as retriever:
        assert retriever.count() == 0
        assert retriever.retrieve(Question(text="Who discovered the neutron?")) == []
    assert not (tmp_path / "preset").exists()


def test_the_library_is_indexed_once_and_then_found(embedder: Embedder, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "a.txt").write_text("The moon moves the tides.")
    calls: list[tuple[int, int]] = []
    settings = config(library=library)
    for _ in range(2):
        with Retriever(settings, tmp_path / "s", lambda *x: calls.append(x), embedder) as retriever:
            assert retriever.retrieve(Question(text="tides"))[0].text == "The moon moves the tides."
    assert calls == [(1, 1)]


def test_a_library_without_documents_is_an_error_and_frees_the_store(embedder: Embedder, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(DocumentError, match=r"holds no documents.*no such file"):
            Retriever(config(library=tmp_path / "none"), tmp_path / "s", embedder=embedder)


def test_index_and_reopen(embedder: Embedder, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The lighthouse keeper is called Bertram.")
    with Retriever(config(tmp_path / "s"), embedder=embedder) as retriever:
        report = retriever.index([note], tenant="home", domain="letters")
        assert report == IndexReport(documents=1, chunks=1, new=1)
        assert retriever.index([note], tenant="home", domain="letters").new == 0
        assert retriever.index([note], tenant="work").new == 1
        with pytest.raises(StoreInUse):
            Retriever(config(tmp_path / "s"), embedder=embedder)
    with Retriever(config(tmp_path / "s"), embedder=embedder) as retriever:
        (passage,) = retriever.retrieve(Question(text="Who keeps the lighthouse?", tenant="home"))
        assert (passage.domain, passage.provenance.source) == ("letters", str(note))
        assert retriever.count() == 2


def test_no_path_at_all_is_an_error(embedder: Embedder) -> None:
    with pytest.raises(StoreError, match=r"retrieval\.store\.path is not set"):
        Retriever(config(), embedder=embedder)


def test_an_existing_store_opens_without_the_model(embedder: Embedder, tmp_path: Path) -> None:
    Retriever(config(tmp_path / "s"), embedder=embedder).close()
    unloadable = Embedder(EmbedderConfig(device="no-such-device"))
    with Retriever(config(tmp_path / "s"), embedder=unloadable) as retriever:
        assert retriever.count() == 0
    with pytest.raises(EmbedderError, match="can't be loaded on 'no-such-device'"):
        unloadable.load()


def test_duplicates_leave_room_for_others(embedder: Embedder, tmp_path: Path) -> None:
    texts = ["Bees make honey from nectar."] * 3 + ["Wasps make paper nests.", "Ants live in large colonies."]
    lines = [json.dumps({"text": text, "title": f"Insect {n}"}) for n, text in enumerate(texts)]
    (tmp_path / "insects.jsonl").write_text("\n".join(lines))
    with Retriever(config(tmp_path / "s"), embedder=embedder) as retriever:
        retriever.index([tmp_path / "insects.jsonl"])
        assert retriever.count() == 5
        found = retriever.retrieve(Question(text="What do bees make?"), top_k=3)
    assert sorted(p.text for p in found) == sorted(set(texts))
