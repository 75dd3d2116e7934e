"""The search from question to passages, over the real embedder and a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from council.config import RetrievalConfig
from council.retrieval import Embedder, Retriever
from council.retrieval.search import queries
from council.types import Question

ROWS: list[dict[str, Any]] = [
    {"text": "The ferry to Skerrow leaves at noon from the north pier.", "origin": "human", "domain": "sea", "date": "2020-05-01"},
    {"text": "The ferry to Skerrow departs at one, from the south pier.", "origin": "machine", "domain": "sea", "date": "2026-01-01"},
    {"text": "A ferry leaves for the islands each day in summer.", "origin": "human", "domain": "travel", "date": "2026-11-01"},
    {"text": "Bees make honey from the nectar of flowers.", "origin": "human", "domain": "nature"},
    {"text": "Imported steel is taxed at twelve percent of its value.", "origin": "unknown", "domain": "law"},
]
for row, title in zip(ROWS, ("Ferry", "Ferry", "Timetable", "Bees", "Steel"), strict=True):
    row["title"] = title
ASKED = "When does the ferry to Skerrow leave?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Path:
    path = tmp_path_factory.mktemp("search")
    (path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    with Retriever(settings(path), embedder=embedder) as retriever:
        assert retriever.index([path / "rows.jsonl"]).new == len(ROWS)
    return path


def settings(path: Path, **rules: Any) -> RetrievalConfig:
    return RetrievalConfig.model_validate(
        {"store": {"path": str(path / "store")}, "top_k": 3, "min_likeness": 0, "curation": {"duplicates": False}} | rules
    )


@pytest.fixture
def search(folder: Path, embedder: Embedder) -> Iterator[Any]:
    opened: list[Retriever] = []

    def found(question: str | Question = ASKED, expected: str | None = None, **rules: Any) -> tuple[list[str], dict[str, str]]:
        for retriever in opened:
            retriever.close()
        opened[:] = [Retriever(settings(folder, **rules), embedder=embedder)]
        asked = Question(text=question) if isinstance(question, str) else question
        made = opened[0].search(asked, routed=expected)
        return [p.text[:24] for p in made.passages], {out.title: out.why for out in made.left_out}

    yield found
    for retriever in opened:
        retriever.close()


NOON, ONE, DAILY, BEES, STEEL = (row["text"][:24] for row in ROWS)


def test_passages_are_best_first_with_their_likeness(folder: Path, embedder: Embedder) -> None:
    with Retriever(settings(folder), embedder=embedder) as retriever:
        found = retriever.search(Question(text=ASKED))
    assert [p.text[:24] for p in found.passages] == [NOON, ONE, DAILY]
    assert [p.score for p in found.passages] == sorted((p.score for p in found.passages), reverse=True)
    assert all(p.likeness is not None and 0.3 < p.likeness <= 1 for p in found.passages)
    assert (found.passages[0].provenance.date, found.passages[0].provenance.language) == ("2020-05-01", "en")


def test_either_vector_alone_finds_too(search: Any) -> None:
    assert search(search="dense", top_k=1)[0] == [NOON]
    assert search(search="sparse", top_k=1)[0] == [NOON]
    assert search("nothing of these words occurs", search="sparse")[0] == []


def test_machine_text_is_capped_and_ranks_below_peoples(search: Any) -> None:
    shown, why = search(top_k=2, origins={"machine": 0.0})
    assert shown == [NOON, DAILY] and why == {"Ferry": "a model wrote it, and that may take 0 of 2 places"}
    assert search(top_k=3, origins={"preference": 0.9})[0][-1] == ONE


def test_what_is_too_little_like_the_question_is_left_out(search: Any) -> None:
    shown, why = search("What do bees make honey from?", min_likeness=0.4)
    assert shown == [BEES] and "is less than 0.4" in why["Steel"]
    assert search("Who discovered the neutron?", min_likeness=0.4)[0] == []


def test_recency_prefers_what_is_dated_late(search: Any) -> None:
    assert search(top_k=1)[0] == [NOON]
    assert search(top_k=1, recency={"half_life_days": 100, "weight": 0.9}, origins={"preference": 0})[0] == [DAILY]


def test_the_routed_domain_is_preferred_or_the_only_one(search: Any) -> None:
    assert search("What is it taxed at?", "nature", routed="only")[0] == [BEES]
    ferries = search(ASKED, "travel", routed="only")[0]
    assert ferries == [DAILY]
    assert search(ASKED, "law", routed="off")[0] == search(ASKED)[0]
    assert search(Question(text=ASKED, domain="law"), "travel", routed="only")[0] == [STEEL]  # the question's own domain goes first


def test_other_words_for_a_question_are_searched_too(search: Any) -> None:
    assert search("When does the boat go?", top_k=1)[0] != [STEEL]
    other = Question(text="When does the boat go?", queries=("tax on imported steel", "percent of its value"))
    assert STEEL not in search("When does the boat go?")[0] and STEEL in search(other)[0]


def test_a_question_is_expanded_by_its_clauses() -> None:
    both = "What do bees make, and at what rate is imported steel taxed?"
    assert queries(Question(text=both), False) == [both]
    assert queries(Question(text=both), True) == [both, "What do bees make", "at what rate is imported steel taxed?"]
    assert queries(Question(text="Who keeps it?", queries=("Who keeps it?", " ", "keeper")), True) == ["Who keeps it?", "keeper"]


def test_a_question_of_two_parts_finds_both(search: Any) -> None:
    shown, _ = search("What do bees make from nectar, and at what rate is imported steel taxed?", expand=True, top_k=2)
    assert set(shown) == {BEES, STEEL}


def test_the_same_search_gives_the_same_passages(search: Any) -> None:
    assert search() == search() == search()


def test_diversity_makes_room(search: Any) -> None:
    assert set(search(top_k=2, diversity=0.0)[0]) == {NOON, ONE}
    assert set(search(top_k=2, diversity=0.6)[0]) != {NOON, ONE}


def test_however_much_a_model_wrote_it_crowds_out_nobody(embedder: Embedder, tmp_path: Path) -> None:
    made = [{"text": f"When does the ferry to Skerrow leave? At {n}, it leaves for Skerrow.", "origin": "machine"} for n in range(150)]
    rows = [*made, {"text": "From the north pier one crosses to the island at noon.", "origin": "human"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rules = settings(tmp_path, origins={"machine": 0.4}, prefetch=10)
    with Retriever(rules, embedder=embedder) as retriever:
        retriever.index([tmp_path / "rows.jsonl"])
        found = retriever.search(Question(text=ASKED))
    assert [p.provenance.origin for p in found.passages] == ["machine", "human"]
