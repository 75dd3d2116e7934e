"""CSV: a row is a document; its columns are found, named and used."""

from __future__ import annotations

import csv as standard
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.retrieval.documents import Document, read_documents
from council.retrieval.readers import csv
from tests.retrieval.readers.made import named, write


def read(text: str, name: str = "metals.csv") -> list[Document]:
    return list(csv.read_csv(Path(name), text.encode(), []))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_are_lines_of_column_and_value(delimiter: str) -> None:
    rows = [["Metal", "Number", "Remark"], ["Gold", "79", "soft, heavy; it shines"], ["", "", ""], ["Tin", "", 'a "b" | c\td']]
    out = io.StringIO()
    standard.writer(out, delimiter=delimiter).writerows(rows)
    first, second = read(out.getvalue())
    assert first.text == "Metal: Gold\nNumber: 79\nRemark: soft, heavy; it shines"
    assert second.text == 'Metal: Tin\nRemark: a "b" | c\td'
    assert (first.title, first.provenance.source, first.markdown) == ("metals", "metals.csv:2", False)


def test_columns_with_a_meaning_are_used_as_such() -> None:
    (document,) = read("ID,Title,Text,Domain,Source,Origin,Author,Date,License\n7,Gold,Gold is a metal.,physics,a book,human,N,1900,CC0\n")
    assert (document.title, document.text, document.domain) == ("Gold", "Gold is a metal.", "physics")
    assert (document.provenance.source, document.provenance.origin) == ("a book", "human")
    assert document.provenance.details == {"ID": "7"}
    assert named(document).items() >= {"author": "N", "date": "1900", "licence": "CC0"}.items()


def test_without_a_text_an_author_is_part_of_what_the_row_says() -> None:
    (document,) = read("title,author,year\nMiddlemarch,George Eliot,1871\n")
    assert (document.title, document.text) == ("Middlemarch", "author: George Eliot\nyear: 1871")
    assert document.provenance.author == "George Eliot"


def test_a_first_row_of_values_is_no_header() -> None:
    assert [d.text for d in read("Gold,79\nTin,50\n")] == ["Gold\n79", "Tin\n50"]
    assert [d.text for d in read("alone\nagain\n")] == ["alone", "again"]


def test_ragged_rows_are_read() -> None:
    assert [d.text for d in read("a,b\n1\n1,2,3\n")] == ["a: 1", "a: 1\nb: 2\n3"]


def test_bad_rows_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,origin\nfirst,human\n,human\nx,robot\nlast,\n")
    reading = read_documents([path])
    assert [d.text for d in reading.documents] == ["first", "last"]
    assert reading.skipped == (
        (f"{path}:3", "'text' is missing or empty"),
        (f"{path}:4", "'origin' must be one of human, machine, council, unknown"),
    )


def test_an_article_fits_into_a_cell() -> None:
    before = standard.field_size_limit()
    assert len(read(f'text,n\n"{"word " * 60_000}",1\n')[0].text) > 250_000
    assert standard.field_size_limit() == before


def test_a_flood_of_rows_is_read_up_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.csv", "text,n\n" + "x,1\n" * 9)
    monkeypatch.setattr(csv, "MOST_ROWS", 5)
    reading = read_documents([path])
    assert len(reading.documents) == 5
    ((where, why),) = reading.skipped
    assert where == f"{path}:7"
    assert "what follows it" in why


def test_headers_without_rows_hold_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "title,text\n")
    assert read_documents([path]).skipped == ((str(path), "it holds no rows"),)


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
def test_what_was_written_comes_back(rows: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    standard.writer(out).writerows([("text", "note"), *rows])
    documents = read(out.getvalue())
    assert [(d.text, d.provenance.details["note"]) for d in documents] == rows
