"""Made-up values of every type that a relation can have: years, amounts, quantities with units, words."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from specialists.training.names import SUBJECTS
from specialists.training.words import capital, made_up, made_up_name, word

MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WEEKDAYS: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
SMALL: Final = [
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "fifteen",
    "twenty",
    "thirty",
    "forty",
    "sixty",
]
UNITS: Final[dict[str, tuple[str, ...]]] = {
    "length": ("metres", "km", "kilometres", "cm", "mm", "miles", "feet", "m", "nanometres", "light years"),
    "mass": ("kg", "grams", "tonnes", "kilograms", "mg", "pounds", "tons"),
    "temperature": ("degrees Celsius", "degrees", "kelvin", "degrees Fahrenheit", "K"),
    "speed": ("km/h", "metres per second", "knots", "kilometres per hour", "miles per hour"),
    "frequency": ("Hz", "kHz", "MHz", "GHz", "hertz", "megahertz"),
    "energy": ("joules", "MeV", "kWh", "GeV", "kilojoules", "eV", "kilowatt hours"),
    "area": ("hectares", "square kilometres", "square metres", "acres"),
    "volume": ("litres", "ml", "cubic metres", "gallons", "millilitres"),
    "data_size": ("GB", "MB", "terabytes", "kilobytes", "megabytes", "bytes", "gigabytes", "TB"),
    "power": ("watts", "kW", "megawatts", "MW", "kilowatts", "horsepower"),
    "voltage": ("volts", "V", "kV", "millivolts"),
    "pressure": ("bar", "kPa", "pascals", "atmospheres", "psi"),
    "angle": ("degrees", "arc seconds", "radians"),
    "dose": ("mg", "mg twice a day", "micrograms", "mg daily", "ml a day", "units"),
    "rate_per_year": ("per year", "times a year", "percent a year", "a year"),
}
WORDS: Final[dict[str, str]] = {
    "material_word": "materials", "animal": "animals", "food": "foods", "job": "jobs", "industry": "industries", "organ": "organs",
    "symptom": "symptoms", "noun": "nouns", "adjective": "adjectives", "instrument_word": "instruments", "sport": "sports",
    "colour": "colours",
}  # fmt: skip


def number(rng: Random) -> str:
    pick = rng.random()
    if pick < 0.2:
        return rng.choice(SMALL)
    if pick < 0.65:
        return str(rng.randint(2, 999))
    if pick < 0.85:
        return f"{rng.randint(1000, 99999):,}"
    return str(rng.randint(1000, 9999)) if pick < 0.95 else f"{rng.randint(1, 99)}.{rng.randint(1, 9)}"


def year(rng: Random) -> str:
    return str(rng.randint(1700, 2035))


def date(rng: Random) -> str:
    day, month = rng.randint(1, 28), rng.choice(MONTHS)
    return rng.choice([f"{day} {month} {year(rng)}", f"{day} {month}", f"{month} {day}", f"{month} {year(rng)}"])


def clock(rng: Random) -> str:
    hour, minute = rng.randint(1, 12), rng.choice(["00", "15", "30", "45", "10", "20"])
    return rng.choice(
        [
            f"{hour}:{minute}",
            f"{hour} am",
            f"{hour} pm",
            f"{hour}.{minute}",
            "noon",
            f"half past {rng.choice(SMALL[:9])}",
            f"{hour} o'clock",
        ]
    )


def percent(rng: Random) -> str:
    whole = rng.randint(1, 99)
    return rng.choice([f"{whole} percent", f"{whole}%", f"{whole}.{rng.randint(1, 9)} percent", f"{whole}.{rng.randint(1, 9)}%"])


def money(rng: Random) -> str:
    unit = rng.choice(["dollars", "euros", "pounds", "crowns", "francs", "yen"])
    amount, scale = number(rng), rng.choice(["million", "billion", "thousand"])
    return rng.choice(
        [
            f"{amount} {unit}",
            f"${rng.randint(1, 999)} {scale}",
            f"{amount} {scale} {unit}",
            f"${rng.randint(2, 999)}",
            f"{rng.randint(2, 90)} {unit}",
        ]
    )


def duration(rng: Random) -> str:
    unit = rng.choice(["days", "weeks", "months", "years", "hours", "minutes", "seconds", "milliseconds", "working days", "nights"])
    return f"{rng.choice(SMALL) if rng.random() < 0.45 else rng.randint(2, 120)} {unit}"


def age(rng: Random) -> str:
    return rng.choice([f"{rng.randint(2, 99)} years", str(rng.randint(2, 99)), f"{rng.randint(2, 99)} years old"])


def code(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTVWXZ") for _ in range(rng.randint(1, 3)))
    return rng.choice(
        [
            f"{letters}-{rng.randint(10, 9999)}",
            f"{letters}{rng.randint(10, 999)}",
            f"{letters}-{rng.randint(1, 99)}-{rng.randint(1, 99)}",
        ]
    )


def term(rng: Random) -> str:
    return rng.choice(
        [
            made_up(rng, 2, 3),
            f"{word(rng, 'adjectives')} {word(rng, 'nouns')}",
            f"{made_up(rng, 2)} {word(rng, 'nouns')}",
        ]
    )


def _quantity(kind: str) -> Callable[[Random], str]:
    return lambda rng: f"{number(rng)} {rng.choice(UNITS[kind])}"


def _listed(kind: str) -> Callable[[Random], str]:
    return lambda rng: word(rng, WORDS[kind])


def _fixed(choices: str | list[str]) -> Callable[[Random], str]:
    listed = choices.split("|") if isinstance(choices, str) else choices
    return lambda rng: rng.choice(listed)


VALUES: Final[dict[str, Callable[[Random], str]]] = {
    **SUBJECTS,
    **{kind: _quantity(kind) for kind in UNITS},
    **{kind: _listed(kind) for kind in WORDS},
    **{f.__name__: f for f in (number, year, date, clock, percent, money, duration, age, code, term)},
    "month": _fixed(MONTHS),
    "weekday": _fixed(WEEKDAYS),
    "season": _fixed("spring|summer|autumn|winter|late spring|early summer|late autumn|midwinter"),
    "weather": _fixed("rain|fog|snow|drizzle|hail|thunderstorms|sleet|sandstorms|dry heat|frost|strong winds|low cloud"),
    "country": lambda rng: made_up_name(rng) + rng.choice(["ia", "land", "stan", ""]),
    "country_word": lambda rng: made_up_name(rng) + rng.choice(["ia", "land", "stan", ""]),
    "language": lambda rng: capital(word(rng, "languages")) if rng.random() < 0.6 else made_up_name(rng) + "ish",
}
