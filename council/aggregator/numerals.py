"""Numbers written in digits, in words, as fractions, as ordinals and in Roman letters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final

_ONES: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL: Final = {w: n for n, w in enumerate(_ONES)} | {w: 10 * n for n, w in enumerate(_TENS, 2)}
SCALES: Final = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_ORDINALS: Final = {
    w: n
    for n, w in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
        "sixteenth seventeenth eighteenth nineteenth twentieth".split(),
        1,
    )
}
_PARTS: Final = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4} | {
    word + end: n for word, n in _ORDINALS.items() if 3 <= n <= 10 for end in ("", "s")
}
_ROMAN: Final = re.compile(r"x{0,3}(?:ix|iv|v?i{0,3})")

_DIGITS: Final = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,3}(?: \d{3})+(?! ?\d)|\d+)"
_WRITTEN: Final = re.compile(
    rf"(?P<sign>[-+]|minus |negative )? ?(?:(?P<whole>\d+) )?(?P<over>\d+) ?/ ?(?P<under>\d+)(?![\d/.,])"
    rf"|(?P<minus>[-+]|minus |negative )? ?(?P<number>{_DIGITS}(?:[.,]\d+)?|\.\d+)"
    r"(?:e(?P<e>[-+]?\d{1,4})(?!\w)| ?(?:x|\*|·) ?10(?:\^|\*\*)\{?(?P<power>[-+]?\d{1,4})\}?)?",
    re.IGNORECASE,
)


def read_number(text: str) -> tuple[float, str] | None:
    """The number that folded `text` begins with, and the rest of the text; None where there is none.

    A comma between digits groups thousands where three digits follow it ("1,240"), else it is a decimal comma.
    A number too large for a float is none.
    """
    text = text.strip()
    m = _WRITTEN.match(text)
    found = _from_digits(m, text) if m else _from_words(text)
    if found is None:
        return None
    value, rest = found
    scale = re.match(r" ?(hundred|thousand|million|billion|trillion)s?\b", rest, re.IGNORECASE) if m else None
    if scale:
        value, rest = value * SCALES[scale[1].casefold()], rest[scale.end() :]
    return (value, rest) if math.isfinite(value) else None


def _from_digits(m: re.Match[str], text: str) -> tuple[float, str] | None:
    rest = text[m.end() :]
    if m["over"]:
        if int(m["under"][:400]) == 0 or len(m[0]) > 60:
            return None
        value = float(m["whole"] or 0) + int(m["over"]) / int(m["under"])
        return (-value if (m["sign"] or "").strip() in ("-", "minus", "negative") else value), rest
    if re.match(r"[.,]?\d|[.,]\d", rest):
        return None
    written = m["number"].replace(" ", "")
    grouped = re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", written)
    value = float(written.replace(",", "" if grouped else "."))
    power = int(m["e"] or m["power"] or 0)
    value = float(f"{value!r}e{power}") if "e" not in repr(value) else value * 10.0**power
    return (-value if (m["minus"] or "").lower().strip() in ("-", "minus", "negative") else value), rest


def _from_words(text: str) -> tuple[float, str] | None:
    """A number in words: "one hundred and five", "minus three", "two thirds", "half", "a million"."""
    tokens = list(re.finditer(r"[a-z]+", text.casefold()))
    words = [t[0] for t in tokens]
    start = 1 if words[:1] in (["minus"], ["negative"]) else 0
    total = group = 0.0
    taken = count = start
    for i, word in enumerate(words[start:], start):
        if i > start and text[tokens[i - 1].end() : tokens[i].start()] not in (" ", "-"):
            break
        if word in _SMALL:
            group, taken = group + _SMALL[word], i + 1
        elif word in SCALES and (taken > start or words[i - 1 : i] in (["a"], ["one"]) or i == start):
            scaled = (group or 1.0) * SCALES[word]
            total, group = (total, scaled) if word == "hundred" else (total + scaled, 0.0)
            taken = i + 1
        elif word in _PARTS and (taken > start or word == "half" or words[i - 1 : i] == ["a"]):
            total, group, taken = (total + group if taken > start else 1.0) / _PARTS[word], 0.0, i + 1
            break
        elif not (word == "a" and i == start) and not (word == "and" and taken > start):
            break
        count += 1
    if taken == start:
        return None
    value = total + group
    return (-value if start else value), text[tokens[taken - 1].end() :]


def numeral(token: str) -> str:
    """A token of normalised text with its number in digits, ordinals and Roman numerals included; others as they are.

    "second", "2nd", "ii" and "two" all give "2". Single letters (i, v, x) are read as Roman too: see `numbers_in`.
    """
    if token in _ORDINALS:
        return str(_ORDINALS[token])
    if token in _SMALL:
        return str(_SMALL[token])
    if m := re.fullmatch(r"(\d+)(?:st|nd|rd|th)", token):
        return m[1]
    if token and _ROMAN.fullmatch(token):
        values = [{"i": 1, "v": 5, "x": 10}[c] for c in token]
        return str(sum(-v if v < max(values[i:]) else v for i, v in enumerate(values)))
    return token


def numbers_in(tokens: Iterable[str]) -> frozenset[str]:
    """What in a normalised text counts: the tokens that hold a digit once `numeral` has read them.

    A lone "i" that begins the text is the pronoun, not a number.
    """
    listed = list(tokens)
    read = (numeral(t) for i, t in enumerate(listed) if not (i == 0 and t == "i"))
    return frozenset(t for t in read if any(c.isdigit() for c in t))
