from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.aggregator.normalise import normalise
from council.aggregator.numerals import numbers_in, read_number, with_digits


@pytest.mark.parametrize(
    ("written", "value", "rest"),
    [
        ("1,240 people", 1240, " people"),
        ("1 240", 1240, ""),
        ("1,5", 1.5, ""),
        (".5", 0.5, ""),
        ("-5 m", -5, " m"),
        ("minus five", -5, ""),
        ("3e8 m/s", 3e8, " m/s"),
        ("3 x 10^8", 3e8, ""),
        ("6.02*10**23", 6.02e23, ""),
        ("1.2 million", 1.2e6, ""),
        ("1/2", 0.5, ""),
        ("3 1/2 cups", 3.5, " cups"),
        ("twelve", 12, ""),
        ("twenty-one days", 21, " days"),
        ("one hundred and five", 105, ""),
        ("two thousand and five", 2005, ""),
        ("five hundred thousand", 500_000, ""),
        ("one million, two hundred thousand and three", 1_200_003, ""),
        ("a million", 1e6, ""),
        ("half", 0.5, ""),
        ("two thirds", 2 / 3, ""),
        ("three-quarters of it", 0.75, " of it"),
    ],
)
def test_numbers_are_read_with_what_follows(written: str, value: float, rest: str) -> None:
    found = read_number(written)
    assert found is not None
    assert found[0] == pytest.approx(value, rel=1e-12)
    assert found[1] == rest


@pytest.mark.parametrize("text", ["", "a dog", "and", "third", "1/0", "1.2.3", "1e999", "9" * 400, "1e308 million"])
def test_what_is_no_finite_number_is_none(text: str) -> None:
    assert read_number(text) is None


@given(st.integers(-(10**12), 10**12))
def test_grouped_digits_read_back(n: int) -> None:
    assert read_number(f"{n:,}") == (n, "") == read_number(str(n))


@pytest.mark.parametrize(
    ("one", "other"),
    [("World War II", "World War 2"), ("3rd", "third"), ("19th century", "nineteenth century"), ("Henry V", "Henry 5")],
)
def test_numerals_have_one_form(one: str, other: str) -> None:
    assert with_digits(normalise(one)) == with_digits(normalise(other))


def test_a_letter_inside_a_text_is_no_number() -> None:
    assert numbers_in(normalise("Roe v. Wade")) == frozenset()
    assert numbers_in(normalise("I think of civil law")) == frozenset()
    assert numbers_in(normalise("Henry V of England")) == {"5"}
    assert with_digits("xiv ix xxxix") == ("14", "9", "39")
