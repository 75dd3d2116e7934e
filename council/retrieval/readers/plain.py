"""Text and Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from council.retrieval.readers.document import Document, Skipped, make_document, shown
from council.retrieval.readers.encoding import decode
from council.retrieval.readers.markdown import first_heading


def read_plain(path: Path, data: bytes, skipped: list[Skipped]) -> Iterator[Document]:
    """One document; its title is the first heading of Markdown, else the file's name."""
    text = decode(data)
    markdown = path.suffix.lower() in (".md", ".markdown")
    title = first_heading(text) if markdown else None
    yield make_document(shown(path), title or shown(path.stem), text, markdown=markdown)
