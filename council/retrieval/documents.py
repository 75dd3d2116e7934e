"""Files, folders and globs -> documents. What can't be read is named and left out; it never stops the rest."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from council.errors import DocumentError
from council.retrieval.language import language_of
from council.retrieval.readers.csv import read_csv
from council.retrieval.readers.document import MOST_BYTES, Document, Skipped, clean, shown
from council.retrieval.readers.docx import read_docx
from council.retrieval.readers.html import read_html
from council.retrieval.readers.jsonl import read_jsonl
from council.retrieval.readers.pdf import read_pdf
from council.retrieval.readers.plain import read_plain
from council.types import Frozen, Provenance

__all__ = ["MOST_BYTES", "SUFFIXES", "Document", "Reading", "Skipped", "files_at", "read_documents"]

Reader: TypeAlias = Callable[[Path, bytes, list[Skipped]], Iterator[Document]]
"""Given a file's path and content and the list to name what it leaves out in. May raise DocumentError."""

READERS: Final[dict[str, Reader]] = {
    ".md": read_plain,
    ".markdown": read_plain,
    ".txt": read_plain,
    ".pdf": read_pdf,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".docx": read_docx,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_jsonl,
}
SUFFIXES: Final = tuple(READERS)
MAGIC: Final = "*?["


class Reading(Frozen):
    """What was found at some paths, in order."""

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...]


def read_documents(paths: Sequence[str | os.PathLike[str]], under: str | os.PathLike[str] | None = None) -> Reading:
    """The documents in files, in folders (recursively and sorted) and at globs (`**` is any folders); hidden files and
    other suffixes are passed over.

    A PDF, DOCX, HTML page, Markdown or text is one document. A row of a CSV and a line of a `.jsonl` file is one: it
    has `text`, and if wanted `title`, `domain`, `source`, `origin`, `author`, `date`, `licence` and `language`; a JSON line also
    `id` and `provenance` (a mapping; it and the id go into Provenance.details); a row without `text` is lines of `column:
    value`. The language of a document that names none is recognised, where it can be. With `under`, files are known by
    their paths within that folder.
    """
    documents: list[Document] = []
    skipped: list[Skipped] = []
    for path in paths:
        for file in files_at(Path(path), skipped):
            try:
                documents.extend(_read(file, skipped))
            except DocumentError as exc:
                skipped.append((shown(file), str(exc)))
            except Exception as exc:  # of a broken file, the libraries raise anything
                reason = clean(" ".join(str(exc).split()))[:200]
                skipped.append((shown(file), f"it is broken, or no {file.suffix} file: {type(exc).__name__}: {reason}"))
    if under is not None:
        root = f"{shown(os.path.abspath(under))}{os.sep}"
        documents = [_within(document, root) for document in documents]
        skipped = [(path.removeprefix(root), reason) for path, reason in skipped]
    return Reading(documents=tuple(documents), skipped=tuple(skipped))


def _within(document: Document, root: str) -> Document:
    """The document, known by its file's path within `root`; so is its source, where that is its file."""
    known = document.provenance
    source = known.source.removeprefix(root)
    return document.model_copy(update={"file": document.file.removeprefix(root), "provenance": known.model_copy(update={"source": source})})


def files_at(path: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """The files of a folder or a glob that can be documents, or the file itself, be it there or not; what can't be looked
    through goes to `skipped`."""
    if os.path.isdir(path):
        yield from _walk(path, skipped)
    elif any(mark in str(path) for mark in MAGIC) and not os.path.lexists(path):
        yield from _matches(path, skipped)
    else:
        yield path


def _walk(path: Path, skipped: list[Skipped]) -> Iterator[Path]:
    def unreadable(exc: OSError) -> None:
        skipped.append((shown(exc.filename), exc.strerror or type(exc).__name__))

    for folder, inner, names in os.walk(path, onerror=unreadable):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder, name)


def _matches(pattern: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """The files that a glob matches, and those in folders that it does, each once."""
    parts = pattern.parts
    fixed = next(place for place, part in enumerate(parts) if any(mark in part for mark in MAGIC))
    base = Path(*parts[:fixed])
    found: dict[Path, None] = {}
    try:
        # Not glob.glob(), which follows links to folders around in circles.
        for match in sorted(base.glob(str(Path(*parts[fixed:])))):
            if any(part.startswith(".") for part in match.parts[fixed:]):
                continue
            if os.path.isdir(match):
                found |= dict.fromkeys(_walk(match, skipped))
            elif match.suffix.lower() in SUFFIXES:
                found[match] = None
    except (OSError, ValueError, NotImplementedError) as exc:
        skipped.append((shown(pattern), f"it is no pattern for files: {exc}"))
        return
    if not found:
        skipped.append((shown(pattern), f"nothing matches that is read: {', '.join(SUFFIXES)}"))
    yield from found


def _read(path: Path, skipped: list[Skipped]) -> list[Document]:
    try:
        if not path.exists():
            raise DocumentError("there is no such file")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError("it is not a regular file")
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            raise DocumentError(f"files of this kind are not read: give {', '.join(SUFFIXES)}")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as exc:
        raise DocumentError(getattr(exc, "strerror", None) or str(exc)) from exc
    if len(data) > MOST_BYTES:
        raise DocumentError(f"it is larger than {MOST_BYTES // 2**20} MiB")
    if not data:
        raise DocumentError("it is empty")
    where = shown(os.path.abspath(path))
    return [document.model_copy(update={"file": where, "provenance": _in_language(document)}) for document in reader(path, data, skipped)]


def _in_language(document: Document) -> Provenance:
    known = document.provenance
    return known if known.language else known.model_copy(update={"language": language_of(document.text) or ""})
