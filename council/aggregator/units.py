"""Units of measurement: a small table, and the products of prefixes, powers and quotients that it spans."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PREFIXES: Final = {
    "": ("", 1.0), "k": ("kilo", 1e3), "M": ("mega", 1e6), "G": ("giga", 1e9), "T": ("tera", 1e12), "d": ("deci", 1e-1),
    "c": ("centi", 1e-2), "m": ("milli", 1e-3), "µ": ("micro", 1e-6), "u": ("micro", 1e-6), "n": ("nano", 1e-9),
    "p": ("pico", 1e-12),
}  # fmt: skip
# Dimension, size in the dimension's base unit, symbols, names. The first group takes the prefixes.
_PREFIXED: Final = (
    ("length", 1.0, "m", "metre meter"),
    ("mass", 1e-3, "g", "gram gramme"),
    ("time", 1.0, "s", "second"),
    ("volume", 1e-3, "l L", "litre liter"),
    ("power", 1.0, "W", "watt"),
    ("energy", 1.0, "J", "joule"),
    ("energy", 3600.0, "Wh", "watt-hour"),
    ("energy", 1.602176634e-19, "eV", "electronvolt"),
    ("energy", 4.184, "cal", "calorie"),
    ("voltage", 1.0, "V", "volt"),
    ("current", 1.0, "A", "ampere amp"),
    ("resistance", 1.0, "Ω", "ohm"),
    ("frequency", 1.0, "Hz", "hertz"),
    ("force", 1.0, "N", "newton"),
    ("pressure", 1.0, "Pa", "pascal"),
    ("pressure", 1e5, "", "bar"),
    ("amount", 1.0, "mol", "mole"),
    ("data", 1.0, "B", "byte"),
)
_PLAIN: Final = (
    ("length", 0.0254, "in", "inch inches"),
    ("length", 0.3048, "ft", "foot feet"),
    ("length", 0.9144, "yd", "yard"),
    ("length", 1609.344, "mi", "mile"),
    ("length", 9.4607304725808e15, "ly", "light-year"),
    ("mass", 1e3, "t", "tonne"),
    ("mass", 0.45359237, "lb lbs", "pound"),
    ("mass", 0.028349523125, "oz", "ounce"),
    ("time", 60.0, "min mins", "minute"),
    ("time", 3600.0, "h hr hrs", "hour"),
    ("time", 86400.0, "d", "day"),
    ("time", 604800.0, "", "week"),
    ("months", 1.0, "", "month"),  # a month has no fixed number of days, a year has twelve months
    ("months", 12.0, "yr yrs", "year"),
    ("months", 120.0, "", "decade"),
    ("months", 1200.0, "", "century centuries"),
    ("area", 1e4, "ha", "hectare"),
    ("area", 4046.8564224, "", "acre"),
    ("speed", 1.0 / 3.6, "kph kmh", ""),
    ("speed", 0.44704, "mph", ""),
    ("speed", 1852.0 / 3600.0, "kn", "knot"),
    ("pressure", 101325.0, "atm", "atmosphere"),
    ("percent", 1.0, "% pct", "percent"),
    ("angle", 1.0, "° deg", "degree"),
    ("angle", 57.29577951308232, "rad", "radian"),
    ("dollar", 1.0, "$ US$ USD", "dollar"),
    ("euro", 1.0, "€ EUR", "euro"),
    ("pound sterling", 1.0, "£ GBP", ""),
    ("yen", 1.0, "¥ JPY", "yen"),
)
# Base unit kelvin: value * size + offset.
_TEMPERATURES: Final = (
    (1.0, 0.0, "K", "kelvin"),
    (1.0, 273.15, "°C C", "celsius centigrade"),
    (5.0 / 9.0, 273.15 - 32.0 * 5.0 / 9.0, "°F F", "fahrenheit"),
)
_DERIVED: Final = {"length/time": "speed", "length^3": "volume", "length^2": "area"}
_POWERS: Final = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}


@dataclass(frozen=True)
class Unit:
    """A unit of `dimension`: one of it is `size` base units; `offset` is of temperatures alone."""

    dimension: str
    size: float
    offset: float = 0.0


def _table() -> dict[str, Unit]:
    table: dict[str, Unit] = {}
    for dimension, size, symbols, names in _PREFIXED:
        for short, (long, factor) in _PREFIXES.items():
            unit = Unit(dimension, size * factor)
            table |= {short + symbol: unit for symbol in symbols.split()}
            table |= {long + name + end: unit for name in names.split() for end in ("", "s")}
    for dimension, size, symbols, names in _PLAIN:
        table |= {symbol: Unit(dimension, size) for symbol in symbols.split()}
        table |= {name + end: Unit(dimension, size) for name in names.split() for end in ("", "s")}
    for size, offset, symbols, names in _TEMPERATURES:
        unit = Unit("temperature", size, offset)
        table |= {name: unit for name in symbols.split() + names.split()}
        table |= {f"{degree} {name}": unit for name in names.split() for degree in ("degrees", "degree", "deg", "°")}
        table |= {f"{degree} {symbols[-1]}": unit for degree in ("degrees", "degree", "deg", "°")}
    return table


_UNITS: Final = _table()


def _any_case() -> dict[str, Unit]:
    """By case-folded name, where that names one unit: "kg", but not "mw" (milliwatt, megawatt) or "k"."""
    found: dict[str, set[Unit]] = {}
    for name, unit in _UNITS.items():
        found.setdefault(name.casefold(), set()).add(unit)
    return {name: units.pop() for name, units in found.items() if len(name) > 1 and len(units) == 1}


_ANY_CASE: Final = _any_case()


def find_unit(text: str) -> Unit | None:
    """The unit that folded `text` names, or None: "km", "kilometres per hour", "m/s^2", "square metres", "degrees C".

    Symbols are read as written (mW is not MW); only where that fails, in any case ("KG").
    """
    text = text.strip().rstrip(".").replace("per cent", "percent").replace("light year", "light-year")
    if unit := _single(text):
        return unit
    parts = re.split(r" ?/ ?| per ", text)
    units = [_single(part) for part in parts]
    if len(parts) != 2 or units[0] is None or units[1] is None or units[0].offset or units[1].offset:
        return None
    dimension = f"{units[0].dimension}/{units[1].dimension}"
    return Unit(_DERIVED.get(dimension, dimension), units[0].size / units[1].size)


def _single(text: str) -> Unit | None:
    if unit := _UNITS.get(text) or _ANY_CASE.get(text.casefold()):
        return unit
    power = 1
    if m := re.fullmatch(r"(.*[^\W\d])(?:\^|\*\*)?([23])", text):
        text, power = m[1], int(m[2])
    else:
        words = text.split()
        powers = [_POWERS[w.casefold()] for w in words if w.casefold() in _POWERS]
        if len(powers) != 1:
            return None
        text, power = " ".join(w for w in words if w.casefold() not in _POWERS), powers[0]
    unit = _UNITS.get(text) or _ANY_CASE.get(text.casefold())
    if unit is None or unit.offset:
        return None
    dimension = f"{unit.dimension}^{power}"
    return Unit(_DERIVED.get(dimension, dimension), unit.size**power)
