"""A number with its unit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from council.aggregator.dates import Date, parse_date
from council.aggregator.normalise import fold, normalise
from council.aggregator.numerals import numbers_in, read_number
from council.aggregator.units import Unit, find_unit

__all__ = ["Date", "Quantity", "parse_date", "parse_quantity"]

_TOLERANCE: Final = 1e-6
_LONGEST: Final = 100
_MOST_UNIT_WORDS: Final = 2
_LEAD: Final = re.compile(r"^(?:(?:about|approximately|around|roughly|circa|nearly|almost|exactly|at|in|by|on) |[~=] ?)", re.IGNORECASE)
_CURRENCY: Final = re.compile(r"^(-?)(US\$|USD|EUR|GBP|JPY|[$€£¥]) ?(?=[\d.])(.*)$")
_SHORT_SCALES: Final = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion"}
_MEASURED: Final = re.compile(r" (?:long|tall|high|wide|deep|old|of age|in (?:length|height|width|depth))$")


@dataclass(frozen=True)
class Quantity:
    """`value` as written, in `unit` where that is a known one; `words` is the unit as normalised text, '' for none."""

    value: float
    words: str = ""
    unit: Unit | None = None

    def equals(self, other: Quantity) -> bool:
        """Equal to a relative 1e-6, converted where the units are of one dimension; unknown units as words."""
        if self.unit is None or other.unit is None or self.unit == other.unit:
            same_unit = self.unit == other.unit and (self.unit is not None or self.words == other.words)
            return same_unit and _close(self.value, other.value)
        return self.unit.dimension == other.unit.dimension and _close(_base(self, self.unit), _base(other, other.unit))

    def differs(self, other: Quantity) -> bool:
        """Whether the two can't mean the same: known units tell, and where a unit is unknown, the numbers."""
        if self.unit is None or other.unit is None:
            return not _close(self.value, other.value)
        return not self.equals(other)


def parse_quantity(text: str) -> Quantity | None:
    """The quantity that the whole of `text` is, or None.

    At most two unknown words after the number are its unit ("12 apostles"); more make the text more than a quantity.
    """
    if len(text) > _LONGEST:
        return None
    folded = fold(text).strip(" .,;:!?\"'()")
    folded = _LEAD.sub("", folded)
    mark = ""
    if m := _CURRENCY.match(folded):
        mark, folded = m[2], _spell_scale(m[1] + m[3])
    found = read_number(folded)
    if found is None:
        return None
    value, rest = found
    rest = rest.rstrip(" .,;:!?")
    if re.match(r"\d+(?:st|nd|rd|th)\b|(?:1\d|20)\d0'?s$|\d+ ?[ap]\.?m$", folded, re.IGNORECASE):
        return None  # "2nd", an ordinal; "1960s", a decade, not seconds; "3 pm", a time of day, not picometres
    if mark:
        unit = find_unit(mark)
        return Quantity(value, normalise(mark), unit) if not rest or find_unit(rest) == unit else None
    rest = _MEASURED.sub("", rest.removeprefix("-"))
    if not rest.strip():
        return Quantity(value)
    if unit := find_unit(rest):
        return Quantity(value, normalise(rest), unit)
    words = normalise(rest)
    if not words or not re.match(r"[ \w]", rest) or numbers_in(words) or len(words.split()) > _MOST_UNIT_WORDS:
        return None
    return Quantity(value, " ".join(w[:-1] if len(w) > 3 and w.endswith("s") else w for w in words.split()))


def _spell_scale(amount: str) -> str:
    """`1.2M` of money as `1.2 million`."""
    m = re.fullmatch(r"(-?[\d.,]+) ?(k|mn?|bn?)\b\.?", amount, re.IGNORECASE)
    return f"{m[1]} {_SHORT_SCALES[m[2].lower()]}" if m else amount


def _base(quantity: Quantity, unit: Unit) -> float:
    return quantity.value * unit.size + unit.offset


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_TOLERANCE)
