"""Numbers written in digits, in words, as fractions, as ordinals and in Roman letters."""

from __future__ import annotations

import math
import re
from typing import Final

_ONES_TEXT: Final = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
"""
_ORDINALS_TEXT: Final = """
    first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
    sixteenth seventeenth eighteenth nineteenth twentieth
"""
_ONES: Final = _ONES_TEXT.split()
_TENS: Final = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL: Final = {w: n for n, w in enumerate(_ONES)} | {w: 10 * n for n, w in enumerate(_TENS, 2)}
SCALES: Final = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_ORDINALS: Final = {word: n for n, word in enumerate(_ORDINALS_TEXT.split(), 1)}
_PARTS: Final = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4} | {
    word + end: n for word, n in _ORDINALS.items() if 3 <= n <= 10 for end in ("", "s")
}
_ROMAN: Final = re.compile(r"x{0,3}(?:ix|iv|v?i{0,3})")

_DIGITS: Final = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,3}(?: \d{3})+(?! ?\d)|\d+)"
_SIGN: Final = r"(?:(?P<{}>-|minus |negative )|\+)? ?"
_FRACTION: Final = re.compile(
    _SIGN.format("minus") + r"(?:(?P<whole>\d{1,15}) )?(?P<over>\d{1,15}) ?/ ?(?P<under>\d{1,15})(?![\d/.,])",
    re.IGNORECASE,
)
_DECIMAL: Final = re.compile(
    _SIGN.format("minus") + rf"(?P<number>{_DIGITS}(?:[.,]\d+)?|\.\d+)(?![.,]?\d)"
    r"(?:e(?P<e>[-+]?\d{1,4})(?!\w)| ?(?:x|\*|·) ?10(?:\^|\*\*)\{?(?P<power>[-+]?\d{1,4})\}?)?",
    re.IGNORECASE,
)
_BELOW_100: Final = rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_ONES[1:10])}))?|{'|'.join(reversed(_ONES))})"
_BELOW_1000: Final = rf"(?:(?:{_BELOW_100}|a) hundred(?:(?: and)? {_BELOW_100})?|{_BELOW_100})"
_SCALED: Final = rf"(?:{_BELOW_1000}|a) (?:{'|'.join(list(SCALES)[1:])})\b"
_WORDS: Final = re.compile(
    _SIGN.format("minus") + rf"(?P<number>{_SCALED}(?:,?(?: and)? {_SCALED})*(?:,?(?: and)? {_BELOW_1000})?|{_BELOW_1000})\b",
    re.IGNORECASE,
)
_PART: Final = re.compile(rf"(?:(?P<over>an?|{'|'.join(_ONES[1:10])})[- ])?(?P<under>{'|'.join(_PARTS)})\b", re.IGNORECASE)


def read_number(text: str) -> tuple[float, str] | None:
    """The number that folded `text` begins with, and the rest of the text; None where there is none.

    A comma between digits groups thousands where three digits follow it ("1,240"), else it is a decimal comma.
    A number too large for a float is none.
    """
    text = text.strip()
    end = None
    if m := _FRACTION.match(text):
        if int(m["under"]) == 0:
            return None
        value = float(m["whole"] or 0) + int(m["over"]) / int(m["under"])
    elif m := _DECIMAL.match(text):
        value = _decimal(m["number"], m["e"] or m["power"] or "0")
        if scale := re.match(r" ?(hundred|thousand|million|billion|trillion)s?\b", text[m.end() :], re.IGNORECASE):
            value, end = value * SCALES[scale[1].lower()], m.end() + scale.end()
    elif (m := _PART.match(text)) and (m["over"] or m["under"].lower() == "half"):
        over = (m["over"] or "one").lower()
        return (1 if over in ("a", "an") else _SMALL[over]) / _PARTS[m["under"].lower()], text[m.end() :]
    elif m := _WORDS.match(text):
        value = _spelt(m["number"].lower())
    else:
        return None
    return (-value if m["minus"] else value, text[end or m.end() :]) if math.isfinite(value) else None


def _decimal(written: str, exponent: str) -> float:
    grouped = re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", written)
    return float(f"{written.replace(' ', '').replace(',', '' if grouped else '.')}e{exponent}")


def _spelt(words: str) -> float:
    """The value of a number in words that `_WORDS` accepted."""
    total = group = 0.0
    for word in re.findall(r"[a-z]+", words):
        if word == "hundred":
            group = (group or 1.0) * 100
        elif word in SCALES:
            total, group = total + (group or 1.0) * SCALES[word], 0.0
        else:
            group += _SMALL.get(word, 0)
    return total + group


def with_digits(words: str) -> tuple[str, ...]:
    """The words of a normalised text, its numbers in digits: "second", "2nd", "ii" and "two" all give "2".

    A single Roman letter is read only where a name's number stands: at the end, or before "of" ("henry v of england").
    """
    tokens = words.split()
    follows = [*tokens[1:], "of"]
    return tuple(t if t in "ivx" and (n == 0 or follows[n] != "of") else _in_digits(t) for n, t in enumerate(tokens))


def numbers_in(words: str) -> frozenset[str]:
    """The numbers that a normalised text holds, in digits."""
    return frozenset(t for t in with_digits(words) if any(c.isdigit() for c in t))


def _in_digits(token: str) -> str:
    if token in _ORDINALS or token in _SMALL:
        return str(_ORDINALS.get(token, _SMALL.get(token)))
    if ordinal := re.fullmatch(r"(\d+)(?:st|nd|rd|th)", token):
        return ordinal[1]
    if _ROMAN.fullmatch(token):
        values = [{"i": 1, "v": 5, "x": 10}[c] for c in token]
        return str(sum(-v if v < max(values[i:]) else v for i, v in enumerate(values)))
    return token
