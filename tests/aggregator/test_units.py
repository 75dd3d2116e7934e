from __future__ import annotations

import pytest

from council.aggregator.units import find_unit


@pytest.mark.parametrize(
    "names",
    [
        "kg|kilogram|kilograms|Kilogrammes|KG",
        "km/h|kph|kilometres per hour|kilometers per hour|km per h",
        "m^2|m2|square metres|sq m",
        "cubic metres|m^3",
        "m/s^2|metres per second squared",
        "%|percent|per cent",
        "°C|degrees C|degrees Celsius|celsius|C",
        "µm|micrometres|um",
        "mg/dL|milligrams per decilitre",
    ],
)
def test_names_of_one_unit(names: str) -> None:
    units = {find_unit(name) for name in names.split("|")}
    assert len(units) == 1
    assert None not in units


def test_case_tells_milli_from_mega() -> None:
    milli, mega = find_unit("mW"), find_unit("MW")
    assert milli is not None and mega is not None
    assert mega.size / milli.size == pytest.approx(1e9)
    assert find_unit("mw") is None


@pytest.mark.parametrize("text", ["", "apostles", "k", "kg of gold", "/", "m/s/s", "per", "square", "°C/m", "square °C"])
def test_unknown_units_are_none(text: str) -> None:
    assert find_unit(text) is None
