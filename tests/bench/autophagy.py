"""What becomes of a council that reads what it said: `python -m tests.bench.autophagy [--plot tests/bench/plots/autophagy.svg]`.

The pocket council is asked the same questions in every generation. After each, what it said to them is written down as documents
that claim to be a person's, and indexed beside its library and all that was fed back before. Four councils live through this: two
as shipped, which recognise their own words (council.retrieval.said) and don't read them, and two that read all they find. What the
guard misses is told by PROBES. Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from council import Council, Verdict
from council.evaluation.dataset import Labelled, read_questions
from council.evaluation.metrics import paired_interval
from council.types import NOT_KNOWN
from tests.bench.hardware import describe
from tests.bench.reading import POCKET

Said = list[tuple[str, str]]
"""Questions, each with one answer."""
Wording = Callable[[str], str]

QUESTIONS: Final = POCKET / "questions.jsonl"
FORMS: Final = (
    "{question} {answer}.",
    "{question} It is {answer}.",
    "We were asked: {question} It was {answer}.",
    "{question} The answer is {answer}.",
    "It is {answer}. {question}",
    "{question} This is {answer}.",
    "{question} Everybody here agrees that it is {answer}.",
    "Asked today: {question} Best answer: {answer}.",
    "{question} The answer was given as {answer} by everybody who was asked.",
    "Asked about this, we found the following. {question} This is {answer}, as is well known.",
)
"""How people write an answer down; another one in each generation, for a text that is there already is held back. The readers get
right answers out of each of these about as often as out of the library."""
FAR: Final = "{question} We looked this up in several places and talked about it for quite some time. In the end it was {answer}."


@cache
def _wordings() -> dict[str, str]:
    rows = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]
    return {row["question"]: row["paraphrases"][0] for row in rows if row["paraphrases"]}


def verbatim(question: str) -> str:
    return question


def misspelt(question: str) -> str:
    """Without the letter in its middle."""
    middle = len(question) // 2
    return question[:middle] + question[middle + 1 :]


def indirect(question: str) -> str:
    return f"They wondered {question[0].lower()}{question[1:].rstrip('?')}."


def reworded(question: str) -> str:
    """As the library's questions are put in other words; those that nothing answers are put in one way only, and made indirect."""
    return _wordings().get(question) or indirect(question)


PROBES: Final[dict[str, tuple[Wording, str]]] = {
    "word for word": (verbatim, FORMS[0]),
    "more than 8 words between question and answer": (verbatim, FAR),
    "a letter missing in the question": (misspelt, FORMS[0]),
    "the question made indirect": (indirect, FORMS[0]),
    "the question in other words": (reworded, FORMS[0]),
}


@dataclass(frozen=True)
class Condition:
    """How a council lives. `everything`: what any member said is fed back, and not only what the council answered."""

    name: str
    origins: Mapping[str, float] = field(default_factory=dict)
    everything: bool = True
    wording: Wording = verbatim


UNGUARDED: Final = {"council": 1.0, "machine": 1.0, "preference": 0.0}
GUARDED: Final = Condition("guarded")
CONDITIONS: Final = (
    GUARDED,
    Condition("unguarded", UNGUARDED),
    Condition("unguarded, answers alone fed back", UNGUARDED, everything=False),
    Condition("guarded, fed back in other words", wording=reworded),
)


