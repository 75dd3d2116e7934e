"""Worked examples: stored, found by likeness of questions, and removed; each tenant its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from council.errors import DocumentError
from council.retrieval import Embedder, ExampleBook, read_examples
from council.retrieval.edge_store import EdgeStore
from council.types import Example, Question

FERRY = Example(question="When does the ferry leave?", answer="At noon", right=True, domain="sea")
WRONG = Example(question="When does the ferry leave?", answer="At dawn", right=False, why="That is the night boat.", domain="sea")
TAX = Example(question="Which tax is due on imported steel?", answer="12 percent", right=True)


@pytest.fixture
def book(embedder: Embedder, tmp_path: Path) -> Iterator[ExampleBook]:
    made = ExampleBook(EdgeStore(tmp_path / "examples", embedder), embedder)
    yield made
    made.close()


def plain(examples: list[Example]) -> list[Example]:
    return [e.model_copy(update={"id": ""}) for e in examples]


def test_what_is_added_is_listed_and_added_once(book: ExampleBook) -> None:
    assert book.add([FERRY, WRONG, TAX, FERRY]) == 3
    assert plain(book.all()) == [WRONG, FERRY, TAX]
    assert book.add([FERRY.model_copy(update={"why": "It is on the board."})]) == 0
    assert {e.why for e in book.all() if e.answer == "At noon"} == {"It is on the board."}


def test_the_nearest_are_found_and_what_is_far_is_not(book: ExampleBook) -> None:
    book.add([FERRY, WRONG, TAX])
    assert set(e.answer for e in book.nearest(Question(text="What time does the ferry go?"), 2)) == {"At noon", "At dawn"}
    assert plain(book.nearest(Question(text="What tax is paid on steel from abroad?"), 1)) == [TAX]
    assert book.nearest(Question(text="Who discovered the neutron?"), 3) == []
    assert book.nearest(Question(text="What time does the ferry go?", domain="law"), 3) == []
    assert book.nearest(Question(text="What time does the ferry go?"), 0) == []


def test_tenants_see_their_own(book: ExampleBook) -> None:
    book.add([FERRY], "anna")
    assert book.all("bo") == [] and book.nearest(Question(text=FERRY.question, tenant="bo"), 3) == []
    (example,) = book.all("anna")
    with pytest.raises(DocumentError, match="no example"):
        book.remove([example.id], "bo")
    assert book.remove([example.id], "anna") == 1 and book.all("anna") == []


def test_removing_leaves_the_others_and_nothing_on_the_disk(book: ExampleBook, tmp_path: Path) -> None:
    book.add([FERRY, WRONG])
    (gone,) = [e for e in book.all() if not e.right]
    with pytest.raises(DocumentError, match="council examples list"):
        book.remove([gone.id, "7b0c8f5e-0000-0000-0000-000000000000"])
    assert len(book.all()) == 2
    book.remove([gone.id])
    assert plain(book.all()) == [FERRY]
    assert not any(b"night boat" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_examples_are_read_from_lines_and_a_bad_one_is_named(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    good.write_text(f"{FERRY.model_dump_json()}\n\n{WRONG.model_dump_json()}\n")
    assert read_examples([good]) == [FERRY, WRONG]
    for line, told in (
        ("{", "no example: invalid json"),
        ('{"question": "q", "answer": "a"}', "right: field required"),
        ('{"question": ""}', "question"),
    ):
        bad = tmp_path / "bad.jsonl"
        bad.write_text(line)
        with pytest.raises(DocumentError, match=rf"bad.jsonl:1: .*{told}"):
            read_examples([bad])
    with pytest.raises(DocumentError, match="can't be read"):
        read_examples([tmp_path / "none.jsonl"])
