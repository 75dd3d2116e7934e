"""PDFs: pages, titles, and what is locked, broken or only pictures."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import pypdf
import pytest

from council.errors import DocumentError
from council.retrieval.documents import read_documents
from council.retrieval.readers import pdf
from tests.retrieval.readers.made import make_pdf, named, read, why_not, write

INFO = "/Title (On  Gold) /Author (A. Person) /CreationDate (D:20200102030405Z)"


def test_the_pages_are_one_text_that_knows_where_each_begins(tmp_path: Path) -> None:
    path = write(tmp_path / "a.PDF", make_pdf(["Gold (the metal)\nis an exam-\nple, café.", "", "Page three."], INFO))
    document = read(path)
    assert document.text == "Gold (the metal)\nis an example, café.\n\nPage three.\n\n"
    assert [document.text[start:].split()[:1] for start in document.pages] == [["Gold"], ["Page"], ["Page"]]
    assert (document.title, document.markdown, document.provenance.source) == ("On Gold", False, str(path))
    assert named(document) == {"author": "A. Person", "language": "en", "date": "2020-01-02"}


@pytest.mark.parametrize("title", ["", "untitled", "Untitled-3", "Microsoft Word - thesis_v2.doc", "thesis.tex", "---"])
def test_a_title_that_a_program_made_up_is_passed_over(tmp_path: Path, title: str) -> None:
    assert read(write(tmp_path / "gold.pdf", make_pdf(["x"], f"/Title ({title})"))).title == "gold"


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_what_needs_a_password_is_named_and_what_needs_none_is_read(tmp_path: Path, algorithm: str) -> None:
    for name, password in (("locked", "secret"), ("open", "")):
        writer = pypdf.PdfWriter(clone_from=io.BytesIO(make_pdf(["Gold."])))
        writer.encrypt(password, "owner", algorithm=algorithm)
        writer.write(tmp_path / f"{name}.pdf")
    assert why_not(tmp_path / "locked.pdf") == "it is encrypted"
    assert read(tmp_path / "open.pdf").text.strip() == "Gold."


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_truncated_one_is_broken(tmp_path: Path, share: float) -> None:
    whole = make_pdf(["Gold."] * 5)
    why = why_not(write(tmp_path / "a.pdf", whole[: int(len(whole) * share)]))
    assert "it is broken" in why
    assert "\n" not in why


def test_what_is_no_pdf_or_holds_no_text_is_named(tmp_path: Path) -> None:
    assert why_not(write(tmp_path / "a.pdf", "hello")) == "it is not a PDF"
    assert why_not(write(tmp_path / "b.pdf", make_pdf(["", ""]))) == "it holds no text: scanned pages are not read"


def test_a_broken_page_is_named_and_the_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pypdf.PageObject.extract_text

    def extract_text(page: pypdf.PageObject) -> str:
        if page.page_number == 1:
            raise RecursionError
        return whole(page)

    monkeypatch.setattr(pypdf.PageObject, "extract_text", extract_text)
    path = write(tmp_path / "a.pdf", make_pdf(["one", "two", "three"]))
    reading = read_documents([path])
    assert reading.documents[0].text.split() == ["one", "three"]
    assert reading.skipped == ((f"{path}: page 2", "it is broken: RecursionError"),)


def test_half_a_surrogate_pair_and_ligatures_become_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypdf.PageObject, "extract_text", lambda page: "\ufb01ne \ud800\x00")
    assert read(write(tmp_path / "a.pdf", make_pdf(["x"]))).text.strip() == "fine \ufffd"


def test_a_bomb_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.pdf", make_pdf(["word " * 100] * 5))
    monkeypatch.setattr(pdf, "MOST_BYTES", 1000)
    assert "it unpacks to more than" in why_not(path)


def test_a_slow_one_is_read_as_far_as_the_time_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.pdf", make_pdf(["one", "two", "three"]))
    whole = pypdf.PageObject.extract_text

    def extract_text(page: pypdf.PageObject) -> str:
        time.sleep(1.1 * (page.page_number or 0))
        return whole(page)

    monkeypatch.setattr(pypdf.PageObject, "extract_text", extract_text)
    monkeypatch.setattr(pdf, "MOST_SECONDS", 1.0)
    skipped: list[tuple[str, str]] = []
    (document,) = pdf.read_pdf(path, path.read_bytes(), skipped)
    assert document.text.split() == ["one", "two"]
    assert skipped == [(f"{path}: page 3", "it and what follows it take too long to read")]


def test_a_ring_of_pages_ends(tmp_path: Path) -> None:
    ring = make_pdf(["x"]).replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]")
    assert "it is broken" in why_not(write(tmp_path / "a.pdf", ring))


def test_without_its_library_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(DocumentError) as caught:
        list(pdf.read_pdf(tmp_path / "a.pdf", make_pdf(["x"]), []))
    assert str(caught.value) == "PDF files need the package pypdf: pip install 'council-of-specialists[documents]'"