@dataclass
class Life:
    """What became of a council: a row a generation, and by measure the outcomes, [generations][questions]. Of the questions that
    the library answers, `right` and `wrong` are told; of the others `invented`, that there was an answer.

    In a row, beside their shares: the mean agreement, the share of the passages shown that is the council's own, how many were
    shown a question, the share of verdicts that are not as in the first generation, and of the passages that were fed back before
    it, how many there were and which share was recognised.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    outcomes: dict[str, list[list[bool]]] = field(default_factory=lambda: {"right": [], "wrong": [], "invented": []})
    recognised: dict[str, float] = field(default_factory=dict)
    """By probe, the share that is."""

    def judge(self, questions: Sequence[Labelled], verdicts: Sequence[Verdict]) -> dict[str, float]:
        """Add a generation's outcomes; their means."""
        pairs = list(zip(questions, verdicts, strict=True))
        known = [(v.status == "answered", q.accepts(v.answer)) for q, v in pairs if q.answers]
        made = {
            "right": [answered and right for answered, right in known],
            "wrong": [answered and not right for answered, right in known],
            "invented": [v.status == "answered" for q, v in pairs if not q.answers],
        }
        for name, outcomes in made.items():
            self.outcomes[name].append(outcomes)
        return {name: mean(outcomes) for name, outcomes in made.items()}

    def less(self, other: Life, generation: int) -> dict[str, tuple[float, float, float]]:
        """By measure, this one's last generation less one of the other's, with the 95% interval in pairs."""
        pairs = {name: (made[-1], other.outcomes[name][generation]) for name, made in self.outcomes.items()}
        return {name: paired_interval(np.array(now), np.array(then)) for name, (now, then) in pairs.items()}


def mean(values: Sequence[float | bool]) -> float:
    return float(np.mean(values)) if values else 0.0


def said(questions: Sequence[Labelled], verdicts: Sequence[Verdict], everything: bool) -> Said:
    """Each question with its answer; or with all that members said to it, dissent and what did not carry included."""
    told = [(q.question, {o.answer for o in v.opinions} if everything else {v.answer}) for q, v in zip(questions, verdicts, strict=True)]
    return [(question, answer.rstrip(".")) for question, some in told for answer in sorted(a for a in some if a and a != NOT_KNOWN)]


def feed(council: Council, file: Path, pairs: Said, wording: Wording, form: str) -> tuple[set[str], float]:
    """Index what was said as documents of a person; the ids of its passages, and the share that is recognised."""
    worded = [(wording(question), answer) for question, answer in pairs]
    rows = [{"title": q, "text": form.format(question=q, answer=a), "origin": "human"} for q, a in worded]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    council.index([file])
    chunks = [chunk for chunk in council.retriever.chunks() if chunk.file == str(file)]
    return {chunk.id for chunk in chunks}, mean([chunk.provenance.origin == "council" for chunk in chunks])


@contextmanager
def opened(store: Path, origins: Mapping[str, float]) -> Iterator[tuple[Council, Path]]:
    """A council on a copy of the store, and a folder for its documents."""
    settings = {f"retrieval.origins.{key}": share for key, share in origins.items()}
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(store, Path(place, "s"), ignore=shutil.ignore_patterns("*.lock"))
        with Council.from_config("pocket", {"retrieval.store.path": f"{place}/s", **settings}) as council:
            yield council, Path(place)


def live(condition: Condition, store: Path, questions: Sequence[Labelled], generations: int, advance: Callable[[], object]) -> Life:
    """Ask, feed back, and ask again."""

    def asked(_: int) -> None:
        advance()

    life, own, pairs, first = Life(), set[str](), Said(), list[Verdict]()
    with opened(store, condition.origins) as (council, folder):
        for generation in range(generations + 1):
            fed, recognised = set[str](), None
            if generation:
                form = FORMS[(generation - 1) % len(FORMS)]
                fed, recognised = feed(council, folder / f"{generation}.jsonl", pairs, condition.wording, form)
                own |= fed
            verdicts = council.ask_many([q.question for q in questions], progress=asked)
            pairs, first = said(questions, verdicts, condition.everything), first or verdicts
            shown = [{id for o in v.opinions for id in o.passages} for v in verdicts]
            life.rows.append({
                "generation": generation, **life.judge(questions, verdicts),
                "agreement": mean([v.agreement for v in verdicts if v.agreement is not None]),
                "own_shown": mean([id in own for ids in shown for id in ids]), "shown": mean([len(ids) for ids in shown]),
                "changed": mean([(v.status, v.answer) != (f.status, f.answer) for v, f in zip(verdicts, first, strict=True)]),
                "fed": len(fed), "recognised": recognised,
            })  # fmt: skip
        for number, (name, (wording, form)) in enumerate(PROBES.items() if condition is GUARDED else ()):
            _, life.recognised[name] = feed(council, folder / f"probe-{number}.jsonl", pairs, wording, form)
    return life


