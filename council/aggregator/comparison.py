"""Whether exact rules join two answers, part them, or leave them to similarity."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from council.aggregator.normalise import fold, normalise
from council.aggregator.numerals import numbers_in, with_digits
from council.aggregator.quantities import Date, Quantity, parse_date, parse_quantity
from council.types import NOT_KNOWN

Kind = Literal["not known", "yes or no", "letter", "date", "quantity", "text"]

_NEGATIONS: Final = frozenset({"not", "no", "never", "none", "neither", "nor", "without", "non"})
_OPPOSITES: Final = {
    word: pair
    for pair in (
        "north south", "east west", "northern southern", "eastern western", "left right", "before after", "above below",
        "more less", "increase decrease", "increases decreases", "increased decreased", "increasing decreasing",
        "higher lower", "high low", "positive negative", "true false", "male female", "maximum minimum", "hot cold",
        "upper lower", "first last", "faster slower", "larger smaller", "guilty innocent", "up down",
        "inside outside", "acid base", "acidic basic", "am pm", "buyer seller", "plaintiff defendant", "gain loss",
    )
    for word in pair.split()
}  # fmt: skip
_NEGATING: Final = ("un", "in", "im", "il", "ir", "non", "dis")

_HONORIFICS_TEXT: Final = """
    sir dame lord dr mr ms miss prof professor president king queen saint pope
"""
_HONORIFICS: Final = frozenset(_HONORIFICS_TEXT.split())
_PARTICLES_TEXT: Final = """
    van von de da di del della der den la le du al bin ibn
"""
_PARTICLES: Final = frozenset(_PARTICLES_TEXT.split())
_NOT_GIVEN_NAMES_TEXT: Final = """
    lady mrs new old north south east west northern southern eastern western central upper lower great greater
    little big united equatorial british american french dutch german spanish san santa santo sao st saint los las
    el port fort mount mt lake river cape gulf bay isle sea rio tel addis papua costa puerto sierra burkina cabo sri
    hong kuala buenos red black white yellow green blue dead world civil cold first second third middle high low
    royal federal supreme national general carbon sodium nitric nitrous hydrogen sulfuric sulphuric calcium
    potassium common public private criminal natural dark special quantum classical roman greek holy ursa canis
"""
_NOT_GIVEN_NAMES: Final = frozenset(_NOT_GIVEN_NAMES_TEXT.split())
_NOT_SURNAMES_TEXT: Final = """
    war city state states county country island islands lake river sea ocean bay mountain mountains mount hill
    valley street road university college school institute court party act law theory theorem principle effect
    equation rule revolution empire kingdom republic union treaty battle acid oxide dioxide chloride gas energy
    force company museum church palace castle bridge tower house station park forest desert peninsula syndrome
    disease virus century telescope prize constant number system
"""
_NOT_SURNAMES: Final = frozenset(_NOT_SURNAMES_TEXT.split())
_ADJECTIVE: Final = re.compile(r".{3,}(?:ary|ous|al|ive|able|ible|ful|less|ern|ish|ese|tic|ing|ed|ly)")
_COMMON_NOUN: Final = re.compile(r".{3,}(?:ion|ity|ment|ness|ism|ogy|ance|ence|ship|hood|ics|ase|ose|ide|ate|ure|ia)")


@dataclass(frozen=True)
class Reading:
    """An answer as the exact rules see it. `key`: answers of equal keys are the same; `name`: a person's."""

    kind: Kind
    key: tuple[object, ...]
    words: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()
    quantity: Quantity | None = None
    date: Date | None = None
    name: tuple[str, ...] = ()


