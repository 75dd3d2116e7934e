"""PDF, page by page."""

from __future__ import annotations

import io
import logging
import re
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from council.errors import DocumentError
from council.retrieval.readers.document import MOST_BYTES, Document, Skipped, clean, make_document, missing, shown
from council.retrieval.readers.pages import join_pages

if TYPE_CHECKING:
    from pypdf import PdfReader

MOST_SECONDS: Final = 600.0
"""A small file can draw one huge drawing on many thousands of pages."""
NO_TITLE: Final = re.compile(
    r"untitled.*|microsoft \w+ - .*|.*\.(?:docx?|pptx?|xlsx?|tex|dvi|indd|qxd|pdf|rtf|odt|html?|txt)|\W*", re.IGNORECASE
)
"""What programs put into a PDF in place of its title."""
LIGATURES: Final = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}


def read_pdf(path: Path, data: bytes, skipped: list[Skipped]) -> Iterator[Document]:
    """One document with its pages; pages that can't be read are named in `skipped`. Its title is its own, else the file's name.

    An encryption that opens without a password is opened.
    """
    try:
        import pypdf
    except ImportError as exc:
        raise missing("PDF files", "pypdf") from exc
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what matters of its warnings ends in `skipped`
    if b"%PDF-" not in data[:1024]:
        raise DocumentError("it is not a PDF")
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        count = len(reader.pages)
    except (pypdf.errors.FileNotDecryptedError, pypdf.errors.DependencyError) as exc:
        raise DocumentError("it is encrypted") from exc
    text, starts = join_pages(_pages(reader, count, shown(path), skipped))
    if not text:
        raise DocumentError("it holds no text: scanned pages are not read")
    said = _details(reader)
    title = said.pop("title", "")
    title = shown(path.stem) if NO_TITLE.fullmatch(title) else title
    yield make_document(shown(path), title, text, said, pages=starts)


def _pages(reader: PdfReader, count: int, name: str, skipped: list[Skipped]) -> list[str]:
    """The text of each page; empty where it can't be read."""
    pages: list[str] = []
    size = 0
    end = time.monotonic() + MOST_SECONDS
    for number in range(count):
        if time.monotonic() > end:
            skipped.append((f"{name}: page {number + 1}", "it and what follows it take too long to read"))
            break
        try:
            text = reader.pages[number].extract_text()
        except Exception as exc:  # of a broken page, pypdf raises anything
            skipped.append((f"{name}: page {number + 1}", f"it is broken: {type(exc).__name__}"))
            text = ""
        size += len(text)
        if size > MOST_BYTES:
            raise DocumentError(f"it unpacks to more than {MOST_BYTES // 2**20} MiB of text")
        pages.append(clean(text.translate(LIGATURES)))
    return pages


def _details(reader: PdfReader) -> dict[str, str]:
    """What the file says of itself; what it garbles is left out."""
    said: dict[str, str] = {}
    try:
        info = reader.metadata
        if info is not None:
            said = {"title": str(info.title or "").strip(), "author": str(info.author or "")}
        said["language"] = str(reader.root_object.get("/Lang", ""))
        date = info.creation_date if info is not None else None
        said["date"] = date.date().isoformat() if date is not None else ""
    except Exception:  # as above
        return said
    return said
