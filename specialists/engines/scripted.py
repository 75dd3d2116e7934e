"""A deterministic engine that answers from a script: for tests, demonstrations and dry runs of a configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import ConfigDict, Field, ValidationError

from specialists.config import EngineConfig, SpecialistConfig, Strict
from specialists.prompt_format import question_of
from specialists.protocol import (
    Generation,
    GenerationRequest,
    Health,
    OptionError,
    RequestError,
    Sample,
    Score,
    ScoreRequest,
)


class ScriptedOptions(Strict):
    """`answers`: specialist -> {part of the last message -> answer}, tried in order; '' fits every prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: dict[str, dict[str, str]] = Field(default_factory=dict)
    default: str = "I do not know."
    delay_s: float = Field(0.0, ge=0)
    delays_s: dict[str, float] = Field(default_factory=dict)
    """Delay of single specialists, in place of `delay_s`."""
    fail: tuple[str, ...] = ()
    """Specialists whose every request fails."""


class ScriptedEngine:
    """Answers by looking the last message up in its script. Tokens are words."""

    def __init__(self, config: EngineConfig, specialists: Sequence[SpecialistConfig]) -> None:
        try:
            self._options = ScriptedOptions.model_validate(config.options)
        except ValidationError as exc:
            fault = exc.errors()[0]
            raise OptionError(f"engine {config.name!r}: option {'.'.join(map(str, fault['loc']))!r}: {fault['msg']}") from exc
        self._names = {s.name for s in specialists}

    def _answer(self, request: GenerationRequest) -> str:
        if request.specialist not in self._names:
            raise RequestError(f"no specialist {request.specialist!r} here; there are: {', '.join(sorted(self._names))}")
        if request.specialist in self._options.fail:
            raise RequestError(f"{request.specialist} fails, as its script says")
        # Worked examples hold questions too.
        last = question_of(request.messages) or (str(request.messages[-1]["content"]) if request.messages else "")
        script = self._options.answers.get(request.specialist, {})
        return next((answer for part, answer in script.items() if part in last), self._options.default)

    async def _generate_one(self, request: GenerationRequest) -> Generation:
        delay = self._options.delays_s.get(request.specialist, self._options.delay_s)
        await asyncio.sleep(delay)
        prompt_tokens = sum(len(str(m["content"]).split()) for m in request.messages)
        try:
            words = self._answer(request).split()
        except RequestError as exc:
            return Generation(request.specialist, prompt_tokens=prompt_tokens, seconds=delay, error=str(exc))
        finish = "length" if len(words) > request.max_tokens else "stop"
        kept = words[: request.max_tokens]
        sample = Sample(" ".join(kept), len(kept), finish, tuple(-0.1 for _ in kept) if request.logprobs else ())
        return Generation(request.specialist, (sample,) * request.n, prompt_tokens, delay, 1)

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        return list(await asyncio.gather(*(self._generate_one(r) for r in requests)))

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """The scripted answer is likely (-0.1 a word), any other is not (-5 a word)."""
        scores = []
        for request in requests:
            said = await self._generate_one(GenerationRequest(request.specialist, request.messages, max_tokens=10_000))
            words = request.answer.split()
            if said.error is not None:
                scores.append(Score(request.specialist, prompt_tokens=said.prompt_tokens, error=said.error))
                continue
            each = -0.1 if said.samples[0].text == " ".join(words) else -5.0
            scores.append(Score(request.specialist, tuple(each for _ in words), said.prompt_tokens))
        return scores

    async def health(self) -> Health:
        return Health(True, "scripted", {"specialists": float(len(self._names))})

    async def close(self) -> None:
        """Nothing is held."""
