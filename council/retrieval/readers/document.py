"""What a reader makes of a file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, get_args

from council.errors import DocumentError
from council.types import Frozen, Origin, Provenance

MOST_BYTES: Final = 64 * 2**20
"""Of a file, and of the text that is unpacked from one."""
MOST_ROWS: Final = 1_000_000
"""Documents from one file: each takes over a kilobyte of memory, however short its row."""
LONGEST_TITLE: Final = 300
SURROGATE: Final = re.compile("[\ud800-\udfff]")
CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f]")

NAMED: Final = ("author", "date", "licence", "language")
"""What a document may say of itself that is a provenance's own field."""
FORMER: Final = {"generated": "machine"}
"""Words for an origin that are read, and written no more."""

Skipped: TypeAlias = tuple[str, str]
"""What was left out (a path; of a line or a page: `path:line`, `path: page 3`), and why."""


class Document(Frozen):
    """A text and what is known of it. `markdown`: its headings mean something."""

    title: str
    text: str
    domain: str | None = None
    markdown: bool = False
    pages: tuple[int, ...] = ()
    """Where in `text` each page begins; empty: it has no pages."""
    provenance: Provenance = Provenance()
    file: str = ""
    """The absolute path of the file that it was read from."""


def make_document(source: str, title: str, text: str, details: Mapping[str, Any] | None = None, **rest: Any) -> Document:
    """A document with its hash, without the details that are blank. Raises DocumentError when it holds no text."""
    text = SURROGATE.sub("\ufffd", text)
    if not text.strip():
        raise DocumentError("it holds no text")
    kept = {key: clean(value) for key, value in (details or {}).items() if isinstance(value, str) and value.strip()}
    return Document(title=clean_title(title), text=text, provenance=provenance(source, text, kept), **rest)


def provenance(source: str, text: str, details: Mapping[str, Any], origin: str | None = None) -> Provenance:
    """Where a text comes from; what its record says beside, in fields of its own where it has them. Raises DocumentError for an
    origin that there is not."""
    origin = FORMER.get(origin or "unknown", origin or "unknown")
    if origin not in get_args(Origin):
        raise DocumentError(f"'origin' must be one of {', '.join(get_args(Origin))}")
    rest = {"licence" if key == "license" else key: value for key, value in details.items()}
    named = {name: rest.pop(name) for name in NAMED if isinstance(rest.get(name), str)}
    if len(named.get("language", "")) > 2:  # en-GB
        named["language"] = re.split(r"[-_]", named["language"])[0].lower()
    return Provenance(origin=origin, source=source, document=content_hash(text), details=rest, **named)


def clean(text: str) -> str:
    """Text that can be stored: what stands for no character is replaced, control characters but white space go."""
    return CONTROL.sub("", SURROGATE.sub("\ufffd", text)).strip()


def clean_title(text: str) -> str:
    """One line of at most LONGEST_TITLE characters."""
    return " ".join(clean(text).split())[:LONGEST_TITLE].rstrip()


def content_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text: a name need not be Unicode."""
    return os.fsencode(path).decode("utf-8", "replace")


def missing(kind: str, package: str) -> DocumentError:
    """The error for a library that isn't installed."""
    return DocumentError(f"{kind} need the package {package}: pip install 'council-of-specialists[documents]'")
