"""The way of a question: retrieval and routing, then an inquiry among the members. It runs in whichever loop it is awaited in."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from council.aggregator import Calibration, Decision, Drift, Similarity, decide
from council.config import CouncilConfig, fingerprint
from council.entailment import Entailment
from council.errors import CalibrationError, DeadlineError, QuestionError, StoreError
from council.events import Retrieved, Tell
from council.inquiry import Inquiry
from council.live_vote import LiveVote
from council.options import Options, check_names
from council.panel import Panel, grace
from council.retrieval import Found, Retriever
from council.router import Route, Router
from council.tracing import note, span
from council.types import NOT_KNOWN, Example, Opinion, Passage, Question, Verdict
from specialists.prompt_format import Message
from specialists.tokens import TokenCount, token_counter

if TYPE_CHECKING:
    from specialists.hosts import Hosts

NOTHING_INDEXED: Final = "No documents are indexed: add some with `council index PATH`."
RECORD_S: Final = 1.0
RESERVE: Final = 0.1
"""The part of a question's seconds, one at most, that is kept from the members for the vote."""


@dataclass(frozen=True)
class _Context:
    """What members are given to read, or why nothing could be read."""

    found: Found = field(default_factory=Found)
    examples: Sequence[Example] = ()
    lost: StoreError | None = None
    empty: bool = False
    """Whether the tenant has nothing at all that could be read."""


