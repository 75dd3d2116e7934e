"""An engine that answers with recorded answers: voting, routing and thresholds can be changed and run again without a model."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import Field, ValidationError

from specialists.config import EngineConfig, SpecialistConfig, Strict
from specialists.prompt_format import Message, fold, question_of
from specialists.protocol import Generation, GenerationRequest, Health, OptionError, RequestError, Sample, Score, ScoreRequest

Recorded: TypeAlias = dict[str, dict[str, tuple[str, ...]]]
"""Question, folded -> member -> its answers."""


class ReplayOptions(Strict):
    """Options of this engine."""

    answers: Path
    """A .jsonl or .jsonl.gz file, see `read_answers`. A relative path is relative to the current folder, not to the config."""
    names: dict[str, str] = Field(default_factory=dict)
    """Specialist -> the name that its answers were recorded under; who is not named here goes by its own."""


class ReplayEngine:
    """Looks the question of a prompt up in a recording. Tokens are words; an answer is given whole, whatever `max_tokens`."""

    def __init__(self, config: EngineConfig, specialists: Sequence[SpecialistConfig]) -> None:
        owner = f"engine {config.name!r}"
        try:
            options = ReplayOptions.model_validate(config.options)
        except ValidationError as exc:
            fault = exc.errors()[0]
            raise OptionError(f"{owner}: option {'.'.join(map(str, fault['loc']))!r}: {fault['msg']}") from exc
        self._names = {s.name: options.names.get(s.name, s.name) for s in specialists}
        if strange := sorted(set(options.names) - set(self._names)):
            raise OptionError(f"{owner}: option 'names': no specialist {strange[0]!r} here; there are: {', '.join(sorted(self._names))}")
        self._recorded = read_answers(options.answers.expanduser(), owner)
        self._members = {member for said in self._recorded.values() for member in said}

    def _answers(self, request: GenerationRequest) -> tuple[str, ...]:
        """`n` recorded answers, the first ones, or those from number `seed` on, so that drawing again gives other ones. Raises
        RequestError where there are fewer: none is made up, or given twice."""
        if request.specialist not in self._names:
            raise RequestError(f"no specialist {request.specialist!r} here; there are: {', '.join(sorted(self._names))}")
        question, name = question_of(request.messages), self._names[request.specialist]
        if question is None:
            raise RequestError("the prompt does not end in a question that could be looked up")
        said = self._recorded.get(question, {}).get(name, ())
        if not said:
            raise RequestError(f"no recorded answer of {name!r} to this question")
        last = (request.seed or 0) + request.n
        if len(said) < last:
            raise RequestError(f"{last} answers of {name!r} to this question are asked for, and {len(said)} recorded")
        return said[last - request.n : last]

    def _generate_one(self, request: GenerationRequest) -> Generation:
        prompt_tokens = _words(request.messages)
        try:
            samples = tuple(Sample(text, len(text.split()), "stop") for text in self._answers(request))
        except RequestError as exc:
            return Generation(request.specialist, prompt_tokens=prompt_tokens, error=str(exc))
        return Generation(request.specialist, samples, prompt_tokens, batch_size=1)

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        return [self._generate_one(request) for request in requests]

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Errors: how likely another answer would have been, no recording tells."""
        return [Score(r.specialist, prompt_tokens=_words(r.messages), error="a replay can't score") for r in requests]

    async def health(self) -> Health:
        """Well; which specialists nothing is recorded of, and how many questions and members there are."""
        absent = sorted(name for name in self._names.values() if name not in self._members)
        detail = f"replay; nothing is recorded of {', '.join(absent)}" if absent else "replay"
        return Health(True, detail, {"questions": float(len(self._recorded)), "members": float(len(self._members))})

    async def close(self) -> None:
        """Nothing is held."""


def read_answers(path: Path, owner: str) -> Recorded:
    """Answers from `{"question", "answers": {"member": "text", or ["text", ...], or null}}`, or from the rows that `council
    eval run` writes to answers.jsonl, one or the other a line; other keys are ignored.

    A question may stand in several rows. Of a run's, a later answer replaces an earlier one, as it does in the run; two
    different ones in rows of the first form are a fault. Raises OptionError with the line's number.
    """
    recorded: Recorded = {}
    for row, where in _rows(path, f"{owner}: {path}"):
        if not isinstance(row, Mapping) or not isinstance(row.get("question"), str):
            raise OptionError(f"{where}: an object with a 'question' is wanted")
        known, of_run = recorded.setdefault(fold(row["question"]), {}), "verdict" in row
        for member, texts in (_opinions(row, where) if of_run else _answers(row, where)).items():
            if texts and not of_run and known.get(member, texts) != texts:
                raise OptionError(f"{where}: {member!r} gave another answer to this question on an earlier line; keep one of them")
            if texts:
                known[member] = texts
    return recorded


def _rows(path: Path, where: str) -> Iterator[tuple[Any, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield json.loads(line), f"{where}, line {number}"
                    except ValueError as exc:
                        raise OptionError(f"{where}, line {number}: no JSON: {exc}") from exc
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as exc:
        raise OptionError(f"{where} can't be read: {exc}") from exc


def _answers(row: Mapping[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    answers = row.get("answers")
    if not isinstance(answers, Mapping):
        raise OptionError(f"{where}: neither 'answers' by member nor a 'verdict' is there")
    listed = {member: [] if a is None else a if isinstance(a, list) else [a] for member, a in answers.items()}
    for member, texts in listed.items():
        if not all(isinstance(text, str) for text in texts):
            raise OptionError(f"{where}: the answer of {member!r} must be a text, a list of texts, or null")
    return {member: tuple(texts) for member, texts in listed.items()}


def _opinions(row: Mapping[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    """What members said, whether an answer could be read from it or not; a member that failed before said nothing."""
    said: dict[str, tuple[str, ...]] = {}
    try:
        for opinion in row["verdict"]["opinions"]:
            member, text = opinion["specialist"], opinion["text"]
            if not isinstance(member, str) or not isinstance(text, str):
                raise TypeError
            said[member] = (*said.get(member, ()), *([text] if text else []))
    except (KeyError, TypeError) as exc:
        raise OptionError(f"{where}: its 'verdict' has no opinions with 'specialist' and 'text'") from exc
    return said


def _words(messages: Sequence[Message]) -> int:
    return sum(len(m["content"].split()) for m in messages)
