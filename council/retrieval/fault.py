"""A library's error as part of a one-line message."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 300


def one_line(exc: BaseException) -> str:
    """What the error says, in at most 300 characters and without line breaks."""
    text = " ".join(str(exc).split()) or type(exc).__name__
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
