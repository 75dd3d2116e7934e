from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.aggregator import Quantity, parse_quantity


def read(text: str) -> Quantity:
    quantity = parse_quantity(text)
    assert quantity is not None, text
    return quantity


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 kg", "12 kilograms"),
        ("12 kg", "12,000 g"),
        ("5 mg", "0.005 grams"),
        ("90 minutes", "1.5 hours"),
        ("2 kW", "2000 W"),
        ("60 km/h", "60 kilometres per hour"),
        ("3e8 m/s", "300,000 km/s"),
        ("100 °C", "212 degrees Fahrenheit"),
        ("20 degrees C", "20°C"),
        ("12%", "twelve percent"),
        ("$1.2 million", "1,200,000 dollars"),
        ("$1.2M", "USD 1.2 million"),
        ("€3bn", "3 billion euros"),
        ("one hundred and five", "105"),
        ("1/2", "half"),
        ("5 cubic metres", "5000 litres"),
        ("12 apostles", "twelve Apostles"),
        ("about 12 km", "12 km."),
        ("35 years old", "35 years"),
        ("6 feet tall", "2 yards"),
        ("−5 °C", "-5 C"),  # noqa: RUF001
        ("0 °C", "32 °F"),
    ],
)
def test_equal_quantities(one: str, other: str) -> None:
    assert read(one).equals(read(other)) and read(other).equals(read(one))
    assert not read(one).differs(read(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12", "13"),
        ("12 kg", "12 m"),
        ("12 kg", "12 mg"),
        ("12 MW", "12 mW"),
        ("5", "-5"),
        ("3.14", "3.1416"),
        ("12 apostles", "13 disciples"),
        ("12%", "0.13"),
        ("0 °C", "0.0001 °C"),
        ("$5", "€5"),
    ],
)
def test_different_quantities(one: str, other: str) -> None:
    assert read(one).differs(read(other)) and read(other).differs(read(one))
    assert not read(one).equals(read(other))


@pytest.mark.parametrize(("one", "other"), [("12", "12 km"), ("12 apostles", "12 disciples"), ("12 apostles", "12")])
def test_one_number_with_an_unknown_unit_is_left_open(one: str, other: str) -> None:
    assert not read(one).equals(read(other))
    assert not read(one).differs(read(other))


@pytest.mark.parametrize(
    "text",
    ["", "Model 12", "12 apostles of Leonardo", "10-20", "10 to 20 km", "15:30", "3 pm", "1960s", "2nd", "19th century",
     "two and a half", "No. 5", "$5 apples", "nineteen sixty-two", "1" * 200, "12 + 3"],
)  # fmt: skip
def test_more_than_a_quantity_is_none(text: str) -> None:
    assert parse_quantity(text) is None


@given(st.floats(-1e12, 1e12).filter(lambda x: abs(x) > 1e-6), st.sampled_from([("m", "km"), ("g", "kg"), ("W", "kW")]))
def test_a_thousand_small_units_are_one_large(value: float, units: tuple[str, str]) -> None:
    small, large = units
    assert read(f"{value!r} {small}").equals(read(f"{value / 1000!r} {large}"))
    assert read(f"{value!r} {small}").differs(read(f"{value!r} {large}"))


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    quantity = parse_quantity(text)
    assert quantity is None or quantity.equals(quantity)
