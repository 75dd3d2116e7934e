"""The little of Markdown that splitting knows: lines that are headings, and what keeps others from being any."""

from __future__ import annotations

import re
from typing import Final

HEADING: Final = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
MARKED: Final = re.compile(r"^ {0,3}(?=#{1,6}[ \t]|```|~~~)", re.MULTILINE)
"""Where a line begins that would be taken for a heading or a fence."""


def first_heading(text: str) -> str | None:
    found = HEADING.search(text)
    return found.group(1) if found else None


def heading(level: int, text: str) -> str:
    """A heading of level 1 to 6, on one line; nothing of nothing."""
    line = " ".join(text.split())
    return f"{'#' * min(max(level, 1), 6)} {line}" if line else ""


def paragraph(text: str) -> str:
    """Lines without the white space around them; none of them a heading."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return MARKED.sub(r"\\", "\n".join(line for line in lines if line))


def code(text: str) -> str:
    """Lines as they are, set in by four places, which keeps them from being headings."""
    return "\n".join(f"    {line.rstrip()}" if line.strip() else "" for line in text.expandtabs(4).strip("\n").split("\n"))
