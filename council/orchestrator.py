"""Class Council: joins retrieval, routing, prompting, the members and the vote. The only file that knows all five."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from council.aggregator import Calibration, Decision, decide, extract_answer, normalise
from council.config import CouncilConfig, fingerprint, load_config
from council.errors import CalibrationError, ConfigError, CouncilError, QuestionError, StartError
from council.loop import BackgroundLoop
from council.prompting import Prompt, build_prompt
from council.retrieval import IndexReport, Retriever
from council.router import Router
from council.types import Confidence, Opinion, Passage, Question, Source, Verdict
from specialists.config import SpecialistConfig, resolve_weights
from specialists.prompt_format import Message
from specialists.protocol import EngineError, Generation, GenerationRequest, Health
from specialists.tokens import TokenCount, token_counter

if TYPE_CHECKING:
    from specialists.deployment import HostPool


@dataclass(frozen=True)
class Member:
    """A specialist as `council models` shows it."""

    name: str
    domain: str
    engine: str
    kind: str
    weights: str
    health: Health | None


@dataclass(frozen=True)
class _Asked:
    """One member's part in one question: its routing weight, and the prompt it is sent or why it can't be."""

    specialist: SpecialistConfig
    weight: float
    prompt: Prompt | None
    error: str | None = None


def default_store(config: CouncilConfig) -> Path:
    """Where a preset's own store is kept: in the user's cache folder (XDG_CACHE_HOME, else ~/.cache).

    Its name holds a fingerprint of the library, so that a changed library gets a store of its own.
    """
    root, library = os.environ.get("XDG_CACHE_HOME") or "~/.cache", config.retrieval.library
    digest = hashlib.sha256()
    for file in sorted(Path(library).rglob("*")) if library else ():
        if file.is_file():
            digest.update(file.read_bytes())
    return Path(root).expanduser() / "council" / f"{config.name}-{digest.hexdigest()[:12]}"


class Council:
    """A council of specialists, for use as a context manager.

    Entering starts the members' hosts; leaving stops them, and Ray if it was started here. `index` and `retrieve`
    need no member and work without entering. All methods may be called from any thread, and inside a running event
    loop (there, `aask` does not block it).
    """

    def __init__(self, config: CouncilConfig) -> None:
        self.config = config
        self._loop = BackgroundLoop(f"council-{config.name}")
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="council")
        self._lock, self._opening = threading.RLock(), threading.Lock()
        self._retriever: Retriever | None = None
        self._router: Router | None = None
        self._hosts: HostPool | None = None
        self._counters: dict[str, TokenCount] = {}
        self._ready = self._closed = False

    @classmethod
    def from_config(cls, config: str | os.PathLike[str] | CouncilConfig = "pocket", overrides: Mapping[str, Any] | None = None) -> Council:
        """A council from a preset's name, a YAML file or a config; `overrides` by dotted key. Raises ConfigError."""
        return cls(load_config(config, overrides))

    # --- life --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Council:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Start the hosts and load the embedder, at the same time. Raises StartError or RetrievalError in one line."""
        with self._lock:
            if self._ready:
                return
            prepared = self._threads.submit(self._prepare) if not self._closed else None
            self.start_hosts()
            try:
                if prepared is not None:
                    prepared.result()
            except EngineError as exc:
                raise StartError(str(exc)) from exc
            self._ready = True

    def start_hosts(self) -> None:
        """Start the hosts alone; `start` does it too. Raises StartError."""
        with self._lock:
            if self._closed:
                raise StartError("this council is closed; make a new one")
            if self._hosts is not None:
                return
            from specialists.deployment import HostPool

            hosts = HostPool(self.config.name, self.config.engines, self.config.specialists)
            try:
                hosts.start(self.config.ray_address)
            except EngineError as exc:
                raise StartError(str(exc)) from exc
            self._hosts = hosts

    def _prepare(self) -> None:
        """Everything a question needs beside the hosts."""
        embedder, _ = self.retriever.embedder, self.calibration  # read now, so that what is wrong with it is told at the start
        self._router = Router(self.config.routing, self.config.specialists, embedder.embed)
        used = {s.engine for s in self.config.specialists}
        by_engine = {e.name: token_counter(e) for e in self.config.engines if e.name in used}
        self._counters = {s.name: by_engine[s.engine] for s in self.config.specialists}

    def close(self) -> None:
        """Stop what was started. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with ExitStack() as left:  # each, whatever the others raise; last pushed, first run
                left.callback(self._close_store)
                left.callback(self._threads.shutdown)
                if self._hosts is not None:
                    left.callback(self._hosts.stop)
                left.callback(self._loop.stop)

    def _close_store(self) -> None:
        if self._retriever is not None:
            self._retriever.close()

    @property
    def retriever(self) -> Retriever:
        """The document store, opened when first used."""
        if self._retriever is None:
            with self._opening:
                if self._retriever is None:
                    self._retriever = Retriever(self.config.retrieval, default_store(self.config))
        return self._retriever

    # --- documents ---------------------------------------------------------------------------------------------

    def index(
        self, paths: Iterable[str | os.PathLike[str]], tenant: str = "default", domain: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> IndexReport:  # fmt: skip
        """Add documents; `progress` is called with (done, all) passages. What is there already is not added again."""
        return self.retriever.index([Path(p) for p in paths], tenant=tenant, domain=domain, progress=progress)

    def retrieve(self, question: str | Question, top_k: int | None = None) -> list[Passage]:
        """The passages that members would be shown, best first, without asking anybody."""
        return self.retriever.retrieve(_as_question(question), top_k)

    # --- questions -----------------------------------------------------------------------------------------------

    def prompts(self, question: str | Question) -> dict[str, list[Message]]:
        """What each member that is routed to would be sent, without asking anybody or starting hosts; a member whose
        budget it does not fit is left out. Raises QuestionError if it fits none."""
        if self._router is None:
            self._prepare()
        asked = _as_question(question)
        passages = self._retrieve(asked, True)
        prepared = [self._prepare_member(asked.text, passages, n, w) for n, w in self._route(asked.text, None).items()]
        if prepared and all(a.prompt is None for a in prepared):
            raise QuestionError(str(prepared[0].error))
        return {a.specialist.name: list(a.prompt.messages) for a in prepared if a.prompt is not None}

    def ask(self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None) -> Verdict:
        """The council's verdict. Raises QuestionError for a question that can't be asked; a member's fault never
        raises, it is an opinion with an error."""
        self.start()
        return self._loop.run(self._ask(_as_question(question), retrieval, specialists))

    async def aask(self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None) -> Verdict:
        """`ask` without blocking the caller's event loop; cancelling it cancels what is in flight."""
        if not self._ready:
            await asyncio.get_running_loop().run_in_executor(None, self.start)
        return await asyncio.wrap_future(self._loop.submit(self._ask(_as_question(question), retrieval, specialists)))

    def ask_many(
        self, questions: Iterable[str | Question], *, retrieval: bool = True, specialists: Sequence[str] | None = None,
        concurrency: int = 8, progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:  # fmt: skip
        """A verdict for each question, in order, `concurrency` at a time. A question that can't be asked fails alone."""
        if concurrency < 1:
            raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
        self.start()
        work = self._ask_many(list(questions), retrieval, specialists, concurrency, progress)
        return self._loop.run(work)

    async def _ask_many(
        self, questions: Sequence[str | Question], retrieval: bool, specialists: Sequence[str] | None, concurrency: int,
        progress: Callable[[int], None] | None,
    ) -> list[Verdict]:  # fmt: skip
        free, done = asyncio.Semaphore(concurrency), 0

        async def one(question: str | Question) -> Verdict:
            nonlocal done
            async with free:
                try:
                    verdict = await self._ask(_as_question(question), retrieval, specialists)
                except CouncilError as exc:
                    verdict = Verdict(status="failed", reason=str(exc))
            done += 1
            if progress is not None:
                progress(done)
            return verdict

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(q)) for q in questions]
        return [task.result() for task in tasks]

    async def _ask(self, question: Question, retrieval: bool, specialists: Sequence[str] | None) -> Verdict:
        started = time.monotonic()
        names = self.check_names(specialists)
        (passages, retrieve_s), (weights, route_s) = await asyncio.gather(
            self._timed(self._retrieve, question, retrieval), self._timed(self._route, question.text, names)
        )
        asked = [self._prepare_member(question.text, passages, name, weight) for name, weight in weights.items()]
        if asked and all(a.prompt is None for a in asked):
            raise QuestionError(str(asked[0].error))
        before = time.monotonic()
        opinions = await self._ask_members(asked)
        generate_s = time.monotonic() - before
        rules, lineages = self.config.aggregator, {s.name: s.lineage for s in self.config.specialists if s.lineage}
        calibration = self.calibration if retrieval and names is None else None  # on no other questions was it calibrated
        if calibration is not None and calibration.promise is not None:
            rules = rules.model_copy(update={"min_agreement": calibration.promise.threshold})
        decision, vote_s = await self._timed(decide, opinions, rules, self.similarity, lineages)
        shown = passages[: max((len(passages) - a.prompt.dropped for a in asked if a.prompt is not None), default=0)]
        spent = {
            "retrieve": retrieve_s,
            "route": route_s,
            "generate": generate_s,
            "vote": vote_s,
            "total": time.monotonic() - started,
        }
        return Verdict(
            status=decision.status, answer=decision.answer, reason=self._reason(decision, passages, retrieval),
            agreement=decision.agreement, confidence=_confidence(decision, calibration),
            groups=decision.groups, opinions=tuple(opinions), sources=_sources(decision, shown),
            calls=sum(a.prompt is not None for a in asked), timings_s={k: round(v, 6) for k, v in spent.items()},
        )  # fmt: skip

    async def _timed(self, work: Callable[..., Any], *args: Any) -> tuple[Any, float]:
        started = time.monotonic()
        result = await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        return result, time.monotonic() - started

    def _retrieve(self, question: Question, wanted: bool) -> list[Passage]:
        return self.retriever.retrieve(question) if wanted else []

    def _route(self, text: str, names: Sequence[str] | None) -> dict[str, float]:
        """Who is asked, in the order of the config (a member's turn in the rotation must not depend on the question)."""
        assert self._router is not None
        if names is None:
            chosen = self._router.route(text)
        else:  # named by the caller, so no policy chooses
            chosen = {n: w for n, w in self._router.weights(text).items() if n in names}
        return {s.name: chosen[s.name] for s in self.config.specialists if s.name in chosen}

    def check_names(self, specialists: Sequence[str] | None) -> Sequence[str] | None:
        """`specialists` as given, or None for all. Raises ConfigError for a name that no member has."""
        known = [s.name for s in self.config.specialists]
        for name in specialists or ():
            if name not in known:
                raise ConfigError(f"no specialist {name!r}; there are: {', '.join(known)}")
        return specialists or None

    def _prepare_member(self, text: str, passages: Sequence[Passage], name: str, weight: float) -> _Asked:
        turn, specialist = next((i, s) for i, s in enumerate(self.config.specialists) if s.name == name)
        engine = next(e for e in self.config.engines if e.name == specialist.engine)
        budget = engine.max_context - specialist.max_tokens
        try:
            prompt = build_prompt(text, passages, specialist.persona, budget, self._counters[name], self.config.prompting, turn)
        except QuestionError as exc:
            return _Asked(specialist, weight, None, str(exc))
        return _Asked(specialist, weight, prompt)

    async def _ask_members(self, asked: Sequence[_Asked]) -> list[Opinion]:
        """One call to each host, all at once; opinions in the order of `asked`."""
        engines = dict.fromkeys(a.specialist.engine for a in asked)
        groups = [[a for a in asked if a.specialist.engine == engine] for engine in engines]
        answered = await asyncio.gather(*(self._ask_host(e, g) for e, g in zip(engines, groups, strict=True)))
        by_name = {o.specialist: o for opinions in answered for o in opinions}
        return [by_name[a.specialist.name] for a in asked]

    async def _ask_host(self, engine: str, asked: Sequence[_Asked]) -> list[Opinion]:
        assert self._hosts is not None
        ready = [a for a in asked if a.prompt is not None]
        requests = [
            GenerationRequest(a.specialist.name, a.prompt.messages, a.specialist.max_tokens, a.specialist.temperature)
            for a in ready if a.prompt is not None
        ]  # fmt: skip
        started, error = time.monotonic(), None
        generations: list[Generation] = []
        try:
            if requests:
                generations = await asyncio.wait_for(self._hosts.generate(engine, requests), self.config.deadline_s)
        except TimeoutError:
            error = f"late: no answer within {self.config.deadline_s:g} s"
        except EngineError as exc:
            error = str(exc)
        took = time.monotonic() - started
        said = {g.specialist: g for g in generations}
        return [_opinion(a, said.get(a.specialist.name), error, took) for a in asked]

    @cached_property
    def calibration(self) -> Calibration | None:
        """The calibration that the config names, if it was made for this council. Raises CalibrationError if it can't be read."""
        path = self.config.aggregator.calibration
        if path is None:
            return None
        try:
            found = Calibration.model_validate_json(Path(path).expanduser().read_text("utf-8"))
        except (OSError, ValueError) as exc:
            told = str(exc).splitlines()[0]
            raise CalibrationError(f"the calibration {path} can't be read: {told}; make it with `council calibrate`") from exc
        if found.council != fingerprint(self.config):
            logging.getLogger(__name__).warning(
                "%s was made for another council: no confidence is given, and its promise is void; run `council calibrate` again", path
            )
            return None
        return found

    def similarity(self, texts: Sequence[str]) -> Any:
        """Cosines between answers, [n, n]."""
        vectors = self.retriever.embedder.embed(list(texts))
        return vectors @ vectors.T

    def _reason(self, decision: Decision, passages: Sequence[Passage], retrieval: bool) -> str:
        if retrieval and not passages and self.retriever.count() == 0:
            return f"{decision.reason} No documents are indexed: add some with `council index PATH`."
        return decision.reason

    # --- members -------------------------------------------------------------------------------------------------

    def members(self, health: bool = True) -> list[Member]:
        """The specialists, where their weights are and, where the hosts have been started, how they are."""
        engines = {e.name: e for e in self.config.engines}
        known: dict[str, Health] = {}
        if health and self._hosts is not None:
            known = {name: self._loop.run(self._hosts.health(name)) for name in {s.engine for s in self.config.specialists}}
        listed = []
        for s in self.config.specialists:
            weights = resolve_weights(s.adapter or engines[s.engine].model or "none")
            listed.append(Member(s.name, s.domain, s.engine, engines[s.engine].kind, weights, known.get(s.engine)))
        return listed


