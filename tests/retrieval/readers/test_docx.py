"""DOCX: paragraphs, headings and tables in order; bombs, entities and hidden text stay out."""

from __future__ import annotations

import io
import sys
from datetime import datetime
from pathlib import Path

import docx
import pytest
from docx.document import Document as Docx

from council.retrieval.readers import docx as reader
from tests.retrieval.readers.made import read, repacked, why_not, write

BODY = "word/document.xml"


def saved(document: Docx) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def made(text: str = "Gold is a metal.") -> bytes:
    document = docx.Document()
    document.add_paragraph(text)
    return saved(document)


def test_a_document_becomes_markdown(tmp_path: Path) -> None:
    document = docx.Document()
    document.core_properties.author, document.core_properties.language = "A. Person", "en"
    document.core_properties.created = datetime(2020, 1, 2)
    document.add_heading("Gold", 1)
    document.add_paragraph("Gold is ").add_run("a metal.").bold = True
    table = document.add_table(2, 2)
    for cell, text in zip((cell for row in table.rows for cell in row.cells), ("Name", "Number", "Gold\nAu", "79"), strict=True):
        cell.text = text
    document.add_heading("Uses", 2)
    document.add_paragraph("Coins", style="List Bullet")
    document.add_paragraph("# no heading")
    found = read(write(tmp_path / "a.docx", saved(document)))
    assert found.text == "# Gold\n\nGold is a metal.\n\nName | Number\n\nGold Au | 79\n\n## Uses\n\n- Coins\n\n\\# no heading"
    assert (found.title, found.markdown) == ("Gold", True)
    assert (found.provenance.author, found.provenance.language, found.provenance.date) == ("A. Person", "en", "2020-01-02")


def test_its_own_title_comes_first_and_the_file_name_last(tmp_path: Path) -> None:
    document = docx.Document()
    document.core_properties.title = "On Gold"
    document.add_heading("Gold", 1)
    assert read(write(tmp_path / "a.docx", saved(document))).title == "On Gold"
    assert read(write(tmp_path / "b.docx", made())).title == "b"


def test_a_style_based_on_a_heading_is_one_even_in_a_ring(tmp_path: Path) -> None:
    document = docx.Document()
    own = document.styles.add_style("Chapter", 1)
    own.base_style = document.styles["Heading 3"]
    ring = document.styles.add_style("Ring", 1)
    ring.base_style = ring
    document.add_paragraph("Gold", style="Chapter")
    document.add_paragraph("text", style="Ring")
    assert read(write(tmp_path / "a.docx", saved(document))).text == "### Gold\n\ntext"


def test_hidden_and_deleted_text_is_left_out_and_inserted_is_read(tmp_path: Path) -> None:
    document = docx.Document()
    style = document.styles.add_style("Secret", 2)
    style.font.hidden = True
    paragraph = document.add_paragraph("seen")
    paragraph.add_run("EVIL").font.hidden = True
    paragraph.add_run("EVIL", style="Secret")
    paragraph.add_run("XX")
    changed = (
        b"<w:r><w:t>XX</w:t></w:r>",
        b"<w:ins><w:r><w:t> new</w:t></w:r></w:ins><w:del><w:r><w:delText>EVIL</w:delText></w:r></w:del>"
        b"<w:moveFrom><w:r><w:t>EVIL</w:t></w:r></w:moveFrom><w:sdt><w:sdtContent><w:r><w:t> field</w:t></w:r></w:sdtContent></w:sdt>",
    )
    assert read(write(tmp_path / "a.docx", repacked(saved(document), {BODY: changed}))).text == "seen new field"


def test_a_table_in_a_table_and_a_content_control_are_read_once(tmp_path: Path) -> None:
    document = docx.Document()
    cell = document.add_table(1, 1).cell(0, 0)
    cell.text = "outer"
    cell.add_table(1, 1).cell(0, 0).text = "inner"
    document.add_paragraph("XX")
    boxed = (b"<w:p><w:r><w:t>XX</w:t></w:r></w:p>", b"<w:sdt><w:sdtContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:sdtContent></w:sdt>")
    found = read(write(tmp_path / "a.docx", repacked(saved(document), {BODY: boxed})))
    assert found.text == "outer\n\ninner\n\nboxed"


@pytest.mark.parametrize(
    "content",
    [b"hello", b"PK\x03\x04", made()[:300], made()[:-100], repacked(made(), {BODY: (b"<w:body>", b"<w:body")})],
)  # fmt: skip
def test_a_broken_one_is_named(tmp_path: Path, content: bytes) -> None:
    assert "it is broken" in why_not(write(tmp_path / "a.docx", content))


def test_an_old_or_encrypted_one_is_named(tmp_path: Path) -> None:
    assert "encrypted, or of an old Word" in why_not(write(tmp_path / "a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)))


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
    ],
)
def test_entities_are_refused(tmp_path: Path, doctype: str) -> None:
    content = repacked(made("XX"), {BODY: (b"<w:document", doctype.encode() + b"<w:document")})
    assert "declares a document type" in why_not(write(tmp_path / "a.docx", content))


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = repacked(made("XX"), {BODY: (b"XX", b"A" * 200_000)})
    assert len(bomb) < 100_000
    path = write(tmp_path / "a.docx", bomb)
    assert len(read(path).text) == 200_000
    monkeypatch.setattr(reader, "MOST_BYTES", 150_000)
    assert "it unpacks to more than" in why_not(path)


def test_one_without_text_or_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.docx", made(" "))
    assert why_not(path) == "it holds no text"
    monkeypatch.setitem(sys.modules, "docx", None)
    assert "DOCX files need the package python-docx: pip install" in why_not(path)
