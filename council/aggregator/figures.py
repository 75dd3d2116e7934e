"""The figures of a sentence in one form: equal amounts become equal words, other amounts other words."""

from __future__ import annotations

import re
from typing import Final

from council.aggregator.normalise import fold
from council.aggregator.numerals import read_number
from council.aggregator.quantities import Quantity, parse_quantity

_PERIOD: Final = r"(?P<{}>day|week|month|year)"
_OFTEN: Final = re.compile(
    r"(?:\b(?P<count>once|twice|thrice|[\w.]+ times),? )?"
    rf"(?:\b(?:per|each|every) {_PERIOD.format('of')}|(?<=\w) ?/ ?{_PERIOD.format('over')}"
    rf"|(?:(?<=once )|(?<=twice )|(?<=thrice )|(?<=times ))an? {_PERIOD.format('a')}"
    r"|\b(?P<ly>dai|week|month|year)ly|\b(?P<annual>annual)(?:ly)?)\b",
    re.IGNORECASE,
)
"""Of hours and seconds, how often is part of a unit: km per hour."""
_AMOUNT_A_DAY: Final = re.compile(rf"(\d ?[^\s\d]+) an? {_PERIOD.format('of')}\b", re.IGNORECASE)
_COUNTS: Final = {"once": "1", "twice": "2", "thrice": "3"}
_PERIODS: Final = {"dai": "day", "annual": "year"}
_RANGE: Final = re.compile(r"(?<=\d) ?- ?(?=\d)(?!\d\d-\d\d\b)(?<!\d{4}-\d\d-)")
_ONE_OF: Final = re.compile(r"\bone (?=of\b)", re.IGNORECASE)
_TRAILING: Final = re.compile(r"^.*?(?=[.,;:!?)]*$)")
_MOST_WORDS: Final = 5


def with_plain_figures(text: str) -> str:
    """The folded text, each quantity in it one word with a digit: 12 km and 12,000 m are the same, 12 mg and 12 g are not.

    "12 mg daily" is "12 mg per day" and not "12 mg twice a day"; the "one" of "one of" is no number.
    """
    text = _AMOUNT_A_DAY.sub(r"\1 per \2", _ONE_OF.sub("a ", fold(text)))
    tokens = _RANGE.sub(" to ", _OFTEN.sub(_how_often, text)).split()
    pieces: list[tuple[str, Quantity | None]] = []
    at = 0
    while at < len(tokens):
        length, figure = _figure(tokens[at : at + _MOST_WORDS])
        before = [word for word, _ in pieces[-3:]]
        if figure and figure.unit and len(before) > 1 and (before[-1] in ("to", "or") or (before[0], before[-1]) == ("between", "and")):
            word, first = pieces[-2]
            # "12 to 15 mg" is "12 mg to 15 mg".
            pieces[-2] = (word, Quantity(first.value, figure.words, figure.unit) if first and not first.unit else first)
        pieces.append((tokens[at + length - 1], figure))
        at += length
    return " ".join(_one_form(found) + _TRAILING.sub("", word, count=1) if found else word for word, found in pieces)


def is_rate(word: str) -> bool:
    """Whether a word of a text with plain figures says how often."""
    return re.fullmatch(r"[\d.]+per(?:day|week|month|year)", word) is not None


def _how_often(found: re.Match[str]) -> str:
    """One word for "twice a day", after a space; it has a digit, so that it tells sentences apart as numbers do."""
    period = next(found[name] for name in ("of", "over", "a", "ly", "annual") if found[name]).lower()
    count = (found["count"] or "once").lower()
    number = read_number(count.removesuffix(" times"))
    times = _COUNTS.get(count) or (f"{number[0]:.12g}" if number else f"{count} 1")
    return f" {times}per{_PERIODS.get(period, period)}"


def _figure(tokens: list[str]) -> tuple[int, Quantity | None]:
    """How many tokens the quantity takes that the tokens begin with, and itself; (1, None) where none does."""
    if not (re.match(r"[-+(~]?[$€£¥]?\.?\d", tokens[0]) or read_number(" ".join(tokens[:2]))):
        return 1, None
    for length in range(len(tokens), 0, -1):
        # A clause ends a quantity, and "1932 in York" is no length.
        if any(t[-1] in ",;:.!?)" for t in tokens[: length - 1]) or (length > 1 and tokens[length - 1] in ("in", "pm")):
            continue
        found = parse_quantity(" ".join(tokens[:length]))
        if found and (found.unit or not found.words):
            return length, found
    return 1, None


def _one_form(quantity: Quantity) -> str:
    """A word that equal quantities share."""
    if quantity.unit is None:
        return f"{quantity.value:.12g}"
    base = f"{quantity.value * quantity.unit.size + quantity.unit.offset:.6g}"
    return re.sub(r"[^\w.]", "", base.replace("-", "m") + quantity.unit.dimension.replace("/", "per"))