class Pipeline:
    """What questions are answered with. `threads` do what would block the loop; `hosts` may be given later."""

    def __init__(self, config: CouncilConfig, retriever: Retriever, threads: Executor, hosts: Hosts | None = None) -> None:
        self.config, self.retriever, self.hosts = config, retriever, hosts
        self._threads = threads
        self._recorder = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._router: Router | None = None
        self._counters: dict[str, TokenCount] = {}
        self._warned = False

    def prepare(self) -> None:
        """Load all that a question needs beside the hosts. Raises RetrievalError, CalibrationError, EngineError."""
        if self._router is not None:
            return
        self.retriever.load()
        _ = self.calibration  # read now, so that what is wrong with it is told at the start
        if self._entailment is not None:
            self._entailment.load()
        used = {s.engine for s in self.config.specialists}
        by_engine = {e.name: token_counter(e) for e in self.config.engines if e.name in used}
        self._counters = {s.name: by_engine[s.engine] for s in self.config.specialists}
        self._router = Router(self.config.routing, self.config.specialists, self.retriever.embedder.embed)

    def prompts(self, question: Question) -> dict[str, list[Message]]:
        """What each member that is routed to would be sent; a member whose budget it does not fit is left out. Raises
        QuestionError if it fits none."""
        self.prepare()
        route = self._route(question, None)
        found = self.retriever.search(question, routed=route.domain)
        panel = Panel(self.config, self._counters, None, self.retriever.examples(question))
        prepared = [panel.prepare(question.text, found.passages, n, w) for n, w in route.asked.items()]
        if prepared and all(a.prompt is None for a in prepared):
            raise QuestionError(str(prepared[0].error))
        return {a.specialist.name: list(a.prompt.messages) for a in prepared if a.prompt is not None}

    async def answer(self, question: Question, options: Options | None = None, tell: Tell | None = None) -> Verdict:
        """The verdict; `tell` is told what happens on the way, the verdict last. Raises QuestionError for a question that can't
        be asked, ConfigError for a member that there isn't, DeadlineError when `options.within_s` pass without a verdict."""
        wanted = options or Options()
        started, reached = time.monotonic(), ["reading"]
        check_names(self.config, wanted.specialists)
        try:
            with span("question", tenant=question.tenant):
                async with asyncio.timeout(wanted.within_s):
                    verdict = await self._answer(question, wanted, tell, started, reached)
        except TimeoutError as exc:
            told = f"there was no verdict within {wanted.within_s:.3g} s, while {reached[-1]}; give it more, or ask later"
            raise DeadlineError(told) from exc
        if tell is not None:
            tell(verdict)
        return verdict

    async def _answer(
        self, question: Question, options: Options, tell: Tell | None, started: float, reached: list[str]
    ) -> Verdict:  # fmt: skip
        """`reached` is told what is being done."""
        config = options.applied(self.config)
        calibration = self._calibration_of(question, options, config)
        context, route, spent = await self._read(question, options, calibration, tell)
        reached.append("the members were asked")
        lost = context.lost
        if lost is not None and config.retrieval.on_failure == "abstain":
            spent["total"] = time.monotonic() - started
            return Verdict(status="abstained", reason=f"No documents can be read: {lost}", domain=route.domain, timings_s=spent)
        async with AsyncExitStack() as stack:
            live = LiveVote(tell, self._vote(question, config)) if tell is not None else None
            if live is not None:
                stack.push_async_callback(live.close)
            panel = Panel(
                config, self._counters, self.hosts, context.examples, live.heard if live else None, options.seed, options.stop
            )  # fmt: skip
            inquiry = Inquiry(
                config, panel, self.likeness(question.text), self.similarity, self._threads, calibration if lost is None else None,
                spent | {"generate": 0.0, "vote": 0.0}, tell, _end_for_members(started, options.within_s),
            )  # fmt: skip
            verdict = await inquiry.verdict(question.text, context.found.passages, route, self._checks(options.check))
        warnings = [f"Answered without documents: {lost}"] if lost is not None else list(self._warnings(verdict)) if calibration else []
        left_s = math.inf if options.within_s is None else started + options.within_s - time.monotonic()
        forgotten = await self._recorded(question, verdict, context.found.passages, left_s)
        spent = inquiry.spent | {"total": time.monotonic() - started}
        return verdict.model_copy(update={
            "reason": f"{verdict.reason} {NOTHING_INDEXED}" if context.empty else verdict.reason,
            "left_out": context.found.left_out, "warnings": (*warnings, *forgotten),
            "timings_s": {stage: round(seconds, 6) for stage, seconds in spent.items()},
        })  # fmt: skip

    def _calibration_of(self, question: Question, options: Options, config: CouncilConfig) -> Calibration | None:
        """The calibration, if it holds for this question: on no others was it calibrated."""
        same_policy = options.policy in (None, self.config.asking.policy) or (self.config.asking.is_exact and config.asking.is_exact)
        plain = options.is_plain and same_policy and question.domain is None and not question.queries and question.tenant == "default"
        return self.calibration if plain else None

    def _vote(self, question: Question, config: CouncilConfig) -> Callable[[Sequence[Opinion]], Any]:
        lineages, likeness = {s.name: s.lineage for s in config.specialists if s.lineage}, self.likeness(question.text)

        async def vote(opinions: Sequence[Opinion]) -> Decision:
            decision, _ = await self._timed(decide, opinions, config.aggregator, likeness, lineages, 0.0)
            return decision  # type: ignore[no-any-return]

        return vote

    async def _read(
        self, question: Question, options: Options, calibration: Calibration | None, tell: Tell | None
    ) -> tuple[_Context, Route, dict[str, float]]:
        """Passages and members for a question: at the same time, unless which passages are found depends on the members."""
        routing = self._timed(self._route, question, options.specialists, calibration)
        if self.config.retrieval.routed == "off":
            (context, retrieve_s), (route, route_s) = await asyncio.gather(
                self._timed(self._retrieve, question, options.retrieval, None), routing
            )
        else:
            route, route_s = await routing
            context, retrieve_s = await self._timed(self._retrieve, question, options.retrieval, route.domain)
        note("retrieve", retrieve_s, passages=len(context.found.passages))
        note("route", route_s, members=len(route.asked))
        if tell is not None:
            found, lost = context.found, context.lost
            tell(Retrieved(passages=found.passages, left_out=found.left_out, lost=str(lost) if lost else None))
        return context, route, {"retrieve": retrieve_s, "route": route_s}

    def _checks(self, wanted: bool | None) -> bool:
        """Whether this question's answer is checked. Raises QuestionError where answers are long, which can't be."""
        if wanted and self.config.prompting.answers == "long":
            raise QuestionError("what long answers rest on can't be checked: leave the check out, or set prompting.answers to short")
        return random.random() < self.config.asking.check_context if wanted is None else wanted

    async def _recorded(self, question: Question, verdict: Verdict, passages: Sequence[Passage], left_s: float) -> list[str]:
        """Warnings of recording. It may take a second, and no longer than is left; then the answer is given, and it goes on by itself."""
        loop = asyncio.get_running_loop()
        recording = loop.run_in_executor(self._recorder, self._record, question, verdict, passages)
        done, _ = await asyncio.wait({recording}, timeout=max(0.0, min(RECORD_S, left_s - 0.05)))
        return recording.result() if done else ["What was said is still being recorded: until then it is not recognised as a document."]

    def _record(self, question: Question, verdict: Verdict, passages: Sequence[Passage]) -> list[str]:
        """Keep fingerprints of what was said. Where that fails, the answer is given all the same, with a warning."""
        opinions = (*verdict.opinions, *(verdict.grounding.opinions if verdict.grounding else ()))
        said = {text for text in (verdict.answer, *(o.text for o in opinions), *(o.answer for o in opinions)) if text and text != NOT_KNOWN}
        try:
            self.retriever.record(question, sorted(said), passages)
        except StoreError as exc:
            return [f"What was said can't be recognised should it come back as a document: {exc}"]
        return []

    async def _timed(self, work: Callable[..., Any], *args: Any) -> tuple[Any, float]:
        started = time.monotonic()
        result = await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        return result, time.monotonic() - started

    def _retrieve(self, question: Question, wanted: bool, routed: str | None) -> _Context:
        """Passages and examples; or what keeps the store from giving any."""
        try:
            if not wanted:
                return _Context()
            found = self.retriever.search(question, routed=routed)
            empty = not found.passages and self.retriever.count(question.tenant) == 0
            return _Context(found, self.retriever.examples(question), empty=empty)
        except StoreError as exc:
            return _Context(lost=exc)

    def _route(self, question: Question, names: Sequence[str] | None, calibration: Calibration | None = None) -> Route:
        assert self._router is not None
        route = self._router.route(question.text, names)
        domain = question.domain or route.domain
        if calibration is None or calibration.weights is None:
            return replace(route, domain=domain)
        fitted = calibration.weights.of(domain)
        asked, spare = ({name: fitted[name] for name in part} for part in (route.asked, route.spare))
        return Route(asked, spare, domain)

    @cached_property
    def calibration(self) -> Calibration | None:
        """The calibration that the config names, if it was made for this council. Raises CalibrationError if it can't be read."""
        return read_calibration(self.config)

    def similarity(self, texts: Sequence[str]) -> Any:
        """Cosines between answers, [n, n]."""
        vectors = self.retriever.embedder.embed(list(texts))
        return vectors @ vectors.T

    def likeness(self, question: str) -> Similarity:
        """What tells whether two answers to this question mean the same: more is more alike."""
        return self.similarity if self._entailment is None else self._entailment.about(question)

    @cached_property
    def _entailment(self) -> Entailment | None:
        wanted = self.config.aggregator.entailment
        return Entailment(wanted.model, wanted.device, wanted.batch_size) if wanted is not None else None

    @cached_property
    def _drift(self) -> Drift | None:
        known, threshold = self.calibration, self.config.aggregator.min_agreement
        if known is None or known.expected is None or (known.promise is None and known.expected.min_agreement != threshold):
            return None  # at another threshold, other shares are answered
        return Drift(known.expected)

    def _warnings(self, verdict: Verdict) -> tuple[str, ...]:
        if self._drift is None or verdict.status == "failed":
            return ()
        warning = self._drift.observe(verdict.status == "answered", verdict.agreement)
        if warning is not None and not self._warned:
            logging.getLogger(__name__).warning(warning)
        self._warned = warning is not None
        return (warning,) if warning is not None else ()

    def close(self) -> None:
        """Finish what is being recorded."""
        self._recorder.shutdown()

    @property
    def drifts(self) -> bool:
        """Whether the last verdicts are unlike those of calibration."""
        return self._warned


def _end_for_members(started: float, within_s: float | None) -> float:
    """When the members must have answered, so that there is time for a host to say so, and for the vote."""
    return math.inf if within_s is None else started + within_s - min(min(1.0, RESERVE * within_s) + grace(within_s), 0.5 * within_s)


def read_calibration(config: CouncilConfig) -> Calibration | None:
    """The calibration that a config names; None, with a warning logged, if it was made for another council. Raises
    CalibrationError if it can't be read."""
    path = config.aggregator.calibration
    if path is None:
        return None
    try:
        found = Calibration.model_validate_json(Path(path).expanduser().read_text("utf-8"))
    except (OSError, ValueError) as exc:
        told = str(exc).splitlines()[0]
        raise CalibrationError(f"the calibration {path} can't be read: {told}; make it with `council calibrate`") from exc
    if found.council != fingerprint(config):
        logging.getLogger(__name__).warning(
            "%s was made for another council: no confidence is given, and its promise is void; run `council calibrate` again", path
        )
        return None
    return found
