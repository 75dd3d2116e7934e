"""Made-up facts about things that share names, places, people and numbers, and questions about them in other words.

Every name is that of ten things, one of each kind, in four passages each: of what a question says, nine other things have the
name and 499 others the kind. A tenth of the names has an old edition of one thing in place of the tenth, with other figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

SEED: Final = 23
PARTS: Final = 4
OLD: Final = 10
"""One name in so many has an old edition."""
OLD_SHARE: Final = 0.2
"""Of the questions, those about what has one."""


@dataclass(frozen=True)
class Kind:
    """Things of a kind, what passages say of one, and how that is asked."""

    domain: str
    noun: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Fact:
    """A passage about one thing."""

    thing: str
    title: str
    text: str
    domain: str
    part: int
    date: str
    question: str
    answer: str

    @property
    def id(self) -> str:
        return f"{self.thing}/{self.part}"


KINDS: Final = (
    Kind("medicine", "drug", (
        ("Adults take {n} milligrams of it every evening.", "What is the nightly dose of the remedy {name} for grown-ups?"),
        ("A course lasts {n} days and is not repeated within the year.", "For how long does a patient stay on the medicine {name}?"),
        ("It was first made by {who} from the bark of a tree.", "Who invented the medication {name}?"),
        ("It must be kept at {n} degrees, away from light.", "How cold should the remedy {name} be stored?"),
    )),
    Kind("medicine", "clinic", (
        ("Its wards hold {n} beds, a third of them for children.", "How many patients can sleep in the hospital {name}?"),
        ("The surgeon {who} founded it with the money of an aunt.", "Which doctor set up the hospital {name}?"),
        ("At night one nurse looks after {n} people.", "How many patients does a carer at the hospital {name} watch after dark?"),
        ("Its roof was rebuilt after the fire of {year}.", "When did the infirmary {name} burn?"),
    )),
    Kind("law", "treaty", (
        ("It was signed by {n} towns of the coast.", "How many parties put their names to the pact of {name}?"),
        ("Either side may leave it with {n} months of notice.", "How far ahead must withdrawal from the {name} accord be announced?"),
        ("Its text was drafted by {who}, who took no fee.", "Who worded the agreement of {name}?"),
        ("It came into force in {year}.", "From which year on was the pact of {name} binding?"),
    )),
    Kind("law", "court", (
        ("{n} judges sit on its bench.", "How large is the panel of the {name} tribunal?"),
        ("An appeal has to be lodged within {n} days.", "What is the deadline to contest a ruling of the {name} tribunal?"),
        ("{who} presided over it for a generation.", "Who was for long the chief justice of the {name} tribunal?"),
        ("A plaintiff pays a fee of {n} crowns.", "What does it cost to bring a suit before the tribunal {name}?"),
    )),
    Kind("finance", "bank", (
        ("It pays {n} per mille on savings.", "What interest do depositors get from the lender {name}?"),
        ("It was rescued by its rivals in {year}.", "When was the lender {name} bailed out?"),
        ("{who} owns the largest part of it.", "Who is the main stockholder of the lender {name}?"),
        ("It keeps {n} branches open.", "How many offices does the lender {name} run?"),
    )),
    Kind("finance", "company", (
        ("It earned {n} million crowns last year.", "What was the annual revenue of the firm {name}?"),
        ("{n} people work in its sheds.", "How many staff does the firm {name} employ?"),
        ("Its first director was {who}.", "Who led the firm {name} at the start?"),
        ("Its shares were offered to the public in {year}.", "In which year did the firm {name} go on the stock exchange?"),
    )),
    Kind("physics", "alloy", (
        ("It melts at {n} degrees.", "At what heat does the metal {name} turn liquid?"),
        ("{who} found it by accident in a furnace.", "By whom was the metal {name} discovered?"),
        ("A rod as thick as a thumb bears {n} tonnes.", "What load can a bar of the metal {name} carry?"),
        ("It has been cast since {year}.", "Since when is the metal {name} produced?"),
    )),
    Kind("physics", "star", (
        ("Its light takes {n} years to reach us.", "How distant is the sun called {name}?"),
        ("{n} planets circle it.", "How many worlds orbit the sun called {name}?"),
        ("{who} was the first to enter it in a catalogue.", "Which astronomer first listed the sun {name}?"),
        ("It flared up for a week in {year}.", "When did the sun {name} suddenly grow bright?"),
    )),
    Kind("computing", "protocol", (
        ("Servers listen for it on port {n}.", "Which port does the network standard {name} use?"),
        ("A peer that is silent for {n} seconds is cut off.", "What is the timeout of the network standard {name}?"),
        ("{who} wrote the specification alone.", "Who is the author of the network standard {name}?"),
        ("Its last revision dates from {year}.", "When was the network standard {name} updated most recently?"),
    )),
    Kind("computing", "language", (
        ("It reserves {n} words.", "How many keywords do programmers in {name} have to avoid?"),
        ("{who} built the first compiler for it.", "Who made the earliest translator for programs in {name}?"),
        ("A program may take at most {n} megabytes.", "What is the memory limit for software written in {name}?"),
        ("It was taught in schools from {year} on.", "When did pupils begin to learn coding in {name}?"),
    )),
)  # fmt: skip
OPENINGS: Final = (
    "{name} is a {noun} of {place}.", "The {noun} {name} belongs to {place}.", "This is told in {place} of the {noun} {name}.",
    "The {noun} is well known in {place}.",
)  # fmt: skip
ASIDES: Final = (
    "{who} kept a copy of the record of {year} in {place}.", "It is often taken for {other}, of which {who} wrote in {year}.",
    "Of {place} and its {n} wells nothing else is known.", "A letter of {year} from {who} says the same of {other}.",
    "In {place} this was doubted for {n} years.", "The ledger counts {n} entries, the last of {year}.",
    "{other} and {place} are named beside it on page {n}.", "{who} had it carved above a door in {place}.",
)  # fmt: skip
OPEN: Final = ("br", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "w", "z")
MIDDLE: Final = ("a", "e", "i", "o", "u", "ai", "ou")
CLOSE: Final = ("l", "n", "r", "s", "th", "rn", "nd", "m", "k")


class Maker:
    """Draws facts, the same at each run."""

    def __init__(self, names: int) -> None:
        self._rng = Random(SEED)
        drawn = self._words(names + 300)
        self._names, self._people, self._places = drawn[:names], drawn[names : names + 200], drawn[names + 200 :]

    def make(self) -> list[Fact]:
        """PARTS passages of each thing, in order."""
        return [fact for number, name in enumerate(self._names) for thing in self._things(number, name) for fact in thing]

    def ask(self, facts: Sequence[Fact], count: int) -> list[Fact]:
        """So many that are asked for, of the newest edition."""
        old = {f.thing.removesuffix("/old") for f in facts if f.thing.endswith("/old")}
        newest = [f for f in facts if not f.thing.endswith("/old")]
        twice, once = [f for f in newest if f.thing in old], [f for f in newest if f.thing not in old]
        wanted = min(int(OLD_SHARE * count), len(twice))
        return [*self._rng.sample(twice, wanted), *self._rng.sample(once, min(count - wanted, len(once)))]

    def _words(self, count: int) -> list[str]:
        found: dict[str, None] = {}
        while len(found) < count:
            syllables = [self._rng.choice(OPEN) + self._rng.choice(MIDDLE) for _ in range(self._rng.choice((1, 2, 2)))]
            found["".join((*syllables, self._rng.choice(CLOSE))).capitalize()] = None
        return list(found)

    def _things(self, number: int, name: str) -> list[list[Fact]]:
        has_old = number % OLD == 0
        places = self._rng.sample(self._places, len(KINDS))
        kinds = KINDS[:-1] if has_old else KINDS
        years = [self._rng.randint(1996, 2025) for _ in kinds]
        things = [self._thing(name, kind, place, year, "") for kind, place, year in zip(kinds, places, years, strict=False)]
        return [*things, self._thing(name, KINDS[0], places[0], years[0] - 20, "/old")] if has_old else things

    def _thing(self, name: str, kind: Kind, place: str, year: int, edition: str) -> list[Fact]:
        facts = []
        for part, (statement, question) in enumerate(kind.facts):
            said = self._values()
            asides = [aside.format(**self._values()) for aside in self._rng.sample(ASIDES, 2)]
            opening = self._rng.choice(OPENINGS[:-1] if part == 0 else OPENINGS).format(name=name, noun=kind.noun, place=place)
            text = " ".join([opening, asides[0], statement.format(**said), asides[1]])
            answer = next(said[key] for key in ("n", "who", "year") if f"{{{key}}}" in statement)
            facts.append(
                Fact(
                    thing=f"{name}/{kind.noun}{edition}", title=f"{name} ({kind.noun})", text=text, domain=kind.domain, part=part,
                    date=str(year), question=question.format(name=name), answer=answer,
                )
            )  # fmt: skip
        return facts

    def _values(self) -> dict[str, str]:
        draw = self._rng
        return {
            "n": str(draw.randint(3, 90)), "who": f"{draw.choice(self._people)} {draw.choice(self._people)}",
            "year": str(draw.randint(1700, 1990)), "place": draw.choice(self._places), "other": draw.choice(self._names),
        }  # fmt: skip
