"""Class Council: what holds retrieval, routing and the hosts, and puts each question to an inquiry."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from council.aggregator import Calibration, Drift, Similarity
from council.config import CouncilConfig, fingerprint, load_config
from council.entailment import Entailment
from council.errors import CalibrationError, ConfigError, CouncilError, QuestionError, StartError, StoreError
from council.inquiry import Inquiry
from council.loop import BackgroundLoop
from council.panel import Panel
from council.retrieval import FORMAT, ExampleBook, ExportReport, Found, IndexReport, Retriever, StoredDocument, export_corpus, migrate_store
from council.router import Route, Router
from council.types import NOT_KNOWN, Example, Passage, Question, Verdict
from specialists.config import resolve_weights
from specialists.prompt_format import Message
from specialists.protocol import EngineError, Health
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
class _Context:
    """What members are given to read, or why nothing could be read."""

    found: Found = field(default_factory=Found)
    examples: Sequence[Example] = ()
    lost: StoreError | None = None


def default_store(config: CouncilConfig) -> Path:
    """Where a preset's own store is kept: in the user's cache folder (XDG_CACHE_HOME, else ~/.cache).

    Its name holds a fingerprint of the library, so that a changed library gets a store of its own.
    """
    root, library = os.environ.get("XDG_CACHE_HOME") or "~/.cache", config.retrieval.library
    digest = hashlib.sha256(f"format {FORMAT}".encode())
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
        self._ready = self._closed = self._warned = False

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
        self.retriever.load()
        embedder, _ = self.retriever.embedder, self.calibration  # read now, so that what is wrong with it is told at the start
        if self._entailment is not None:
            self._entailment.load()
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
        progress: Callable[[int, int], None] | None = None, prune: bool = False, dry_run: bool = False,
    ) -> IndexReport:  # fmt: skip
        """Add documents; `progress` is called with (done, all) passages. What is there unchanged is left alone, and what has
        changed replaces what was there; `prune` removes what is gone from the paths, `dry_run` only tells."""
        return self.retriever.index([Path(p) for p in paths], tenant, domain, progress, prune, dry_run)

    def documents(self, tenant: str = "default") -> list[StoredDocument]:
        """What a tenant has in the store, by file."""
        return self.retriever.documents(tenant)

    def passages(self, file: str | os.PathLike[str], tenant: str = "default") -> list[Passage]:
        """What the store holds of a file, in order. Raises DocumentError for one that it doesn't have."""
        return self.retriever.passages(file, tenant)

    def remove(self, files: Iterable[str | os.PathLike[str]], tenant: str = "default") -> int:
        """Remove files from the store and from its disk; returns how many passages these were. Raises DocumentError, and
        removes nothing, if one is not there."""
        return self.retriever.remove(list(files), tenant)

    def retrieve(self, question: str | Question, top_k: int | None = None) -> list[Passage]:
        """The passages that members would be shown, best first, without asking anybody."""
        return self.retriever.retrieve(_as_question(question), top_k)

    @property
    def examples(self) -> ExampleBook:
        """Worked examples of right and wrong answers: `add`, `all` and `remove` them."""
        return self.retriever.book()

    def export(self, path: str | os.PathLike[str], tenant: str = "default", most_generated: float = 0.1) -> ExportReport:
        """Write a tenant's passages as training data for specialists (JSON lines). Raises DocumentError where models wrote more
        of their words than the share `most_generated`."""
        return export_corpus(self.retriever.chunks(tenant), Path(path), most_generated)

    def migrate(self, progress: Callable[[int, int], None] | None = None, drop_old: bool = False) -> int:
        """Move what a Qdrant server holds to the embedding model that the config names; see migrate_store. Nothing else may write
        to it meanwhile. Raises StoreError."""
        return migrate_store(self.config.retrieval, progress, drop_old)

    # --- questions -----------------------------------------------------------------------------------------------

    def prompts(self, question: str | Question) -> dict[str, list[Message]]:
        """What each member that is routed to would be sent, without asking anybody or starting hosts; a member whose
        budget it does not fit is left out. Raises QuestionError if it fits none."""
        if self._router is None:
            self._prepare()
        asked = _as_question(question)
        route = self._route(asked, None)
        found = self.retriever.search(asked, routed=route.domain)
        panel = Panel(self.config, self._counters, None, self.retriever.examples(asked))
        prepared = [panel.prepare(asked.text, found.passages, n, w) for n, w in route.asked.items()]
        if prepared and all(a.prompt is None for a in prepared):
            raise QuestionError(str(prepared[0].error))
        return {a.specialist.name: list(a.prompt.messages) for a in prepared if a.prompt is not None}

    def ask(
        self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None, check: bool | None = None,
    ) -> Verdict:  # fmt: skip
        """The council's verdict; with `check` it says what the agreement rests on, at two more calls a member (None: for the share
        of questions that asking.check_context says). Raises QuestionError for a question that can't be asked; a member's
        fault never raises, it is an opinion with an error."""
        self.start()
        return self._loop.run(self._ask(_as_question(question), retrieval, specialists, check))

    async def aask(
        self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None, check: bool | None = None,
    ) -> Verdict:  # fmt: skip
        """`ask` without blocking the caller's event loop; cancelling it cancels what is in flight."""
        if not self._ready:
            await asyncio.get_running_loop().run_in_executor(None, self.start)
        return await asyncio.wrap_future(self._loop.submit(self._ask(_as_question(question), retrieval, specialists, check)))

    def ask_many(
        self, questions: Iterable[str | Question], *, retrieval: bool = True, specialists: Sequence[str] | None = None,
        concurrency: int = 8, progress: Callable[[int], None] | None = None, check: bool | None = None,
    ) -> list[Verdict]:  # fmt: skip
        """A verdict for each question, in order, `concurrency` at a time. A question that can't be asked fails alone."""
        if concurrency < 1:
            raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
        self.start()
        work = self._ask_many(list(questions), retrieval, specialists, concurrency, progress, check)
        return self._loop.run(work)

    async def _ask_many(
        self, questions: Sequence[str | Question], retrieval: bool, specialists: Sequence[str] | None, concurrency: int,
        progress: Callable[[int], None] | None, check: bool | None,
    ) -> list[Verdict]:  # fmt: skip
        free, done = asyncio.Semaphore(concurrency), 0

        async def one(question: str | Question) -> Verdict:
            nonlocal done
            async with free:
                try:
                    verdict = await self._ask(_as_question(question), retrieval, specialists, check)
                except CouncilError as exc:
                    verdict = Verdict(status="failed", reason=str(exc))
            done += 1
            if progress is not None:
                progress(done)
            return verdict

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(q)) for q in questions]
        return [task.result() for task in tasks]

    async def _ask(self, question: Question, retrieval: bool, specialists: Sequence[str] | None, check: bool | None = None) -> Verdict:
        started = time.monotonic()
        names = self.check_names(specialists)
        plain = retrieval and names is None and question.domain is None and not question.queries and question.tenant == "default"
        calibration = self.calibration if plain else None  # on no other questions was it calibrated
        context, route, spent = await self._read(question, retrieval, names, calibration)
        lost = context.lost
        if lost is not None and self.config.retrieval.on_failure == "abstain":
            spent["total"] = time.monotonic() - started
            return Verdict(status="abstained", reason=f"No documents can be read: {lost}", domain=route.domain, timings_s=spent)
        panel = Panel(self.config, self._counters, self._hosts, context.examples)
        inquiry = Inquiry(
            self.config, panel, self.likeness(question.text), self.similarity, self._threads, calibration if lost is None else None,
            spent | {"generate": 0.0, "vote": 0.0},
        )  # fmt: skip
        verdict = await inquiry.verdict(question.text, context.found.passages, route, self._checks(check))
        warnings = [f"Answered without documents: {lost}"] if lost is not None else list(self._warnings(verdict)) if calibration else []
        forgotten, _ = await self._timed(self._record, question, verdict, context.found.passages)
        spent = inquiry.spent | {"total": time.monotonic() - started}
        return verdict.model_copy(update={
            "reason": self._reason(verdict, context.found.passages, retrieval and lost is None),
            "left_out": context.found.left_out, "warnings": (*warnings, *forgotten),
            "timings_s": {stage: round(seconds, 6) for stage, seconds in spent.items()},
        })  # fmt: skip

    async def _read(
        self, question: Question, retrieval: bool, names: Sequence[str] | None, calibration: Calibration | None
    ) -> tuple[_Context, Route, dict[str, float]]:
        """Passages and members for a question: at the same time, unless which passages are found depends on the members."""
        routing = self._timed(self._route, question, names, calibration)
        if self.config.retrieval.routed == "off":
            (context, retrieve_s), (route, route_s) = await asyncio.gather(self._timed(self._retrieve, question, retrieval, None), routing)
        else:
            route, route_s = await routing
            context, retrieve_s = await self._timed(self._retrieve, question, retrieval, route.domain)
        return context, route, {"retrieve": retrieve_s, "route": route_s}

    def _checks(self, wanted: bool | None) -> bool:
        """Whether this question's answer is checked. Raises QuestionError where answers are long, which can't be."""
        if wanted and self.config.prompting.answers == "long":
            raise QuestionError("what long answers rest on can't be checked: leave the check out, or set prompting.answers to short")
        return random.random() < self.config.asking.check_context if wanted is None else wanted

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
            return _Context(self.retriever.search(question, routed=routed), self.retriever.examples(question)) if wanted else _Context()
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

    def check_names(self, specialists: Sequence[str] | None) -> Sequence[str] | None:
        """`specialists` as given, or None for all. Raises ConfigError for a name that no member has."""
        known = [s.name for s in self.config.specialists]
        for name in specialists or ():
            if name not in known:
                raise ConfigError(f"no specialist {name!r}; there are: {', '.join(known)}")
        return specialists or None

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

    def _reason(self, verdict: Verdict, passages: Sequence[Passage], retrieval: bool) -> str:
        if retrieval and not passages and self.retriever.count() == 0:
            return f"{verdict.reason} No documents are indexed: add some with `council index PATH`."
        return verdict.reason

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


def _as_question(question: str | Question) -> Question:
    made = Question(text=question) if isinstance(question, str) else question
    if not made.text.strip():
        raise QuestionError("the question is empty; ask something")
    return made


__all__ = ["Council", "CouncilError", "Member", "default_store"]
