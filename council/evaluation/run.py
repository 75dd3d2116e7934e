"""A council asked a whole dataset: every member's answer is kept, so that what was asked is never asked again, and every
method is compared on the same answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from council.aggregator import Similarity, Vote, group_answers
from council.aggregator.ballots import NONE, Ballots
from council.aggregator.likelihood import Basis, supports
from council.aggregator.weighting import Elected
from council.config import CouncilConfig, fingerprint
from council.errors import ConfigError, DatasetError
from council.evaluation.dataset import Labelled
from council.inquiry import revisit
from council.orchestrator import Council
from council.types import Verdict

ANSWERS: Final = "answers.jsonl"
AT_A_TIME: Final = 8
Likeness: TypeAlias = Callable[[str], Similarity]
"""A question -> what tells whether two answers to it mean the same."""


def check_votes(config: CouncilConfig) -> None:
    """Raises ConfigError for a council whose members' answers are not voted on."""
    if config.prompting.answers == "long":
        raise ConfigError("reports are of votes on short answers: set prompting.answers to short")


def ask_all(
    council: Council, questions: Sequence[Labelled], out: Path, retrieval: bool = True, progress: Callable[[int, int], None] | None = None
) -> list[Verdict]:
    """A verdict for each question, in order. Each is written to `out`/answers.jsonl as soon as it is there; a run that was
    broken off goes on where it ended. Raises DatasetError where the file is of another council."""
    mark, path = f"{fingerprint(council.config)}-{'with' if retrieval else 'without'}-passages", out / ANSWERS

    def again(question: str, verdict: Verdict) -> Verdict:
        """An earlier answer under the threshold of now, which the mark leaves open where all were asked."""
        votes = council.config.asking.policy == "all" and not council.config.asking.widen
        short = council.config.prompting.answers == "short" and council.config.aggregator.scoring != "decide"
        return revisit(verdict, council.config, council.likeness(question)) if votes and short else verdict

    wanted, scored = {q.id: q.question for q in questions}, council.config.aggregator.scoring != "off"
    kept = [(name, verdict) for name, asked, verdict in _kept(path, mark) if wanted.get(name) == asked and _was_answered(verdict)]
    known = {name: again(wanted[name], verdict) for name, verdict in kept if verdict.candidates or not scored or not verdict.groups}
    left = [q for q in questions if q.id not in known]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            for at in range(0, len(left), AT_A_TIME):
                some = left[at : at + AT_A_TIME]
                for question, verdict in zip(some, council.ask_many([q.question for q in some], retrieval=retrieval), strict=True):
                    known[question.id] = verdict
                    row = {"id": question.id, "question": question.question, "council": mark, "verdict": verdict.model_dump(mode="json")}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
                if progress is not None:
                    progress(sum(q.id in known for q in questions), len(questions))
    except OSError as exc:
        raise DatasetError(f"{path} can't be written: {exc.strerror or exc}; choose another --out, or free some space") from exc
    return [known[q.id] for q in questions]


def _was_answered(verdict: Verdict) -> bool:
    """Whether every member said something: what a host's fault kept from us is asked again."""
    return bool(verdict.opinions) and all(o.error is None or o.text for o in verdict.opinions)


def _kept(path: Path, mark: str) -> Iterator[tuple[str, str, Verdict]]:
    """(id, question, verdict) of an earlier run, the latest of a question last.

    A last line that was cut off is forgotten, and its question asked again.
    """
    if not path.exists():
        return
    text = path.read_text("utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    if len(whole) < len(text):
        path.write_text(whole, "utf-8")
    for number, line in enumerate(whole.split("\n")[:-1], 1):
        try:
            row = json.loads(line)
            if row["council"] != mark:
                raise DatasetError(f"{path} holds the answers of another council, or of another config; choose another --out, or remove it")
            yield row["id"], row["question"], Verdict.model_validate(row["verdict"])
        except (ValueError, KeyError, TypeError) as exc:
            raise DatasetError(f"{path}, line {number}: no answer of an earlier run; choose another --out, or remove it") from exc


def by_likelihood(questions: Sequence[Labelled], verdicts: Sequence[Verdict]) -> dict[str, Elected]:
    """Outcomes by likelihood in place of votes, from what members made of the answers: given the passages, without them, and
    by how much the passages changed it. Empty if no question was scored; one that was not has no answer."""
    if not any(v.candidates for v in verdicts):
        return {}
    bases: dict[str, Basis] = {
        "likelihood": "with_passages", "likelihood_without_passages": "without_passages", "likelihood_by_passages": "by_passages",
    }  # fmt: skip
    found = {}
    for name, basis in bases.items():
        rows = [_likeliest(q, v, basis) for q, v in zip(questions, verdicts, strict=True)]
        choice, support, right = zip(*rows, strict=True)
        found[name] = Elected(np.array(choice, np.int64), np.array(support, np.float64), np.array(right, bool))
    return found


def _likeliest(question: Labelled, verdict: Verdict, basis: Basis) -> tuple[int, float, bool]:
    answers = [c.answer for c in verdict.candidates]
    weights = {o.specialist: o.weight for o in verdict.opinions}
    shares = supports([x for c in verdict.candidates for x in c.likelihoods], answers, weights, basis) if answers else None
    if shares is None:
        return NONE, -np.inf, False
    best = int(shares.argmax())
    return best, float(shares[best]), question.accepts(answers[best])


def to_ballots(
    questions: Sequence[Labelled], verdicts: Sequence[Verdict], members: Sequence[str], likeness: Likeness, threshold: float
) -> Ballots:
    """The members' answers, grouped by meaning: a question's options are its groups, but that all groups of right answers
    count as one. A member without a readable answer cast no vote."""
    rows, options, gold = [], [], []
    for question, verdict in zip(questions, verdicts, strict=True):
        votes = [Vote(o.specialist, o.answer, 1.0) for o in verdict.opinions if o.error is None and o.answer is not None]
        groups = group_answers(votes, likeness(question.question), threshold)
        right = [i for i, group in enumerate(groups) if any(question.accepts(v.answer) for v in group.votes)]
        chosen = {v.specialist: right[0] if i in right else i for i, group in enumerate(groups) for v in group.votes}
        rows.append([chosen.get(m, NONE) for m in members])
        options.append(max(1, len(groups)))
        gold.append(right[0] if right else NONE)
    choices = np.array(rows, np.int64).reshape(len(questions), len(members))
    return Ballots(tuple(members), choices, np.array(options), np.array(gold), tuple(q.domain for q in questions), grouped=True)
