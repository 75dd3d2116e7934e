"""How well the pocket council reads documents it never saw: `python -m tests.bench.reading`.

Two sets. `skerrow`: made-up documents about an island that exists nowhere, 40 questions that they answer and 40 that
they don't. `library`: the test split of the pocket library. For each: exact match of every single specialist, coverage
and accuracy of the council, how often it abstains where nothing answers, and how often each member answers anyway.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from council import Council, Verdict
from council.aggregator import normalise
from council.config import presets
from council.types import NOT_KNOWN
from tests.bench.hardware import describe

DATA = Path(__file__).parent.parent / "data"
POCKET = presets()["pocket"].parent / "pocket"


@dataclass(frozen=True)
class Gold:
    """A question with the answers that count as right; none if no document answers it."""

    question: str
    answers: tuple[str, ...]


def read_gold(path: Path, split: str | None = None) -> list[Gold]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    kept = [r for r in rows if split in (None, r.get("split"))]
    return [Gold(r["question"], (r["answer"], *r["aliases"]) if r["answer"] is not None else ()) for r in kept]


def is_right(answer: str | None, gold: Gold) -> bool:
    """Exact match after normalisation."""
    return answer is not None and normalise(answer) in {normalise(a) for a in gold.answers}


def share(hits: Sequence[bool]) -> float | None:
    return round(sum(hits) / len(hits), 4) if hits else None


def score(golds: Sequence[Gold], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The figures of one set."""
    pairs = list(zip(golds, verdicts, strict=True))
    known = [(g, v) for g, v in pairs if g.answers]
    unknown = [(g, v) for g, v in pairs if not g.answers]
    members = [o.specialist for o in verdicts[0].opinions]
    said = {m: [(g, next(o.answer for o in v.opinions if o.specialist == m)) for g, v in pairs] for m in members}
    answered = [(g, v) for g, v in known if v.status == "answered"]
    return {
        "answerable": len(known),
        "unanswerable": len(unknown),
        "single_exact_match": {m: share([is_right(a, g) for g, a in said[m] if g.answers]) for m in members},
        "council_coverage": share([v.status == "answered" for _, v in known]),
        "council_accuracy": share([is_right(v.answer, g) for g, v in answered]),
        "council_abstains_unanswerable": share([v.status == "abstained" for _, v in unknown]),
        "single_answers_unanswerable": {m: share([a not in (None, NOT_KNOWN) for g, a in said[m] if not g.answers]) for m in members},
    }


def measure(folder: Path, golds: Sequence[Gold], overrides: dict[str, Any]) -> tuple[dict[str, Any], list[Verdict]]:
    """Index a folder into a store of its own and ask every question."""
    with tempfile.TemporaryDirectory() as store:
        chosen = {"retrieval.store.path": f"{store}/s", **overrides}
        with Council.from_config("pocket", chosen) as council:
            council.index([folder])
            verdicts = council.ask_many([g.question for g in golds])
    return score(golds, verdicts), verdicts


def show(name: str, figures: dict[str, Any]) -> Table:
    table = Table(title=f"{name}: {figures['answerable']} answerable, {figures['unanswerable']} not")
    for column in ("", "right", "answers what nothing answers"):
        table.add_column(column)
    for member, right in figures["single_exact_match"].items():
        table.add_row(member, f"{right:.1%}", f"{figures['single_answers_unanswerable'][member]:.1%}")
    accuracy, coverage = figures["council_accuracy"] or 0.0, figures["council_coverage"] or 0.0
    table.add_row("council", f"{accuracy:.1%} of the {coverage:.1%} it answers", f"{1 - figures['council_abstains_unanswerable']:.1%}")
    return table


def main(overrides: dict[str, Any] | None = None) -> None:
    sets = {
        "skerrow": (DATA / "skerrow", read_gold(DATA / "skerrow_questions.jsonl")),
        "library": (POCKET / "library", read_gold(POCKET / "questions.jsonl", "test")),
    }
    figures: dict[str, Any] = describe()
    for name, (folder, golds) in sets.items():
        figures[name], verdicts = measure(folder, golds, overrides or {})
        Console().print(show(name, figures[name]))
        out = Path("runs")
        out.mkdir(exist_ok=True)
        rows = [
            {"question": g.question, "gold": g.answers, "verdict": v.model_dump(mode="json")} for g, v in zip(golds, verdicts, strict=True)
        ]
        (out / f"reading-{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
