"""Years and dates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from council.aggregator.normalise import fold

_MONTHS_TEXT: Final = """
    january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sep sept|october oct|
    november nov|december dec
"""
_MONTHS: Final = {name: n for n, names in enumerate(_MONTHS_TEXT.split("|"), 1) for name in names.split()}
_LEAD: Final = re.compile(r"^(?:(?:on|in|at|by|about|around|circa|approximately) |ca?\. ?)")
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTH: Final = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_DAY: Final = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?:(?P<ad>ad) )?(?P<year>\d{1,4})(?: ?(?P<era>bce|bc|ce|ad|b\.c\.|a\.d\.|b\.c\.e\.|c\.e\.))?"
_WEEKDAY: Final = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? )?"
_FORMS: Final = tuple(
    re.compile(form)
    for form in (
        rf"{_WEEKDAY}(?:the )?{_DAY} (?:of )?{_MONTH},? {_YEAR}",
        rf"{_WEEKDAY}{_MONTH} (?:the )?{_DAY},? {_YEAR}",
        rf"(?:the )?{_DAY} (?:of )?{_MONTH}",
        rf"{_MONTH} (?:the )?{_DAY}",
        rf"{_MONTH},? (?:of )?{_YEAR}",
        r"(?P<year>\d{4})[-/.](?P<number>\d{1,2})[-/.](?P<day>\d{1,2})",
        r"(?P<day>1[3-9]|2\d|3[01])[-/.](?P<number>\d{1,2})[-/.](?P<year>\d{4})",
        r"(?P<number>\d{1,2})[-/.](?P<day>1[3-9]|2\d|3[01])[-/.](?P<year>\d{4})",
        rf"(?:the )?year (?:of )?{_YEAR}",
        r"(?P<year>1\d{3}|20\d\d)",
        r"(?P<year>\d{1,4}) ?(?P<era>bce|bc|ce|ad|b\.c\.|a\.d\.|b\.c\.e\.|c\.e\.)",
        r"ad (?P<year>\d{1,4})",
    )
)


@dataclass(frozen=True)
class Date:
    """A calendar date, or as much of one as was said. Years before Christ are negative: 44 BC is -44."""

    year: int | None = None
    month: int | None = None
    day: int | None = None

    def contradicts(self, other: Date) -> bool:
        """Whether both say a year, a month or a day, and not the same one: 1962 does not contradict March 1962."""
        pairs = ((self.year, other.year), (self.month, other.month), (self.day, other.day))
        return any(a is not None and b is not None and a != b for a, b in pairs)


def parse_date(text: str) -> Date | None:
    """The date that the whole of `text` is, or None.

    A bare number is a year from 1000 to 2099. Of numeric dates, those are read that can mean one day only: 2024-03-05
    and 14/03/1962, not 03/04/1962.
    """
    folded = _LEAD.sub("", fold(text[:80]).casefold())
    folded = folded.strip(" ,;:!?\"'()") if re.search(r"[bac]\.[cde]\.", folded) else folded.strip(" .,;:!?\"'()")
    for form in _FORMS:
        if m := form.fullmatch(folded):
            said = {name: value for name, value in m.groupdict().items() if value}
            month = _MONTHS[said["month"]] if "month" in said else int(said.get("number", "0")) or None
            day = int(said["day"]) if "day" in said else None
            year = int(said["year"]) if "year" in said else None
            if year == 0 or (month is not None and not 1 <= month <= 12) or ("number" in said and month is None):
                return None
            if day is not None and not 1 <= day <= (_DAYS[month - 1] if month else 31):
                return None
            before = said.get("era", "").replace(".", "").startswith("bc")
            return Date(-year if year is not None and before else year, month, day)
    return None