def read(answer: str) -> Reading:
    """What kind of answer this is, and what tells it apart."""
    plain = normalise(answer)
    if plain == NOT_KNOWN:
        return Reading("not known", ("not known",))
    if plain in ("yes", "no", "maybe"):
        return Reading("yes or no", (plain,))
    if re.fullmatch(r"\(?[A-Za-z]\)?[.:]?", answer.strip()):
        return Reading("letter", ("letter", plain))
    words, numbers = with_digits(plain), numbers_in(plain)
    date, quantity = parse_date(answer), parse_quantity(answer)
    if date:
        return Reading("date", ("date", date), words, numbers, quantity, date)
    if quantity:
        key = ("quantity", quantity.value, quantity.unit or quantity.words)
        return Reading("quantity", key, words, numbers, quantity)
    # What is nothing but punctuation to `normalise` is still itself.
    return Reading("text", ("text", *(words or (answer.strip(),))), words, numbers, name=_person(answer))


def relation(a: Reading, b: Reading) -> bool | None:
    """True: the same by an exact rule; False: told apart by one; None: neither, so similarity may decide.

    Symmetric. A surname and a full name that ends with it are the same here; where a surname fits several people, see
    `ambiguous`.
    """
    if a.key == b.key:
        return True
    if a.date and b.date:
        return False if a.date.contradicts(b.date) else None
    if a.quantity and b.quantity:
        return True if a.quantity.equals(b.quantity) else False if a.quantity.differs(b.quantity) else None
    exact = {"not known", "yes or no", "letter"}
    if a.kind in exact or b.kind in exact or a.numbers != b.numbers:
        return False
    first, second = set(a.words), set(b.words)
    if bool(first & _NEGATIONS) != bool(second & _NEGATIONS) or _opposed(first - second, second - first):
        return False
    return True if _same_person(a.name, b.name) else None


def ambiguous(reading: Reading, others: Iterable[Reading]) -> bool:
    """Whether a name fits people among `others` who are not each other: Curie, beside Marie Curie and Pierre Curie."""
    fits = [o.name for o in others if o.name != reading.name and _same_person(reading.name, o.name)]
    return any(not _same_person(one, other) for n, one in enumerate(fits) for other in fits[:n])


def _opposed(only_first: set[str], only_second: set[str]) -> bool:
    """Whether one has a word whose opposite the other has, as in north and south, possible and impossible."""
    for ours, theirs in ((only_first, only_second), (only_second, only_first)):
        for word in ours:
            if word in _OPPOSITES and any(_OPPOSITES.get(t) == _OPPOSITES[word] for t in theirs):
                return True
            if len(word) > 3 and any(prefix + word in theirs for prefix in _NEGATING):
                return True
    return False


def _person(answer: str) -> tuple[str, ...]:
    """The case-folded words of an answer that looks like a person's name, () of any other.

    One to four capitalised words, particles aside, that no place or thing begins or ends with.
    """
    written = re.sub(r"([^\W\d_])\.", r"\1 ", fold(answer)) if re.search(r"\b[A-Z]\.", answer) else fold(answer)
    tokens = written.strip(" .,;:!?\"'()").split()
    while tokens and tokens[0].rstrip(".").casefold() in _HONORIFICS:
        tokens = tokens[1:]
    if not 1 <= len(tokens) <= 4 or not all(re.fullmatch(r"[^\W\d_][^\W\d_'-]*(?:['-][^\W\d_]+)*", t) for t in tokens):
        return ()
    names = [t for t in tokens if t not in _PARTICLES]
    if not names or not all(t[0].isupper() for t in names) or len(tokens[-1]) < 3 or tokens[-1].isupper():
        return ()
    folded = tuple(t.casefold() for t in tokens)
    thing = folded[-1] in _NOT_SURNAMES or _COMMON_NOUN.fullmatch(folded[-1])
    described = folded[0] in _NOT_GIVEN_NAMES or (len(folded) > 1 and _ADJECTIVE.fullmatch(folded[0]))
    return () if thing or described else folded


def _same_person(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether two names can be one person's: one surname, and given names or initials that begin alike.

    George W. Bush is not George H. W. Bush.
    """
    if not a or not b:
        return False
    first, second = ([t for t in name if t not in _PARTICLES] for name in (a, b))
    given = zip(first[:-1], second[:-1], strict=False)
    return first[-1] == second[-1] and all(x == y or (1 in (len(x), len(y)) and x[0] == y[0]) for x, y in given)
