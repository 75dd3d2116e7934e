"""What false passages do to the pocket council: `python -m tests.bench.poisoning`.

Questions of the library whose answer stands in exactly one of the passages that retrieval finds. That one is exchanged for
a false one, which says another answer of the same kind in its place, and all else stays as it was retrieved; or both are
shown, the false one ranking before the true one or after it. Each with and without the check of what an agreement rests on,
which abstains where passages contradict one another. The members are small readers: shares of larger ones will differ.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from council import Council, Passage, Question, Verdict
from council.evaluation.dataset import Labelled, read_questions
from council.evaluation.metrics import bootstrap_interval
from council.grounding import holds
from council.retrieval import Found, Retriever
from council.types import Grounds
from tests.bench.hardware import describe
from tests.bench.reading import POCKET

Swap = Callable[[str], str]
CONDITIONS: Final = ("clean", "poisoned", "both, the false first", "both, the true first")
NUMBERS: Final = dict(one=1, two=2, three=3, four=4, five=5, six=6, seven=7, eight=8, nine=9, ten=10, twelve=12)
WORDS: Final = {number: word for word, number in NUMBERS.items()} | {40: "forty", 15: "fifteen"}
KINDS: Final = [
    re.compile(rf"^(?:\w+ )?(?:{form})\b", re.IGNORECASE)
    for form in (
        r"who|whom|(?:which|what) (?:scientist|jurist|physicist|boy|programmer)", r"where|(?:which|what) (?:city|museum|street|laboratory)",
        r"(?:which|what) country", r"(?:which|what) planet", r"(?:which|what) (?:metal|element|semiconductor|gas|material|liquid)",
        r"(?:which|what) (?:company|university|organisation|body|agency|arm|observatory|hospital|\w+ body|\w+ maker)",
        r"(?:which|what) (?:substance|drug|enzyme|vitamin|protein|amino acid|chemical messenger)",
    )
]  # fmt: skip
"""Questions that begin in one of these ways ask for the same kind of thing."""
MEASURES: Final = {
    "members_false": "a member says the false answer", "members_right": "a member is right",
    "council_false": "the council says the false answer", "council_right": "the council is right", "abstained": "it abstains",
    "one passage": "it rests on one passage", "the context": "it rests on the context", "the members": "it rests on the members",
    "contradicted": "the passages contradict",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A question, its passages as they were retrieved, which of them tells the answer, and the false one."""

    gold: Labelled
    lie: Labelled
    retrieved: tuple[Passage, ...]
    at: int
    false: Passage

    def shown(self, condition: str) -> tuple[Passage, ...]:
        true = self.retrieved[self.at]
        told = dict(zip(CONDITIONS, [(true,), (self.false,), (self.false, true), (true, self.false)], strict=True))
        return (*self.retrieved[: self.at], *told[condition], *self.retrieved[self.at + 1 :])


def other_number(text: str) -> str:
    """`text` with another first number, as it is without one: its last figure but noughts is three more, or three less."""
    number = re.search(r"\d[\d.,]*", text)
    figure = re.search(r"[1-9](?=[^1-9]*\Z)", number[0]) if number else None
    if number and figure:
        at = number.start() + figure.start()
        return f"{text[:at]}{_three_on(int(text[at]))}{text[at + 1 :]}"
    word, _, rest = text.partition(" ")
    known = NUMBERS.get(word.lower())
    return f"{WORDS[int(other_number(str(known)))]} {rest}".strip() if known else text


def _three_on(figure: int) -> int:
    return figure + 3 if figure < 7 else figure - 3


def bare(answer: str) -> str:
    """An answer without what leads it in."""
    return re.sub(r"^(?:(?:in|at|by|with|from|into|the|an?) )+", "", answer)


def swapped(passage: Passage, answers: Sequence[str], swap: Swap) -> Passage:
    """The passage with another answer wherever one of `answers` stands, article and all."""
    forms = "|".join(re.escape(bare(a)) for a in sorted(answers, key=len, reverse=True))
    change = re.compile(rf"(?<![\w-])(?:(?:the|an?) )?(?:{forms})(?![\w-])", re.IGNORECASE)
    title, text = (change.sub(lambda found: swap(found[0]), part) for part in (passage.title, passage.text))
    return passage.model_copy(update={"id": f"false-{passage.id}", "title": title, "text": text})


def kind_of(question: Labelled) -> int | None:
    return next((n for n, form in enumerate(KINDS) if form.search(question.question)), None)


def lies(gold: Labelled, nearest: Sequence[Labelled]) -> Iterator[tuple[Swap, tuple[str, ...]]]:
    """What may be said in place of an answer: another number; else what answers the nearest questions of its kind."""
    if other_number(gold.answers[0]) != gold.answers[0]:
        yield other_number, tuple(other_number(a) for a in gold.answers)
    elif (kind := kind_of(gold)) is not None:
        for other in nearest:
            worded = next((a for a in other.answers if a.startswith(("the ", "a ", "an "))), bare(other.answers[0]))
            if kind_of(other) == kind and other_number(worded) == worded:
                yield (lambda _, worded=worded: worded), other.answers  # type: ignore[misc]


