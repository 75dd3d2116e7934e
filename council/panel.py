"""The members as they are asked: each with its own prompt, the hosts at the same time, a failure as an opinion with its error."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from council import tracing
from council.aggregator import extract_answer, is_refusal, split_claims, without_thoughts
from council.config import CouncilConfig
from council.errors import QuestionError
from council.prompting import Prompt, build_prompt
from council.types import NOT_KNOWN, Example, Likelihood, Opinion, Passage
from specialists.config import SpecialistConfig
from specialists.protocol import EngineError, Generation, GenerationRequest, ScoreRequest
from specialists.tokens import TokenCount

if TYPE_CHECKING:
    from specialists.hosts import Hosts

NOT_NEEDED: Final = "cancelled: the outcome was settled without it"


@dataclass(frozen=True)
class Asked:
    """One member's part in one question: the weight of its vote, and the prompt it is sent or why it can't be."""

    specialist: SpecialistConfig
    weight: float
    prompt: Prompt | None
    error: str | None = None


@dataclass(frozen=True)
class Call:
    """One generation of one member, in a round of asking. Without a temperature, the member's own."""

    asked: Asked
    round: int = 0
    temperature: float | None = None
    seed: int | None = None

    @property
    def name(self) -> str:
        return self.asked.specialist.name

    @property
    def most_tokens(self) -> int:
        """What it may cost: the prompt, and the longest answer."""
        return self.asked.prompt.tokens + self.asked.specialist.max_tokens if self.asked.prompt is not None else 0

    def request(self, prompt: Prompt) -> GenerationRequest:
        specialist = self.asked.specialist
        temperature = specialist.temperature if self.temperature is None else self.temperature
        return GenerationRequest(self.name, prompt.messages, specialist.max_tokens, temperature, seed=self.seed)


Heard = Callable[[Opinion], None]
"""Told of each opinion as soon as it is there."""
Note = Callable[[Call, Generation | None, str | None], None]
Enough = Callable[[Sequence[Opinion], Sequence[Call]], Awaitable[bool]]
"""Whether these opinions will do, without those calls that are still in flight."""


