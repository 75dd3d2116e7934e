"""The word lists that names, values and sentences are made of."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Final

import yaml

ONSETS: Final = [
    "b",
    "bl",
    "br",
    "c",
    "ch",
    "cl",
    "cr",
    "d",
    "dr",
    "f",
    "fl",
    "fr",
    "g",
    "gl",
    "gr",
    "h",
    "j",
    "k",
    "kl",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "pr",
    "qu",
    "r",
    "s",
    "sc",
    "sh",
    "sk",
    "sl",
    "sm",
    "sn",
    "sp",
    "st",
    "str",
    "sv",
    "t",
    "th",
    "tr",
    "v",
    "w",
    "y",
    "z",
]
VOWELS: Final = [
    "a",
    "a",
    "a",
    "a",
    "e",
    "e",
    "e",
    "e",
    "i",
    "i",
    "i",
    "o",
    "o",
    "o",
    "u",
    "u",
    "y",
    "ai",
    "au",
    "ea",
    "ee",
    "ei",
    "ia",
    "ie",
    "io",
    "oo",
    "ou",
]
JOINTS: Final = ["", "", "", "", *["n", "r", "l", "s", "m", "nd", "rt", "ll", "nt", "rk", "st"]]
CODAS: Final = [
    "",
    "",
    *[
        "ck",
        "d",
        "k",
        "l",
        "ld",
        "ll",
        "lt",
        "m",
        "n",
        "n",
        "nd",
        "ng",
        "nk",
        "nn",
        "nt",
        "r",
        "r",
        "rd",
        "rk",
        "rn",
        "rt",
        "s",
        "ss",
        "st",
        "t",
        "th",
        "x",
        "z",
    ],
]
ENDINGS: Final = [
    "ford",
    "ton",
    "berg",
    "ville",
    "dale",
    "heim",
    "ston",
    "wick",
    "mere",
    "stad",
    "by",
    "field",
    "burg",
    "dorp",
    "holm",
    "ov",
    "ski",
    "sen",
    "ez",
    "ini",
    "escu",
    "man",
]


@cache
def load_yaml(name: str) -> Any:
    """The parsed YAML file `relations/{name}.yaml` beside this module."""
    return yaml.safe_load((files("specialists.training") / "relations" / f"{name}.yaml").read_text("utf-8"))


def word(rng: Random, kind: str) -> str:
    """One word of a list in words.yaml."""
    choice: str = rng.choice(load_yaml("words")[kind])
    return choice


def made_up(rng: Random, low: int = 1, high: int = 3) -> str:
    """A lower-case word that exists in no dictionary, of `low` to `high` syllables."""
    count = rng.randint(low, high)
    starts = [rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(JOINTS) for _ in range(count - 1)]
    end = rng.choice(ENDINGS) if count > 1 and rng.random() < 0.25 else rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS)
    return "".join([*starts, end])


def made_up_name(rng: Random) -> str:
    """A capitalised made-up word: two or three syllables, so that two of them seldom collide."""
    return (
        made_up(rng, 2, 3).capitalize() if rng.random() < 0.95 else f"{made_up(rng, 1, 2).capitalize()}-{made_up(rng, 1, 2).capitalize()}"
    )


def capital(text: str) -> str:
    """`text` with its first letter in upper case and the rest as it was."""
    return text[:1].upper() + text[1:]
