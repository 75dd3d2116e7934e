"""Relations: kinds of fact, with the sentences that state them and the questions that ask for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Final

from specialists.training.values import VALUES
from specialists.training.words import capital, load_yaml, made_up, word

BANKS: Final = ("general", "medicine", "law", "finance", "physics", "computing")
HELD_OUT_SHARE: Final = 0.08


@dataclass(frozen=True)
class Relation:
    """One kind of fact. `says` state it with slots {E}, {It}, {its}, {V}; `asks` ask for {V} by {E}."""

    name: str
    subject: str
    value: str | tuple[str, ...]
    says: tuple[str, ...]
    asks: tuple[str, ...]

    def make_value(self, rng: Random) -> str:
        return rng.choice(self.value) if isinstance(self.value, tuple) else VALUES[self.value](rng)

    @property
    def held_out(self) -> bool:
        """Whether this relation is kept from training, to measure reading of relations never seen."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return digest[0] / 256 < HELD_OUT_SHARE


def _read(row: dict[str, Any]) -> Relation:
    value = row["value"]
    kept = value if isinstance(value, str) else tuple(str(v) for v in value)
    return Relation(row["name"], row["subject"], kept, tuple(row["says"]), tuple(row["asks"]))


@cache
def load_bank(name: str) -> tuple[Relation, ...]:
    """The relations of one bank, in file order."""
    return tuple(_read(row) for row in load_yaml(name))


@cache
def relations_by_subject(bank: str, held_out: bool) -> dict[str, tuple[Relation, ...]]:
    """A bank's relations by the type of their subject; only those kept from training, or only the others."""
    found: dict[str, list[Relation]] = {}
    for relation in load_bank(bank):
        if relation.held_out == held_out:
            found.setdefault(relation.subject, []).append(relation)
    return {subject: tuple(listed) for subject, listed in found.items()}


def made_up_attribute(rng: Random) -> Relation:
    """'The ... of X is Y' with an attribute out of hundreds, or one that is no word: reading, not remembering."""
    pick = rng.random()
    attribute = word(rng, "attributes") if pick < 0.6 else made_up(rng, 2, 3)
    if pick > 0.85:
        attribute = f"{word(rng, 'adjectives')} {attribute}"
    value = rng.choice(list(VALUES))
    says = (
        f"The {attribute} of {{E}} is {{V}}.", f"{{E}} has a {attribute} of {{V}}.", f"For {{E}}, the {attribute} is {{V}}.",
        f"The {attribute} of {{E}} was {{V}} in {{year}}.", f"At {{V}}, the {attribute} of {{E}} is the largest known.",
        f"As for {{E}}, its {attribute} is given as {{V}}.", f"{capital(attribute)}: {{V}}. All of this refers to {{E}}.",
        f"{{It}} has {{V}} as its {attribute}.", f"{{its}} {attribute} is {{V}}.",
        f"According to {{person}}, {{its}} {attribute} was set to {{V}}.",
    )  # fmt: skip
    asks = (
        f"What is the {attribute} of {{E}}?", f"What {attribute} does {{E}} have?", f"Which {attribute} has {{E}}?",
        f"Tell me the {attribute} of {{E}}.", f"What was the {attribute} of {{E}}?", f"{{E}} has what {attribute}?",
        f"What is {{E}}'s {attribute}?", f"How large is the {attribute} of {{E}}?",
    )  # fmt: skip
    return Relation(f"attribute {attribute}", "any", value, says, asks)


def plain_attribute(rng: Random) -> Relation:
    """'The ... of X is Y', asked in the same words, or 'colour: Y', asked 'colour?': the first thing to learn, one step
    from copying what followed."""
    attribute = word(rng, "attributes") if rng.random() < 0.6 else made_up(rng, 1, 2)
    value = rng.choice(list(VALUES))
    says: tuple[str, ...]
    asks: tuple[str, ...]
    if rng.random() < 0.5:
        says, asks = (
            (f"{{E}}, {attribute}: {{V}}.", f"{{its}} {attribute}: {{V}}."),
            (f"{attribute} of {{E}}?", f"{{E}}, {attribute}?", f"{{E}}: {attribute}"),
        )
    else:
        says = (f"The {attribute} of {{E}} is {{V}}.", f"{{E}} has a {attribute} of {{V}}.", f"{{its}} {attribute} is {{V}}.")
        asks = (f"What is the {attribute} of {{E}}?", f"The {attribute} of {{E}} is what?", f"{{E}} has a {attribute} of what?",
                f"The {attribute} of {{E}} is", f"{{E}} has a {attribute} of")  # fmt: skip
    return Relation(f"plain {attribute}", "any", value, says, asks)


def made_up_deed(rng: Random) -> Sequence[Relation]:
    """'X was ... by Y in Z', asked by who, when and where: three relations that one sentence can state together."""
    lists = load_yaml("words")
    at = rng.randrange(len(lists["verbs_past"]))
    done, did, do = lists["verbs_past"][at], lists["verbs_past_simple"][at], lists["verbs_base"][at]
    tail = [" in {place}", " in {year}", "", ""]
    by = rng.choice(["person", "person", "organisation"])
    who = Relation(
        f"who {done}", "any", by,
        (f"{{E}} was {done} by {{V}}{rng.choice(tail)}.", f"{{V}} {did} {{E}}{rng.choice(tail)}.", 
         f"It was {{V}} who {did} {{E}}{rng.choice(tail)}.",
         f"{{It}} was {done} by {{V}}{rng.choice(tail)}.", f"{{V}}, a {word(rng, 'jobs')} from {{place}}, {did} {{E}}."),
        (f"Who {did} {{E}}?", f"By whom was {{E}} {done}?", f"Who was it that {did} {{E}}?", f"{{E}} was {done} by whom?"),
    )  # fmt: skip
    when = Relation(
        f"when {done}", "any", rng.choice(["year", "year", "date"]),
        (f"{{E}} was {done} in {{V}}.", f"In {{V}}, {{person}} {did} {{E}}.", f"In {{V}} {{E}} was {done} in {{place}}.",
         f"{{It}} was first {done} in {{V}}."),
        (f"When was {{E}} {done}?", f"In what year was {{E}} {done}?", f"In which year did somebody {do} {{E}}?"),
    )  # fmt: skip
    where = Relation(
        f"where {done}", "any", "place",
        (f"{{E}} was {done} in {{V}}.", f"In {{V}}, {{person}} {did} {{E}} in {{year}}.", f"{{It}} was {done} in {{V}} by {{person}}.",
         f"It was in {{V}} that {{E}} was {done}."),
        (f"Where was {{E}} {done}?", f"In which place was {{E}} {done}?", f"Where did they {do} {{E}}?"),
    )  # fmt: skip
    return who, when, where


def fill(template: str, rng: Random, slots: dict[str, str]) -> str:
    """`template` with its slots filled: the given ones, and made-up values for the rest (noise)."""
    out, rest = [], template
    while "{" in rest:
        before, _, rest = rest.partition("{")
        name, _, rest = rest.partition("}")
        make: Callable[[Random], str] = VALUES.get(name, VALUES["term"])
        out += [before, slots[name] if name in slots else make(rng)]
    return "".join([*out, rest])
