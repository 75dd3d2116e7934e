"""Files and folders -> documents. What can't be read is named and left out; it never stops the rest."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args

from council.errors import DocumentError
from council.types import Frozen, Origin, Provenance

SUFFIXES: Final = (".md", ".txt", ".jsonl")
HEADING: Final = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
SURROGATE: Final = re.compile("[\ud800-\udfff]")

Skipped: TypeAlias = tuple[str, str]
"""What was left out (a path; of a line of JSON: `path:line`), and why."""


class Document(Frozen):
    """A text and what is known of it. `markdown`: its headings mean something."""

    title: str
    text: str
    domain: str | None = None
    markdown: bool = False
    provenance: Provenance = Provenance()


class Reading(Frozen):
    """What was found at some paths, in order."""

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...]


def read_documents(paths: Sequence[str | os.PathLike[str]]) -> Reading:
    """The documents in files and, recursively and sorted, in folders; hidden files and other suffixes are passed over.

    A `.jsonl` file holds a document a line: `text`, and if wanted `title`, `domain`, `source`, `origin`, `id` and
    `provenance` (a mapping; it and the id go into Provenance.details).
    """
    documents: list[Document] = []
    skipped: list[Skipped] = []
    for path in paths:
        for file in _files(Path(path), skipped):
            try:
                documents.extend(_read(file, skipped))
            except DocumentError as exc:
                skipped.append((str(file), str(exc)))
    return Reading(documents=tuple(documents), skipped=tuple(skipped))


def _files(path: Path, skipped: list[Skipped]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return

    def unreadable(exc: OSError) -> None:
        skipped.append((str(exc.filename), exc.strerror or type(exc).__name__))

    for folder, inner, names in os.walk(path, onerror=unreadable):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder, name)


def _read(path: Path, skipped: list[Skipped]) -> list[Document]:
    suffix = path.suffix.lower()
    text = _text(path)
    if suffix == ".jsonl":
        return list(_lines(path, text, skipped))
    if not text.strip():
        raise DocumentError("it holds no text")
    heading = HEADING.search(text) if suffix == ".md" else None
    title = heading.group(1) if heading else path.stem
    provenance = Provenance(source=str(path), document=_hash(text))
    return [Document(title=title, text=text, markdown=suffix == ".md", provenance=provenance)]


def _text(path: Path) -> str:
    try:
        if not path.exists():
            raise DocumentError("there is no such file")
        if not path.is_file():
            raise DocumentError("it is not a regular file")
        if path.suffix.lower() not in SUFFIXES:
            raise DocumentError(f"files of this kind are not read: give {', '.join(SUFFIXES)}")
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DocumentError(f"it is not UTF-8 (byte {exc.start})") from exc
    except (OSError, ValueError) as exc:
        raise DocumentError(getattr(exc, "strerror", None) or str(exc)) from exc


def _lines(path: Path, text: str, skipped: list[Skipped]) -> Iterator[Document]:
    # Not splitlines(): JSON strings may hold the other characters that it breaks at.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield _record(line, f"{path}:{number}")
        except DocumentError as exc:
            skipped.append((f"{path}:{number}", str(exc)))


def _record(line: str, where: str) -> Document:
    try:
        record = json.loads(line)
        is_unicode = not SURROGATE.search(json.dumps(record, ensure_ascii=False))
    except (ValueError, RecursionError) as exc:
        raise DocumentError(f"it is not JSON: {' '.join(str(exc).split())}") from exc
    if not isinstance(record, dict):
        raise DocumentError("it is not a JSON object")
    if not is_unicode:
        raise DocumentError("it holds half of a surrogate pair (\\ud800 to \\udfff alone), which is no character")
    text = _string(record, "text")
    if not text or not text.strip():
        raise DocumentError("'text' is missing or empty")
    origin = record.get("origin", "unknown")
    if origin not in get_args(Origin):
        raise DocumentError(f"'origin' must be one of {', '.join(get_args(Origin))}")
    details = record.get("provenance", {})
    if not isinstance(details, dict):
        raise DocumentError("'provenance' must be an object")
    if "id" in record:
        details = {"id": record["id"], **details}
    return Document(
        title=_string(record, "title") or "",
        text=text,
        domain=_string(record, "domain") or None,
        provenance=Provenance(origin=origin, source=_string(record, "source") or where, document=_hash(text), details=details),
    )


def _string(record: dict[str, Any], key: str) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise DocumentError(f"{key!r} must be a string")
    return value


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