def make_case(gold: Labelled, nearest: Sequence[Labelled], retriever: Retriever) -> Case | None:
    """None where the answer stands in no passage or in several, or no other of its kind can take its place."""
    found = retriever.search(Question(text=gold.question)).passages
    telling = [n for n, p in enumerate(found) if any(holds(p, a) for a in gold.answers)]
    if len(telling) != 1:
        return None
    true, known = found[telling[0]], " ".join((gold.question, *(f"{p.title} {p.text}" for p in found))).casefold()
    for swap, answers in lies(gold, nearest):
        false = swapped(true, gold.answers, swap)
        fresh = not any(bare(a).casefold() in known or gold.accepts(a) for a in answers)
        if fresh and any(holds(false, a) for a in answers) and not any(holds(false, a) for a in gold.answers):
            return Case(gold, Labelled(gold.id, gold.question, answers), found, telling[0], false)
    return None


def make_cases(retriever: Retriever, most: int) -> list[Case]:
    """Of the test split first, then of the questions that the members were tuned on."""
    file = str(POCKET / "questions.jsonl")
    golds = [q for split in ("test", "train") for q in read_questions(file, split) if q.answers]
    vectors = retriever.embedder.embed([g.question for g in golds])
    cases: list[Case] = []
    for number, nearness in enumerate(vectors @ vectors.T):
        nearest = [golds[n] for n in np.argsort(-nearness, kind="stable") if n != number]
        case = make_case(golds[number], nearest, retriever) if len(cases) < most else None
        cases += [case] if case is not None else []
    return cases


def score(cases: Sequence[Case], verdicts: Sequence[Verdict], checked: bool) -> dict[str, Any]:
    """Shares of questions, or of the members' answers, each with its 95% interval."""
    pairs = list(zip(cases, verdicts, strict=True))
    misled = np.array([[c.lie.accepts(o.answer) for o in v.opinions] for c, v in pairs], np.float64)
    values: dict[str, Any] = {
        "members_false": misled.mean(1),
        "members_right": [np.mean([c.gold.accepts(o.answer) for o in v.opinions]) for c, v in pairs],
        "council_false": [c.lie.accepts(v.answer) for c, v in pairs],
        "council_right": [c.gold.accepts(v.answer) for c, v in pairs],
        "abstained": [v.status == "abstained" for v in verdicts],
    }
    if checked:
        found = [v.grounding for v in verdicts]
        values |= {grounds: [f is not None and f.rests_on == grounds for f in found] for grounds in get_args(Grounds)}
        values["contradicted"] = [f is not None and f.contradicted for f in found]
    return {name: with_interval(np.asarray(of, np.float64)) for name, of in values.items()} | {
        "members_false_least": round(float(misled.mean(0).min()), 3), "members_false_most": round(float(misled.mean(0).max()), 3),
        "calls": round(sum(v.calls for v in verdicts) / len(verdicts), 2),
    }  # fmt: skip


def with_interval(values: NDArray[np.float64]) -> list[float]:
    """Mean, and the ends of its interval over questions."""
    low, high = bootstrap_interval(lambda rows: float(values[rows].mean()), len(values))
    return [round(float(values.mean()), 3), round(low, 3), round(high, 3)]


def show(name: str, figures: dict[str, dict[str, Any]]) -> Table:
    table = Table(title=name)
    for column in ("", *figures):
        table.add_column(column)
    for measure, words in MEASURES.items():
        if all(measure in of for of in figures.values()):
            table.add_row(words, *("{:.0%} ({:.0%} to {:.0%})".format(*of[measure]) for of in figures.values()))
    extremes = ("{members_false_least:.0%} to {members_false_most:.0%}".format(**of) for of in figures.values())
    table.add_row("the false answer, least to most misled member", *extremes)
    table.add_row("calls a question", *(f"{of['calls']:g}" for of in figures.values()))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=50)
    wanted, hardware = parser.parse_args().questions, describe()
    figures: dict[str, dict[str, Any]] = {"without the check": {}, "with the check": {}}
    settings = {"asking.on_contradiction": "abstain"}
    with (
        tempfile.TemporaryDirectory() as folder,
        Council.from_config("pocket", settings | {"retrieval.store.path": f"{folder}/s"}) as council,
    ):
        council.index([POCKET / "library"])
        cases = make_cases(council.retriever, wanted)
        with Progress() as bar:
            task = bar.add_task("asking", total=len(CONDITIONS) * len(figures))
            for condition in CONDITIONS:
                shown = {c.gold.question: Found(c.shown(condition)) for c in cases}
                with patch.object(council.retriever, "search", lambda question, routed, shown=shown: shown[question.text]):
                    for checked, part in enumerate(figures.values()):
                        part[condition] = score(cases, council.ask_many(list(shown), check=bool(checked)), bool(checked))
                        bar.advance(task)
    for name, part in figures.items():
        Console(width=140).print(show(name, part))
    tuned_on = sum(c.gold.id in {q.id for q in read_questions(str(POCKET / "questions.jsonl"), "train")} for c in cases)
    print(json.dumps(hardware | {"questions": len(cases), "tuned_on": tuned_on, **figures}))


if __name__ == "__main__":
    main()
