"""A document a row of a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from council.errors import DocumentError
from council.retrieval.readers.document import MOST_BYTES, MOST_ROWS, NAMED, Document, Skipped, clean, make_document, provenance, shown
from council.retrieval.readers.encoding import decode

DELIMITERS: Final = ",;\t|"
SAMPLE: Final = 64
"""Rows that tell the delimiter."""
LONGEST_NAME: Final = 80
MEANINGS: Final = {"license": "licence"} | {name: name for name in ("title", "text", "domain", "source", "origin", *NAMED)}
"""Columns that are used as what their name says; the case does not matter."""
NUMBER: Final = re.compile(r"[-+]?[\d.,:/\s-]*\d[\d.,:/%\s-]*")


def read_csv(path: Path, data: bytes, skipped: list[Skipped]) -> Iterator[Document]:
    """The rows that are documents: the column `text`, else lines of `column: value`; the others are named in `skipped`.

    With a column `text` the columns without a meaning go into the provenance's details.
    """
    name, text = shown(path), decode(data)
    columns: Sequence[str] | None = None
    size = count = 0
    before = csv.field_size_limit(MOST_BYTES)  # of all readers in the process; 128 KiB are less than some articles
    rows = csv.reader(io.StringIO(text), delimiter=_delimiter(text))
    try:
        for row in rows:
            values = [value.strip() for value in row]
            if not any(values):
                continue
            if columns is None:
                columns = _header(values)
                if columns:
                    continue
            where, count = f"{name}:{rows.line_num}", count + 1
            try:
                document = _document(values, columns or [], where, shown(path.stem))
            except DocumentError as exc:
                skipped.append((where, str(exc)))
                continue
            size += len(document.text)
            if count > MOST_ROWS or size > MOST_BYTES:
                skipped.append((where, f"it and what follows it: more than {MOST_ROWS} rows or {MOST_BYTES} characters are not read"))
                return
            yield document
    except csv.Error as exc:
        skipped.append((f"{name}:{rows.line_num}", f"it and what follows it are not CSV: {exc}"))
    finally:
        csv.field_size_limit(before)
    if not count:
        raise DocumentError("it holds no rows")


def _delimiter(text: str) -> str:
    """What cuts the first rows into equally many columns, the most of them; csv.Sniffer is too easily led astray."""

    def shape(delimiter: str) -> tuple[float, int]:
        widths: list[int] = []
        try:
            for row in csv.reader(io.StringIO(text), delimiter=delimiter):
                if row:
                    widths.append(len(row))
                if len(widths) == SAMPLE:
                    break
        except csv.Error:
            pass
        usual = max(set(widths), key=lambda width: (widths.count(width), width), default=1)
        return (widths.count(usual) / len(widths), usual) if usual > 1 else (0.0, 1)

    return max(DELIMITERS, key=shape)


def _header(values: Sequence[str]) -> list[str]:
    """The names of the columns if the first row holds them: each there once, short, and no number; else none."""
    names = [" ".join(clean(value).split()) for value in values]
    if MEANINGS.keys() & {name.lower() for name in names}:
        return [name[:LONGEST_NAME] for name in names]
    named = [name for name in names if name]
    plain = all(len(name) <= LONGEST_NAME and not NUMBER.fullmatch(name) for name in named)
    return names if len(named) > 1 and plain and len(named) == len(set(named)) else []


def _document(values: Sequence[str], columns: Sequence[str], where: str, stem: str) -> Document:
    named: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    has_text = "text" in map(_meaning, columns)
    for column, value in zip_longest(columns, map(clean, values), fillvalue=""):
        meaning = _meaning(column)
        is_first = bool(meaning) and meaning not in named
        if value and is_first:
            named[meaning] = value
        if value and (not is_first or (meaning in NAMED and not has_text)):
            others.append((column, value))
    if has_text and "text" not in named:
        raise DocumentError("'text' is missing or empty")
    lines = "\n".join(f"{column}: {value}" if column else value for column, value in others)
    details = {column: value for column, value in others if column and has_text}
    details |= {name: named[name] for name in NAMED if name in named}
    text = named.get("text") or lines or named.get("title", "")
    document = make_document(named.get("source", where), named.get("title", stem), text, domain=named.get("domain"))
    origin = provenance(document.provenance.source, document.text, details, named.get("origin", "unknown").lower())
    return document.model_copy(update={"provenance": origin})


def _meaning(column: str) -> str:
    return MEANINGS.get(column.lower(), "")
