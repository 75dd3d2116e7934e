"""Exercises from a library of real facts: its train split to tune specialists on, its test split to measure them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from specialists.prompt_format import DO_NOT_KNOW, PASSAGES_DO_NOT_TELL, Layout
from specialists.training.reading import Exercise, make_exercise


@dataclass(frozen=True)
class Fact:
    """A question with its answer, the document that answers it, and other ways to ask it."""

    domain: str
    kind: str
    split: str
    question: str
    paraphrases: tuple[str, ...]
    answer: str | None
    document: tuple[str, str] | None


@dataclass(frozen=True)
class Library:
    """All facts of a folder with library/*.jsonl and questions.jsonl."""

    facts: tuple[Fact, ...]

    @classmethod
    def load(cls, folder: Path) -> Library:
        documents = {d["id"]: (d["title"], d["text"]) for p in sorted((folder / "library").glob("*.jsonl")) for d in _rows(p)}
        return cls(tuple(_fact(row, documents) for row in _rows(folder / "questions.jsonl")))

    def pick(self, split: str, domain: str | None = None, kind: str | None = None) -> list[Fact]:
        """The facts of a split, in file order."""
        return [f for f in self.facts if f.split == split and domain in (None, f.domain) and kind in (None, f.kind)]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def _fact(row: dict[str, Any], documents: dict[str, tuple[str, str]]) -> Fact:
    document = documents[row["documents"][0]] if row["documents"] else None
    answer = row["answer"]
    if document is not None:  # as it is written in the document: that is what a reader copies
        at = document[1].lower().find(answer.lower())
        answer = document[1][at : at + len(answer)] if at >= 0 else answer
    return Fact(row["domain"], row["kind"], row["split"], row["question"], tuple(row["paraphrases"]), answer, document)


def trained_forms(fact: Fact) -> list[str]:
    """The ways of asking that training may use: all but the last paraphrase, which measures knowledge by heart."""
    return [fact.question, *fact.paraphrases[:-1]]


def reading_exercise(rng: Random, facts: Sequence[Fact], persona: str, layout: Layout, passages: int = 4) -> Exercise:
    """Documents of `passages` facts and questions on them, and on facts whose documents are not shown."""
    chosen = rng.sample(list(facts), min(len(facts), passages + 3))
    shown, absent = chosen[:passages], chosen[passages:]
    questions = [(rng.choice(trained_forms(f)), str(f.answer)) for f in shown]
    questions += [(rng.choice(trained_forms(f)), PASSAGES_DO_NOT_TELL) for f in absent]
    rng.shuffle(questions)
    return Exercise(persona, layout, tuple(f.document for f in shown if f.document is not None), tuple(questions))


def recall_exercise(rng: Random, known: Sequence[Fact], foreign: Sequence[Fact], persona: str, layout: Layout, count: int = 12) -> Exercise:
    """Questions from memory: the specialist's own facts, and others' or made-up ones, which it says not to know."""
    questions = [(rng.choice(trained_forms(f)), str(f.answer)) for f in rng.sample(list(known), min(len(known), count))]
    questions += [(rng.choice(trained_forms(f)), DO_NOT_KNOW) for f in rng.sample(list(foreign), min(len(foreign), count // 4))]
    while len(questions) < count * 3 // 2:
        questions += make_exercise(rng, 0, 4).questions
    rng.shuffle(questions)
    return Exercise(persona, layout, (), tuple(questions))


def held_out_exercise(rng: Random, fact: Fact, library: Library, persona: str, passages: int = 4) -> Exercise:
    """One question of the test split among documents of its domain, its own among them if it has one."""
    others = [f.document for f in library.facts if f.domain == fact.domain and f.document not in (None, fact.document)]
    shown = rng.sample(others, passages - (fact.document is not None)) + ([fact.document] if fact.document else [])
    rng.shuffle(shown)
    return Exercise(persona, "persona_first", tuple(d for d in shown if d), ((fact.question, fact.answer or PASSAGES_DO_NOT_TELL),))


def recall_tests(facts: Sequence[Fact], persona: str) -> Exercise:
    """The last paraphrase of each fact, from memory."""
    return Exercise(persona, "persona_first", (), tuple((f.paraphrases[-1], str(f.answer)) for f in facts if f.paraphrases))
