from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.aggregator.dates import Date, parse_date


@pytest.mark.parametrize(
    "text",
    [
        "14 March 1962",
        "March 14, 1962",
        "1962-03-14",
        "14/03/1962",
        "3/14/1962",
        "14th of March, 1962",
        "the 14th March 1962",
        "Wednesday, 14 March 1962",
        "on Mar. 14 1962.",
    ],
)
def test_one_day_in_many_forms(text: str) -> None:
    assert parse_date(text) == Date(1962, 3, 14)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("1962", Date(1962)),
        ("in the year 1962", Date(1962)),
        ("March 1962", Date(1962, 3)),
        ("March 14", Date(None, 3, 14)),
        ("44 BC", Date(-44)),
        ("15 March 44 BCE", Date(-44, 3, 15)),
        ("44 B.C.", Date(-44)),
        ("AD 79", Date(79)),
        ("79 CE", Date(79)),
    ],
)
def test_parts_of_dates(text: str, date: Date) -> None:
    assert parse_date(text) == date


@pytest.mark.parametrize(
    "text",
    ["", "12", "may", "03/04/1962", "31 February 2000", "2024-13-01", "1800 metres", "3000", "May 5 apples", "1960s"],
)
def test_what_is_no_single_date_is_none(text: str) -> None:
    assert parse_date(text) is None


def test_less_said_is_no_contradiction() -> None:
    day = Date(1962, 3, 14)
    assert not day.contradicts(Date(1962)) and not Date(1962).contradicts(day)
    assert day.contradicts(Date(1963)) and day.contradicts(Date(1962, 3, 15))


@given(st.dates(min_value=datetime.date(1000, 1, 1)))
def test_every_day_reads_back(day: datetime.date) -> None:
    expected = Date(day.year, day.month, day.day)
    assert parse_date(day.isoformat()) == expected
    assert parse_date(f"{day:%B} {day.day}, {day.year}") == expected
