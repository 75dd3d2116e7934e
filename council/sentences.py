"""Where sentences of running text end. A stop that may be an abbreviation's ends none: better a cut too few than half a sentence."""

from __future__ import annotations

import re
from typing import Final

_CLOSERS: Final = r"[\"'\u2019\u201d\u00bb)\]]*(?:\[\d[\d, -]*\])*"
_STOP: Final = re.compile(  # the second kind, of Chinese and Japanese, needs no space after it
    rf"(?<![.!?\u2026])[.!?\u2026\u061f\u06d4\u0964]+{_CLOSERS}(?=\s)|[\u3002\uff01\uff1f]+[\u2019\u201d\u300d\u300f\uff09]*"
)
_OPENERS: Final = " \t\r\n\"'\u2018\u201c\u00ab\u00bf\u00a1(["
_NEAR: Final = 40
"""Characters that are looked at before and after a stop."""

_ENUMERATOR: Final = re.compile(r"\s*\(?(?:\d{1,3}|[ivxIVX]{1,5})\.")
_NEVER_ENDS: Final = re.compile(
    r"\b(?:Dr|Mr|Mrs|Ms|Prof|St|Mt|Gen|Sen|Gov|Capt|Lt|Col|Sgt|Rev|Hon|Nr|bzw|cf|vs|viz|esp|resp|approx|ca|e\.\s?g|i\.\s?e)\.\Z"
)
_NOT_BEFORE_DIGITS: Final = re.compile(
    r"\b(?:nos?|figs?|eqs?|arts?|secs?|vols?|chs?|pp?|ed|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.\Z", re.IGNORECASE
)
_MAY_END: Final = re.compile(r"(?:\b(?:Jr|Sr|Inc|Ltd|Co|Corp|al|etc)|(?<![^\W_])[^\W\d_])\.\Z")
_STARTER: Final = re.compile(r"(?:The|It|Its|In|He|She|They|We|This|That|These|Those|There|A|An|But|However|When|If|As|For|On|At)\b")


def sentence_ends(text: str) -> list[int]:
    """Offsets just past each sentence of `text`, its closing quotes included; the last one is past all but white space."""
    ends: list[int] = []
    last = len(text.rstrip())
    start = 0
    for stop in _STOP.finditer(text, 0, last):
        after = text[stop.end() : stop.end() + _NEAR].lstrip(_OPENERS)
        if not _runs_on(text[max(start, stop.end() - _NEAR) : stop.end()], after):
            start = stop.end()
            ends.append(start)
    return [*(end for end in ends if end < last), last] if last else []


def _runs_on(before: str, after: str) -> bool:
    """Whether the stop that `before` closes with ends no sentence: one of an initial, say, or of "2." in a list."""
    if after[:1].islower() or _ENUMERATOR.fullmatch(before):
        return True
    before = before.rstrip("\"'\u2019\u201d\u00bb)]")
    if _NEVER_ENDS.search(before) or (_MAY_END.search(before) and not _STARTER.match(after)):
        return True
    return after[:1].isdigit() and bool(_NOT_BEFORE_DIGITS.search(before))