def _as_question(question: str | Question) -> Question:
    made = Question(text=question) if isinstance(question, str) else question
    if not made.text.strip():
        raise QuestionError("the question is empty; ask something")
    return made


def _opinion(asked: _Asked, generation: Generation | None, error: str | None, seconds: float) -> Opinion:
    """What a member said as an opinion: an answer, or the error that kept it from voting."""
    name, weight = asked.specialist.name, asked.weight
    dropped = asked.prompt.dropped if asked.prompt is not None else 0
    prompt_tokens = asked.prompt.tokens if asked.prompt is not None else 0
    if asked.prompt is None or generation is None or generation.error is not None or not generation.samples:
        fault = asked.error or error or (generation.error if generation else None) or "the host returned no answer"
        return Opinion(
            specialist=name,
            weight=weight,
            latency_s=seconds,
            prompt_tokens=prompt_tokens,
            passages_dropped=dropped,
            error=fault,
        )
    sample = generation.samples[0]
    answer = extract_answer(sample.text)
    return Opinion(
        specialist=name, answer=answer, text=sample.text, weight=weight, latency_s=seconds, prompt_tokens=generation.prompt_tokens,
        queued_s=generation.queued_s, first_token_s=generation.first_token_s, cached_tokens=generation.cached_tokens,
        output_tokens=sample.tokens, passages_dropped=dropped, error=None if answer else "no answer could be read from what it said",
    )  # fmt: skip


def _confidence(decision: Decision, calibration: Calibration | None) -> Confidence | None:
    """Of the answer, where one is given: nothing was calibrated on abstentions."""
    if calibration is None or decision.status != "answered" or decision.agreement is None:
        return None
    return Confidence(value=calibration.confidence(decision.agreement), calibrated_on=calibration.describe())


def _sources(decision: Decision, shown: Sequence[Passage]) -> tuple[Source, ...]:
    """The passages in which the answer stands; all that were shown if it stands in none, or if there is no answer."""
    answer = normalise(decision.answer or "")
    holding = [p for p in shown if answer and f" {answer} " in f" {normalise(f'{p.title} {p.text}')} "]
    return tuple(Source(id=p.id, title=p.title, text=p.text, score=p.score, provenance=p.provenance) for p in holding or shown)


__all__ = ["Council", "CouncilError", "Member", "default_store"]
