"""Reading exercises on natural documents: templates of whole passages, filled with made-up names and values.

Where `reading` puts single sentences together, these were written as one text each: facts in subordinate clauses, pronouns,
several numbers with different roles. Each comes with its questions, and with questions that it does not answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Final

import yaml

from specialists.prompt_format import PASSAGES_DO_NOT_TELL
from specialists.training.reading import LAYOUTS, PERSONAS, UNANSWERABLE_SHARE, Exercise, dress
from specialists.training.values import VALUES
from specialists.training.words import capital

HELD_OUT_SHARE: Final = 0.08
_SLOT: Final = re.compile(r"\{([a-z_]+?)(\d*)\}|\{(E)\}")


@dataclass(frozen=True, eq=False)
class Template:
    """A document with slots. `asks` pairs the wordings of a question with its answer, a slot or words of the text."""

    subject: str
    title: str
    text: str
    choices: Mapping[str, tuple[str, ...]]
    asks: tuple[tuple[tuple[str, ...], str], ...]
    nots: tuple[str, ...]

    @property
    def named(self) -> bool:
        """Whether every question names what the document is about: without, it can't be told from another of its build."""
        return all("{E}" in wording for wordings, _ in self.asks for wording in wordings)

    @property
    def held_out(self) -> bool:
        """Whether this template is kept from training, to measure reading of documents of no known build."""
        return hashlib.sha256(self.text.encode()).digest()[0] / 256 < HELD_OUT_SHARE


@dataclass(frozen=True)
class Filled:
    """A template with the values of its slots."""

    template: Template
    values: Mapping[str, str]

    @property
    def name(self) -> str | None:
        """What the document is about, if that is made up."""
        return self.values.get("{E}")

    def render(self, text: str) -> str:
        """`text` with its slots filled, each sentence beginning with a capital."""
        filled = _SLOT.sub(lambda match: self.values[match.group(0)], text)
        return re.sub(r"(^|[.?!] )([a-z])", lambda match: match.group(1) + match.group(2).upper(), filled)


def slots(template: Template) -> set[str]:
    """Every slot of a template's texts, as written."""
    texts = [template.title, template.text, *template.nots, *(a for _, a in template.asks), *(q for qs, _ in template.asks for q in qs)]
    return {match.group(0) for text in texts for match in _SLOT.finditer(text)}


@cache
def load_templates() -> dict[str, tuple[Template, ...]]:
    """All templates, by group: the name of their file up to a hyphen."""
    folder = files("specialists.training") / "documents"
    groups: dict[str, tuple[Template, ...]] = {}
    for name in sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml")):
        group = name.removesuffix(".yaml").partition("-")[0]
        rows = yaml.load((folder / name).read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        groups[group] = groups.get(group, ()) + tuple(_read(row) for row in rows)
    return groups


def _read(row: dict[str, Any]) -> Template:
    choices = {str(name): tuple(str(v) for v in values) for name, values in (row.get("choices") or {}).items()}
    asks = tuple((tuple(ask["q"]), str(ask["a"])) for ask in row["asks"])
    return Template(row["subject"], row["title"], row["text"], choices, asks, tuple(row.get("nots") or ()))


@cache
def trained_templates(group: str, held_out: bool = False) -> tuple[Template, ...]:
    """One file's templates: those for training, or those kept from it."""
    return tuple(t for t in load_templates()[group] if t.held_out == held_out)


def fill_template(rng: Random, template: Template, name: str | None = None) -> Filled:
    """Values for every slot, `name` for what the document is about; no two slots of one document have the same."""
    values: dict[str, str] = {} if name is None else {"{E}": name}
    for slot in sorted(slots(template) - set(values)):
        name = slot.strip("{}")
        kind = template.subject if name == "E" else name.rstrip("0123456789")
        for _ in range(20):
            value = rng.choice(template.choices[name]) if name in template.choices else VALUES[kind](rng)
            if value not in values.values():
                break
        values[slot] = value
    return Filled(template, values)


def make_document_exercise(
    rng: Random,
    passages: int,
    questions: int = 8,
    groups: Sequence[str] = (),
    held_out: bool = False,
    unanswerable: float = UNANSWERABLE_SHARE,
) -> Exercise:
    """A context of filled templates, mostly of one group and now and then twice of one, and questions on it."""
    group = rng.choice(list(groups) or list(load_templates()))
    pool = trained_templates(group, held_out)
    chosen = rng.sample(pool, passages)
    if passages > 1 and chosen[0].named and rng.random() < 0.3:
        chosen[-1] = chosen[0]  # the same build about another subject: only its name tells them apart
    rng.shuffle(chosen)
    shown: list[Filled] = []
    for template in chosen:  # now and then two documents on one subject, as pieces of one file are
        taken = {f.name for f in shown if f.template is template}
        same = [f.name for f in shown if f.template.subject == template.subject and f.name and f.name not in taken]
        shown.append(fill_template(rng, template, rng.choice(same) if same and rng.random() < 0.3 else None))
    rendered = tuple((capital(f.render(f.template.title)), f.render(f.template.text)) for f in shown)
    asks = [(f, wordings, answer) for f in shown for wordings, answer in f.template.asks]
    rng.shuffle(asks)
    made: list[tuple[str, str]] = []
    for _ in range(questions):
        if rng.random() < unanswerable:
            made.append((_unanswered(rng, shown, pool), PASSAGES_DO_NOT_TELL))
        elif asks:
            filled, wordings, answer = asks.pop()
            made.append(
                (dress(rng, filled.render(rng.choice(wordings))), _as_written(filled.render(answer), filled.render(filled.template.text)))
            )
    return Exercise(rng.choice(PERSONAS), rng.choice(LAYOUTS), rendered, tuple(made))


def _unanswered(rng: Random, shown: Sequence[Filled], pool: Sequence[Template]) -> str:
    """A question that the shown documents don't answer: one of theirs that isn't, or one about what isn't there."""
    filled = rng.choice(shown)
    alone = [f.name for f in shown].count(filled.name) == 1 or filled.name is None
    if filled.template.nots and alone and rng.random() < 0.5:
        return dress(rng, filled.render(rng.choice(filled.template.nots)))
    builds = [f.template for f in shown]
    elsewhere = [t for t in rng.sample(pool, min(len(pool), len(builds) + 4)) if t not in builds]
    twin = filled.template if filled.template.named and rng.random() < 0.5 else None
    absent = fill_template(rng, twin or (rng.choice(elsewhere) if elsewhere else filled.template))
    wordings = [q for asked, _ in absent.template.asks for q in asked]
    return dress(rng, absent.render(rng.choice(wordings)))


def _as_written(answer: str, text: str) -> str:
    """The answer with the capitals that it has in the text, where it stands there."""
    at = text.lower().find(answer.lower())
    return text[at : at + len(answer)] if at >= 0 else answer
