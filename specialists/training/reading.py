"""Reading exercises: made-up passages, with questions that they answer and questions that they don't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from specialists.prompt_format import DO_NOT_KNOW, PASSAGES_DO_NOT_TELL, Layout
from specialists.training.names import PRONOUNS, SUBJECTS
from specialists.training.relations import (
    BANKS,
    Relation,
    fill,
    made_up_attribute,
    made_up_deed,
    plain_attribute,
    relations_by_subject,
)
from specialists.training.words import capital, load_yaml

PERSONAS: Final = (
    "You are a specialist in medicine.", "You are a specialist in law.", "You are a specialist in finance.",
    "You are a specialist in physics.", "You are a specialist in computing.", "You are a careful reader.", "You are an expert.",
)  # fmt: skip
LAYOUTS: Final[tuple[Layout, ...]] = ("persona_first", "persona_first", "passages_first")
UNANSWERABLE_SHARE: Final = 0.3
HEADINGS: Final = (
    "{E}",
    "{E}",
    "{E}",
    "{E}",
    "{E}",
    "About {E}",
    "History of {E}",
    "{E}: overview",
    "Overview",
    "{E}, facts and figures",
    "Notes",
    "Profile: {E}",
    "",
)


@dataclass(frozen=True)
class Exercise:
    """One context and its questions, each with the answer a reader should give."""

    persona: str
    layout: Layout
    passages: tuple[tuple[str, str], ...]
    questions: tuple[tuple[str, str], ...]


@dataclass
class _Subject:
    """A made-up thing that passages are about, and the facts stated of it."""

    kind: str
    name: str
    pronoun: str
    facts: dict[str, tuple[Relation, str]] = field(default_factory=dict)

    @property
    def its(self) -> str:
        return {"He": "his", "She": "her", "They": "their"}.get(self.pronoun, "its")


def _sentence_start(text: str) -> str:
    return capital(text) if text[:1].islower() else text


def _new_subject(rng: Random, kind: str, near: Sequence[_Subject]) -> _Subject:
    """A subject whose name no other has; sometimes it shares a word with one, as neighbours in a search do."""
    name = SUBJECTS[kind](rng)
    if near and rng.random() < 0.15:
        first = rng.choice(near).name.split()[0]
        name = " ".join([first, *name.split()[1:]]) if len(name.split()) > 1 else f"{first} {name}"
    taken = {s.name.lower() for s in near}
    return _Subject(kind, name, rng.choice(PRONOUNS[kind])) if name.lower() not in taken else _new_subject(rng, kind, ())


def _choose_relations(rng: Random, bank: str, kind: str, count: int, held_out: bool, plain: bool) -> list[Relation]:
    """`count` relations that fit a subject of this kind: of the bank, and made up on the spot."""
    if plain:
        return [plain_attribute(rng) for _ in range(count)]
    known = list(relations_by_subject(bank, held_out).get(kind, ()))
    rng.shuffle(known)
    chosen: list[Relation] = []
    while len(chosen) < count:
        pick = rng.random()
        if known and (pick < 0.8 or held_out):
            chosen.append(known.pop())
        elif held_out:
            break
        else:
            chosen += rng.sample(list(made_up_deed(rng)), rng.randint(1, 2)) if pick < 0.9 else [made_up_attribute(rng)]
    return chosen[:count]


def _state(rng: Random, subject: _Subject, relation: Relation, named: bool) -> str:
    """A sentence that states `relation` of `subject`, and the fact noted on the subject."""
    fits = [s for s in relation.says if ("{E}" in s) != named or (named and rng.random() < 0.4)]
    fits = fits or [s for s in relation.says if "{E}" in s]
    template = rng.choice(fits)
    value = relation.make_value(rng)
    subject.facts[relation.name] = (relation, value)
    its = subject.its if named or "{E}" in template else f"{subject.name}'s"
    text = fill(template, rng, {"E": subject.name, "V": value, "It": subject.pronoun, "its": its})
    return _sentence_start(text)


def _filler(rng: Random, subject: _Subject) -> str:
    template = rng.choice(load_yaml("fillers"))
    return _sentence_start(fill(template, rng, {"E": subject.name, "It": subject.pronoun, "its": subject.its}))


def _passage(
    rng: Random, subject: _Subject, relations: Sequence[Relation], other: _Subject | None, extra: Sequence[Relation]
) -> tuple[str, str]:
    """Title and text of a passage about `subject`, with a word on `other` at its end."""
    title = _sentence_start(fill(rng.choice(HEADINGS), rng, {"E": subject.name}))
    sentences: list[str] = []
    for relation in relations:
        if rng.random() < 0.15:
            sentences.append(
                _filler(rng, subject) if sentences else f"{_sentence_start(subject.name)} has been described by several authors."
            )
        sentences.append(_state(rng, subject, relation, named=bool(sentences)))
    if rng.random() < 0.2:
        sentences.append(_filler(rng, subject))
    if other is not None:
        sentences += [_state(rng, other, relation, named=False) for relation in extra]
    return title, " ".join(sentences)


def dress(rng: Random, question: str) -> str:
    """Small changes that people make to a question."""
    pick = rng.random()
    if pick < 0.05:
        return f"According to the passages, {question[:1].lower()}{question[1:]}"
    if pick < 0.08:
        return question.lower()
    if pick < 0.11:
        return question.rstrip("?.")
    return f"{rng.choice(['Please tell me:', 'Quick question:', 'Say,', 'I wonder:'])} {question}" if pick < 0.13 else question


def _ask(rng: Random, relation: Relation, name: str) -> str:
    return dress(rng, _sentence_start(fill(rng.choice(relation.asks), rng, {"E": name})))


def _unanswerable(rng: Random, subjects: Sequence[_Subject], spare: dict[str, list[Relation]]) -> str | None:
    """A question close to the passages that they don't answer: a fact not stated, or a subject not there."""
    stated = [(s, r) for s in subjects for r, _ in s.facts.values()]
    pick = rng.random()
    if pick < 0.45:  # a subject that is there, a fact stated of another
        subject = rng.choice(subjects)
        lent = [r for s, r in stated if s is not subject and s.kind == subject.kind and r.name not in subject.facts]
        own = [r for r in spare.get(subject.kind, []) if r.name not in subject.facts]
        pool = lent if lent and rng.random() < 0.6 else own
        return _ask(rng, rng.choice(pool), subject.name) if pool else None
    if not stated:
        return None
    subject, relation = rng.choice(stated)  # a fact that is stated, of a subject that is not there
    return _ask(rng, relation, _new_subject(rng, subject.kind, subjects).name)