class Panel:
    """Prompts for members, and their opinions. `counters`: each member's own count of tokens; `examples` that fit the question;
    `heard` is told of each opinion as soon as it is there; `seed` and `stop` are the asker's."""

    def __init__(
        self, config: CouncilConfig, counters: Mapping[str, TokenCount], hosts: Hosts | None, examples: Sequence[Example] = (),
        heard: Heard | None = None, seed: int | None = None, stop: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._config, self._counters, self._hosts, self._examples, self._heard = config, counters, hosts, examples, heard
        self._seed, self._stop = seed, stop

    def unheard(self) -> Panel:
        """The same panel, with nobody who is told of its opinions."""
        return Panel(self._config, self._counters, self._hosts, self._examples, None, self._seed, self._stop)

    def prepare(self, text: str, passages: Sequence[Passage], name: str, weight: float, shift: int = 0) -> Asked:
        """A member's prompt. `shift` 1, 2, ...: with the passages in yet another order than its own."""
        turn, specialist = next((i, s) for i, s in enumerate(self._config.specialists) if s.name == name)
        engine = next(e for e in self._config.engines if e.name == specialist.engine)
        budget, format_ = engine.max_context - specialist.max_tokens, self._config.prompting
        if shift:
            turn, format_ = (turn if format_.rotate else 0) + shift, format_.model_copy(update={"rotate": True})
        try:
            prompt = build_prompt(text, passages, specialist.persona, budget, self._counters[name], format_, turn, self._examples)
        except QuestionError as exc:
            return Asked(specialist, weight, None, str(exc))
        return Asked(specialist, weight, prompt)

    async def ask(self, calls: Sequence[Call], within_s: float, enough: Enough | None = None) -> list[Opinion]:
        """An opinion for each call, in order: one request to each host, all at once.

        When a host has answered, `enough` is asked whether the others are needed; those that aren't are cancelled.
        """
        groups: dict[str, list[Call]] = {}
        for call in calls:
            groups.setdefault(call.asked.specialist.engine, []).append(call)
        tasks = {asyncio.create_task(self._ask_host(engine, group, within_s)): group for engine, group in groups.items()}
        found: dict[int, Opinion] = {}
        pending = set(tasks)
        try:
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                found |= {id(c): o for task in done for c, o in zip(tasks[task], task.result(), strict=True)}
                flying = [c for task in pending for c in tasks[task]]
                if flying and enough is not None and await enough(list(found.values()), flying):
                    break
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        late = [t for t in pending if not t.cancelled() and t.exception() is None]  # it answered meanwhile: that is dissent, too
        found |= {id(c): o for task in late for c, o in zip(tasks[task], task.result(), strict=True)}
        return [found.get(id(c)) or self._opinion(c, None, NOT_NEEDED, 0.0) for c in calls]

    async def score(
        self, members: Sequence[Asked], bare: Sequence[Asked], answers: Mapping[str, str], within_s: float
    ) -> list[Likelihood]:  # fmt: skip
        """What each member makes of each answer (as it is called -> as it is worded), after its prompt in `members` and after
        that without passages in `bare`. What can't be scored is left out."""
        asked = [(call, answer) for call in (*members, *bare) if call.prompt is not None for answer in answers]
        groups: dict[str, list[tuple[Asked, str]]] = {}
        for pair in asked:
            groups.setdefault(pair[0].specialist.engine, []).append(pair)
        scored = await asyncio.gather(*(self._score_at(engine, pairs, answers, within_s) for engine, pairs in groups.items()))
        means = {(id(a), answer): mean for pairs, found in zip(groups.values(), scored, strict=True)
                 for (a, answer), mean in zip(pairs, found, strict=True)}  # fmt: skip
        made = []
        for member, alone in zip(members, bare, strict=True):
            for answer in answers:
                given, prior = means.get((id(member), answer)), means.get((id(alone), answer))
                if given is not None:
                    made.append(Likelihood(specialist=member.specialist.name, answer=answer, with_passages=given, without_passages=prior))
        return made

    async def _score_at(
        self, engine: str, pairs: Sequence[tuple[Asked, str]], answers: Mapping[str, str], within_s: float
    ) -> list[float | None]:  # fmt: skip
        assert self._hosts is not None
        requests = [ScoreRequest(a.specialist.name, a.prompt.messages, answers[answer]) for a, answer in pairs if a.prompt is not None]
        try:
            scores = await asyncio.wait_for(self._hosts.score(engine, requests), within_s)
        except Exception:  # as when asking: a host's fault costs its members' say
            return [None] * len(pairs)
        return [s.mean if s.error is None and math.isfinite(s.mean) else None for s in scores]

    async def _ask_host(self, engine: str, calls: Sequence[Call], within_s: float) -> list[Opinion]:
        opinions = {id(c): self._opinion(c, None, None, 0.0) for c in calls if c.asked.prompt is None}
        able = [c for c in calls if c.asked.prompt is not None]
        clock, error = asyncio.get_running_loop().time, None
        started = clock()

        def note(call: Call, generation: Generation | None, error: str | None) -> None:
            opinions[id(call)] = made = self._opinion(call, generation, error, clock() - started)
            tracing.note("member", made.latency_s, specialist=call.name, engine=engine, failed=made.error is not None)
            if self._heard is not None:
                self._heard(made)

        try:
            if able:
                async with asyncio.timeout(within_s + grace(within_s)):
                    await self._generate(engine, able, within_s, note)
        except TimeoutError:
            error = f"late: no answer within {within_s:g} s"
        except EngineError as exc:
            error = str(exc)
        except Exception as exc:  # whatever a host does costs its members' votes, never the verdict
            error = f"host {engine!r} failed: {type(exc).__name__}: {exc}"
        for call in able:
            if id(call) not in opinions:
                note(call, None, error)
        return [opinions[id(c)] for c in calls]

    async def _generate(self, engine: str, calls: Sequence[Call], within_s: float, note: Note) -> None:
        """One request for all; each answer as it comes only where somebody listens, for that costs more."""
        assert self._hosts is not None
        requests = [self._request(c, c.asked.prompt) for c in calls if c.asked.prompt is not None]
        if self._heard is not None:
            async for place, generation in self._hosts.generate_each(engine, requests, within_s):
                note(calls[place], generation, None)
            return
        for call, generation in zip(calls, await self._hosts.generate(engine, requests, within_s), strict=False):
            note(call, generation, None)

    def _request(self, call: Call, prompt: Prompt) -> GenerationRequest:
        seed = call.seed if self._seed is None else self._seed + (call.seed or 0)
        return replace(call.request(prompt), seed=seed, stop=self._stop)

    def _opinion(self, call: Call, generation: Generation | None, error: str | None, seconds: float) -> Opinion:
        reader = extract_answer if self._config.prompting.answers == "short" else _whole_answer
        return _opinion(call, generation, error, seconds, reader)


def grace(within_s: float) -> float:
    """Seconds that a host has beyond those of its members, to say who was late."""
    return min(1.0, 0.05 + 0.05 * within_s)


def _whole_answer(text: str) -> str | None:
    """A long answer but for sentences that say what is not known; 'not known' if there are no others."""
    said = without_thoughts(text)
    claims = split_claims(said)
    known = [claim for claim in claims if not is_refusal(claim)]
    if len(known) == len(claims):
        return said or None
    return " ".join(known) or NOT_KNOWN


def _opinion(call: Call, generation: Generation | None, error: str | None, seconds: float, reader: Callable[[str], str | None]) -> Opinion:
    """What a member said as an opinion: an answer, or the error that kept it from voting."""
    asked, prompt = call.asked, call.asked.prompt
    packed = prompt or Prompt([], 0, 0)
    bare = Opinion(
        specialist=call.name, weight=asked.weight, latency_s=seconds, prompt_tokens=packed.tokens, passages=packed.shown,
        passages_trimmed=packed.trimmed, passages_dropped=packed.dropped, round=call.round,
    )  # fmt: skip
    if prompt is None or generation is None or generation.error is not None or not generation.samples:
        fault = asked.error or error or (generation.error if generation else None) or "the host returned no answer"
        return bare.model_copy(update={"error": fault})
    sample = generation.samples[0]
    answer = reader(sample.text)
    return bare.model_copy(update={
        "answer": answer, "text": sample.text, "prompt_tokens": generation.prompt_tokens, "output_tokens": sample.tokens,
        "queued_s": generation.queued_s, "first_token_s": generation.first_token_s, "cached_tokens": generation.cached_tokens,
        "error": None if answer else "no answer could be read from what it said",
    })  # fmt: skip
