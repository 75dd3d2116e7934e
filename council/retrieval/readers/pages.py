"""Pages in one text: where each begins, and the page that a piece of the text begins on."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

HYPHENATED: Final = re.compile(r"(?<![\w-])([^\W\d_]{2,})-\n(?=[a-z]+(?![\w-]))")
"""A word cut at the end of a line; one with a hyphen of its own stays as it is."""


def join_pages(pages: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The pages as one text, and where each begins in it."""
    whole = [HYPHENATED.sub(r"\1", page.strip()) + "\n\n" if page.strip() else "" for page in pages]
    return "".join(whole), tuple(accumulate(map(len, whole), initial=0))[: len(whole)]


def first_pages(text: str, starts: Sequence[int], pieces: Sequence[str]) -> list[int]:
    """The page, from 1, on which each piece begins. The pieces are of `text` and in order, may overlap, and keep all of it
    but white space.
    """
    bounds = [*starts, len(text)]
    lengths = [len("".join(text[start:end].split())) for start, end in pairwise(bounds)]
    begins = list(accumulate(lengths[:-1], initial=0))
    dense = "".join(text.split())
    pages: list[int] = []
    start = end = 0
    for piece in pieces:
        wanted = "".join(piece.split())
        # Each ends beyond the one before and leaves nothing out between, so it can't be elsewhere.
        found = dense.find(wanted, max(start, end + 1 - len(wanted), 0), end + len(wanted))
        if found >= 0:
            start, end = found, found + len(wanted)
        pages.append(bisect_right(begins, start))
    return pages