def read_truth(store: Path, questions: Sequence[Labelled]) -> dict[str, float]:
    """The control: what the same documents do to a council that reads them, all forms at once, where their answers are right."""
    truth = [(q.question, q.answers[0]) for q in questions if q.answers]
    with opened(store, UNGUARDED) as (council, folder):
        for number, form in enumerate(FORMS):
            feed(council, folder / f"{number}.jsonl", truth, verbatim, form)
        return Life().judge(questions, council.ask_many([q.question for q in questions]))


PANELS: Final = {
    "right": ("answered right", "% of answerable questions"),
    "wrong": ("answered wrong", "% of answerable questions"),
    "invented": ("invented an answer", "% of unanswerable questions"),
}
LINES: Final = (("#0072b2", "-"), ("#d55e00", "-"), ("#cc79a7", "--"), ("#009e73", "-."))


def draw(told: Mapping[str, Any]) -> str:
    """What `figures` told of the outcomes by generation, as SVG; the same text for the same figures."""
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "council", "font.size": 10}
    with matplotlib.rc_context(settings):
        figure, made = Figure(figsize=(9.0, 3.4), layout="constrained"), io.StringIO()
        for axes, (name, (title, unit)) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS.items(), strict=True):
            for (colour, style), (label, life) in zip(LINES, told["conditions"].items(), strict=True):
                axes.plot([100 * row[name] for row in life["rows"]], style, color=colour, lw=2, label=label)
            axes.axhline(100 * told["right_answers_fed_in"][name], color="0.5", lw=1.2, ls=":", label="unguarded, right answers fed in")
            axes.set(title=title, xlabel="generation", ylabel=unit, xticks=range(0, len(life["rows"]), 2))
            axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)  # of all, now that all is drawn
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        figure.savefig(made, format="svg", metadata={"Date": None})
    return made.getvalue()


def show(name: str, life: Life) -> Table:
    table = Table(*life.rows[0], title=name)
    for row in life.rows:
        table.add_row(*("" if v is None else f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    return table


def figures(lives: Mapping[str, Life], truth: Mapping[str, float]) -> dict[str, Any]:
    """By condition, to three places."""
    guarded = lives[GUARDED.name]
    told = {
        name: {
            "rows": life.rows, "recognised": life.recognised,
            "last_less_first": life.less(life, 0), "last_less_guarded": life.less(guarded, -1),
        }
        for name, life in lives.items()
    }  # fmt: skip
    both = {"conditions": told, "right_answers_fed_in": truth}
    rounded: dict[str, Any] = json.loads(json.dumps(both), parse_float=lambda text: round(float(text), 3))
    return rounded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=69)
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--plot", type=Path, help="a file for the outcomes by generation, as SVG")
    chosen = parser.parse_args()
    told, began, lives = describe(), time.monotonic(), dict[str, Life]()
    everything = read_questions(str(QUESTIONS), "test")
    questions = everything[:: max(1, len(everything) // chosen.questions)][: chosen.questions]  # of every domain
    with tempfile.TemporaryDirectory() as store, Progress() as bar:
        with Council.from_config("pocket", {"retrieval.store.path": store}) as council:
            council.index([POCKET / "library"])
        for condition in CONDITIONS:
            task = bar.add_task(condition.name, total=len(questions) * (chosen.generations + 1))
            lives[condition.name] = live(condition, Path(store), questions, chosen.generations, partial(bar.advance, task))
        truth = read_truth(Path(store), questions)
    for name, life in lives.items():
        Console().print(show(name, life))
    told |= {"seconds": round(time.monotonic() - began), "questions": len(questions), "answerable": sum(bool(q.answers) for q in questions)}
    told |= figures(lives, truth)
    if chosen.plot is not None:
        chosen.plot.parent.mkdir(parents=True, exist_ok=True)
        chosen.plot.write_text(draw(told), "utf-8")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
