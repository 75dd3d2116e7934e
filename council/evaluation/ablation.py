"""What each part of a council brings: the same questions put to it whole, and with parts left out, at stated cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from council.aggregator.ballots import Bools
from council.config import CouncilConfig
from council.evaluation.dataset import Labelled
from council.evaluation.metrics import bootstrap_interval
from council.evaluation.run import ask_all
from council.orchestrator import Council
from council.types import NOT_KNOWN, Verdict

RESAMPLED_TEMPERATURE: Final = 0.7
Progress = Callable[[str, int, int], None]


def resampled(config: CouncilConfig, member: str) -> CouncilConfig:
    """As many copies of one member as the council has, each drawing its answer: what the same calls buy from one alone."""
    chosen = next(s for s in config.specialists if s.name == member)
    drawing = chosen.model_copy(update={"temperature": RESAMPLED_TEMPERATURE})
    copies = tuple(drawing.model_copy(update={"name": f"{member}-{i}"}) for i in range(1, len(config.specialists) + 1))
    return config.model_copy(update={"name": f"{config.name}-resampled", "specialists": copies})


def base_alone(config: CouncilConfig) -> CouncilConfig:
    """The first member's model without its adapter."""
    bare = config.specialists[0].model_copy(update={"name": "base", "adapter": None, "persona": "You answer exactly and briefly."})
    return config.model_copy(update={"name": f"{config.name}-base", "specialists": (bare,), "aggregator": _quorum_of_one(config)})


def _quorum_of_one(config: CouncilConfig) -> Any:
    return config.aggregator.model_copy(update={"quorum": 1})


def ablate(config: CouncilConfig, questions: Sequence[Labelled], out: Path, say: Progress = lambda *_: None) -> list[dict[str, Any]]:
    """A row for each variant. Answers are kept in folders under `out`, so that nothing is asked twice. The best single
    member is the one of most right answers on every second question, and is judged on the others, as all rows are."""
    chosen = np.arange(len(questions)) % 2 == 0

    def ask(name: str, variant: CouncilConfig, retrieval: bool = True) -> list[Verdict]:
        with Council(variant) as council:
            return ask_all(council, questions, out / name, retrieval, lambda done, of: say(name, done, of))

    whole = ask("council", config)
    rows = {"council": whole, "council, without passages": ask("without", config, retrieval=False)}
    singles = {s.name: np.array([_member_right(q, v, s.name) for q, v in zip(questions, whole, strict=True)]) for s in config.specialists}
    best = max(singles, key=lambda m: int(singles[m][chosen].sum()))
    rows["base alone"] = ask("base", base_alone(config))
    rows[f"{best}, resampled {len(config.specialists)} times"] = ask("resampled", resampled(config, best))
    made = [_row(name, questions, verdicts, ~chosen) for name, verdicts in rows.items()]
    single = [_as_single(v, best) for v in whole]
    return [*made, _row(f"best single member: {best}", questions, single, ~chosen)]


def _member_right(question: Labelled, verdict: Verdict, member: str) -> bool:
    return question.accepts(next((o.answer for o in verdict.opinions if o.specialist == member and o.error is None), None))


def _as_single(verdict: Verdict, member: str) -> Verdict:
    """What a council of this member alone would have said."""
    opinion = next(o for o in verdict.opinions if o.specialist == member)
    if opinion.error is not None or opinion.answer is None:
        return Verdict(status="failed", reason="", opinions=(opinion,), calls=1)
    if opinion.answer == NOT_KNOWN:
        return Verdict(status="abstained", reason="", opinions=(opinion,), calls=1)
    return Verdict(status="answered", answer=opinion.answer, reason="", opinions=(opinion,), calls=1)


def _row(name: str, questions: Sequence[Labelled], verdicts: Sequence[Verdict], judged: Bools) -> dict[str, Any]:
    pairs = [(q, v) for q, v, there in zip(questions, verdicts, judged, strict=True) if there]
    answered = np.array([v.status == "answered" for _, v in pairs])
    right = np.array([v.status == "answered" and bool(q.answers) and q.accepts(v.answer) for q, v in pairs])
    known = np.array([bool(q.answers) for q, _ in pairs])
    tokens = float(np.mean([sum(o.prompt_tokens + o.output_tokens for o in v.opinions) for _, v in pairs]))

    def share(part: Bools, of: Bools) -> dict[str, Any]:
        def statistic(rows: Any) -> float:
            return float(part[rows].sum() / of[rows].sum()) if of[rows].any() else float("nan")

        return {"value": statistic(slice(None)), "interval": list(bootstrap_interval(statistic, len(pairs), resamples=500))}

    return {
        "variant": name, "n": len(pairs), "calls": float(np.mean([v.calls for _, v in pairs])), "tokens": tokens,
        "right_of_answerable": share(right, known), "answered_of_answerable": share(answered & known, known),
        "wrong_of_answered": share(answered & ~right, answered), "abstained_of_unanswerable": share(~answered & ~known, ~known),
    }  # fmt: skip


def ablation_table(rows: Sequence[Mapping[str, Any]]) -> tuple[str, Sequence[str], Sequence[Sequence[str]]]:
    """(title, heads, rows) of texts."""

    def told(estimate: Mapping[str, Any]) -> str:
        if not np.isfinite(estimate["value"]):
            return "none"
        low, high = estimate["interval"]
        return f"{estimate['value']:.1%} ({low:.0%} to {high:.0%})"

    heads = ("variant", "calls", "tokens", "right, of answerable", "wrong, of answered", "abstains where nothing answers")
    lines = [
        [
            str(r["variant"]), f"{r['calls']:g}", f"{r['tokens']:.0f}", told(r["right_of_answerable"]), told(r["wrong_of_answered"]),
            told(r["abstained_of_unanswerable"]),
        ]
        for r in rows
    ]  # fmt: skip
    return "What each part brings", heads, lines