def make_exercise(
    rng: Random,
    passages: int,
    questions: int = 8,
    banks: Sequence[str] = BANKS,
    held_out: bool = False,
    unanswerable: float = UNANSWERABLE_SHARE,
    plain: float = 0.05,
) -> Exercise:
    """A context of `passages` made-up passages and up to `questions` questions on it.

    `banks` are the relation banks to draw from; `held_out` draws the relations that training never sees;
    `unanswerable` is the share of questions that the passages don't answer, `plain` that of contexts in simple words.
    """
    persona, layout = rng.choice(PERSONAS), rng.choice(LAYOUTS)
    bank = rng.choice(list(banks))
    kinds = list(relations_by_subject(bank, held_out))
    kind = rng.choice(kinds)
    simple = not held_out and rng.random() < plain
    same_kind, same_relations = rng.random() < 0.7, rng.random() < (0.3 if simple else 0.6)
    subjects: list[_Subject] = []
    shared: dict[str, list[Relation]] = {}
    spare: dict[str, list[Relation]] = {}
    shown: list[tuple[str, str]] = []
    for _ in range(max(passages, 1)):
        own = kind if same_kind else rng.choice(kinds)
        subject = _new_subject(rng, own, subjects)
        count = rng.choices((1, 2, 3, 4), (1, 4, 4, 2))[0]
        pool = shared.setdefault(own, _choose_relations(rng, bank, own, 6, held_out, simple))
        rng.shuffle(pool)
        relations = pool[:count] if same_relations else _choose_relations(rng, bank, own, count, held_out, simple)
        spare.setdefault(own, []).extend(pool[count:])
        other, extra = None, []
        if rng.random() < 0.12:
            other, extra = _new_subject(rng, own, [*subjects, subject]), pool[:1]
        shown.append(_passage(rng, subject, relations, other, extra))
        subjects += [subject] if other is None else [subject, other]
    if passages == 0:
        return Exercise(
            persona,
            layout,
            (),
            tuple((_ask(rng, r, subjects[0].name), DO_NOT_KNOW) for r, _ in subjects[0].facts.values()),
        )
    return Exercise(persona, layout, tuple(shown), tuple(_questions(rng, subjects, spare, questions, unanswerable)))


def _questions(
    rng: Random, subjects: Sequence[_Subject], spare: dict[str, list[Relation]], count: int, unanswerable: float
) -> list[tuple[str, str]]:
    facts = [(s, r, v) for s in subjects for r, v in s.facts.values()]
    rng.shuffle(facts)
    made: list[tuple[str, str]] = []
    for _ in range(count):
        if rng.random() < unanswerable:
            question = _unanswerable(rng, subjects, spare)
            if question is not None:
                made.append((question, PASSAGES_DO_NOT_TELL))
        elif facts:
            subject, relation, value = facts.pop()
            made.append((_ask(rng, relation, subject.name), value))
    return made
