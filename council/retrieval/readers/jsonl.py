"""A document a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from council.errors import DocumentError
from council.retrieval.readers.document import MOST_ROWS, NAMED, SURROGATE, Document, Skipped, provenance, shown
from council.retrieval.readers.encoding import decode


def read_jsonl(path: Path, data: bytes, skipped: list[Skipped]) -> Iterator[Document]:
    """The lines that are documents; the others are named in `skipped`."""
    name = shown(path)
    # Not splitlines(): JSON strings may hold the other characters that it breaks at.
    for number, line in enumerate(decode(data).split("\n"), 1):
        if not line.strip():
            continue
        if number > MOST_ROWS:
            skipped.append((f"{name}:{number}", f"it and what follows it: more than {MOST_ROWS} lines are not read from one file"))
            return
        try:
            yield _record(line, f"{name}:{number}")
        except DocumentError as exc:
            skipped.append((f"{name}:{number}", str(exc)))


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
    details = record.get("provenance", {})
    if not isinstance(details, dict):
        raise DocumentError("'provenance' must be an object")
    if "id" in record:
        details = {"id": record["id"], **details}
    details |= {name: value for name in (*NAMED, "license") if (value := _string(record, name))}
    origin = provenance(_string(record, "source") or where, text, details, _string(record, "origin"))
    return Document(title=_string(record, "title") or "", text=text, domain=_string(record, "domain") or None, provenance=origin)


def _string(record: dict[str, Any], key: str) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise DocumentError(f"{key!r} must be a string")
    return value
