"""What the HTTP routes call: questions with admission, deadline and record; documents by tenant. It knows no HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from council.audit import AuditLog
from council.errors import ConfigError, CouncilError, DeadlineError, DocumentError, GoingDown, Overloaded, QuestionError
from council.events import Tell
from council.history import Turn, instruction, stand_alone, usable
from council.keys import Grant, KeyRing
from council.limits import Admission, RateLimiter
from council.options import Options
from council.tracing import span
from council.types import Passage, Question, Verdict
from specialists.protocol import EngineError, GenerationRequest

if TYPE_CHECKING:
    from council.metrics import Ending, Metrics
    from council.orchestrator import Council
    from council.retrieval import IndexReport, StoredDocument

T = TypeVar("T")
Count = Callable[[str, int | None], Awaitable[float]]
"""A caller's id and its requests a minute -> 0.0, or the seconds until it may ask again."""
READY_S: Final = 2.0
"""How long it is remembered which members were well."""
WRITERS, WRITES_WAITING = 2, 8
REWRITE_S: Final = 10.0
ANYBODY: Final = Grant(id="0" * 8, name="anybody", digest="0" * 64, created="1970-01-01T00:00:00+00:00")
"""Who asks where no keys are wanted."""


@dataclass(frozen=True)
class Asking:
    """A request's question, and who puts it."""

    text: str
    grant: Grant
    request_id: str
    route: str
    model: str = "council"
    before: Sequence[Turn] = ()
    domain: str | None = None
    queries: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    failed_code: int = 200
    """What HTTP answers where too few members do."""


@dataclass(frozen=True)
class Readiness:
    """Whether enough members are well, and how each of their hosts is."""

    ready: bool
    members: dict[str, tuple[bool, str]]


class Service:
    """A started council behind HTTP. `keys` None: nobody is asked who they are. Everything runs in one event loop."""

    def __init__(
        self, council: Council, keys: KeyRing | None = None, metrics: Metrics | None = None,
        scrape: Callable[[], Awaitable[str]] | None = None, count: Count | None = None,
    ) -> None:  # fmt: skip
        self.council, self.config, self.settings = council, council.config, council.config.service
        self.keys, self.metrics, self.scrape = keys, metrics, scrape
        self.audit = AuditLog(self.settings.audit, self.settings.audit_text)
        if self.settings.audit is not None:
            self.audit.check()
        self.admission = Admission(self.settings.concurrent, self.settings.queue)
        self._writing = Admission(WRITERS, WRITES_WAITING)
        self._threads = ThreadPoolExecutor(WRITERS + 2, thread_name_prefix="service")
        self._limiter = RateLimiter()
        self._count: Count = count or self._count_here
        self._ready: tuple[float, Readiness] | None = None
        self._looking: asyncio.Task[Readiness] | None = None
        self.draining = False

    async def _count_here(self, id: str, per_minute: int | None) -> float:
        return self._limiter.take(id, per_minute)

    # --- who asks ------------------------------------------------------------------------------------------------

    def grant(self, key: str | None) -> Grant | None:
        """What a key allows; None: nothing."""
        if self.keys is None:
            return ANYBODY
        return self.keys.find(key) if key else None

    async def count(self, grant: Grant) -> None:
        """Count a request against its key's rate. Raises Overloaded."""
        wait_s = await self._count(grant.id, grant.per_minute)
        if wait_s > 0:
            raise Overloaded(f"this key may ask {grant.per_minute} times a minute; ask again in {math.ceil(wait_s)} s", wait_s)

    def check_room(self) -> None:
        """Raises Overloaded where a question would find no place, even to wait."""
        try:
            self.admission.check()
        except Overloaded:
            if self.metrics is not None:
                self.metrics.ended("refused")
            raise

    # --- questions -----------------------------------------------------------------------------------------------

    async def ask(self, asking: Asking, tell: Tell | None = None) -> Verdict:
        """A verdict, when its turn has come. Raises QuestionError, Overloaded, GoingDown, DeadlineError."""
        limit, started = self.settings, time.monotonic()
        within_s = min(asking.options.within_s or limit.deadline_s, limit.deadline_s)
        queued_s, verdict = 0.0, None
        try:
            if not asking.text.strip():
                raise QuestionError("the question is empty; ask something")
            if self.draining:
                raise GoingDown("this replica is going down and takes no more questions; ask again")
            async with self.admission.slot(within_s) as queued_s:
                self.beat()
                with span("request", request_id=asking.request_id, route=asking.route):
                    verdict = await self._answer(asking, within_s - queued_s, tell)
            if self.metrics is not None:
                self.metrics.verdict(verdict, time.monotonic() - started, queued_s)
            self._record(asking, asking.failed_code if verdict.status == "failed" else 200, verdict.status, started, verdict)
            return verdict
        except BaseException as exc:
            self._note_failure(asking, exc, started)
            raise
        finally:
            self.beat()

    async def _answer(self, asking: Asking, within_s: float, tell: Tell | None) -> Verdict:
        began = time.monotonic()
        text = await self._alone(asking, min(REWRITE_S, within_s / 4))
        if len(text) > self.settings.question_chars:
            raise QuestionError(
                f"the question has {len(text)} characters, and {self.settings.question_chars} are the most: make it shorter"
            )
        question = Question(text=text, queries=asking.queries, domain=asking.domain, tenant=asking.grant.tenant)
        left_s = max(0.001, within_s - (time.monotonic() - began))
        return await self.council.pipeline.answer(question, replace(asking.options, within_s=left_s), tell)

    async def _alone(self, asking: Asking, within_s: float) -> str:
        """The question so that it stands by itself: as a member words it, where one is named and manages to."""
        by_rule = stand_alone(asking.text, asking.before)
        name, hosts = self.settings.rewriter, self.council.pipeline.hosts
        if name is None or hosts is None or by_rule == asking.text:
            return by_rule
        engine = next(s.engine for s in self.config.specialists if s.name == name)
        request = GenerationRequest(name, instruction(asking.text, asking.before), max_tokens=128)
        try:
            async with asyncio.timeout(within_s):
                (made,) = await hosts.generate(engine, [request], within_s)
        except (EngineError, TimeoutError):
            return by_rule
        return (usable(made.samples[0].text, asking.text) if made.samples else None) or by_rule

    def beat(self) -> None:
        """Note how many questions wait and are at work, and whether verdicts drift: at every change, and now and then."""
        if self.metrics is not None:
            self.metrics.load(self.admission.waiting, self.admission.working, self.council.pipeline.drifts)

    def _note_failure(self, asking: Asking, exc: BaseException, started: float) -> None:
        kinds: list[tuple[type[BaseException], Ending, int]] = [
            (Overloaded, "refused", 429), (GoingDown, "refused", 503), (DeadlineError, "late", 504),
            (asyncio.CancelledError, "cancelled", 499), (QuestionError, "error", 400), (ConfigError, "error", 400),
            (CouncilError, "error", 503), (BaseException, "error", 500),
        ]  # fmt: skip
        _, ending, code = next(kind for kind in kinds if isinstance(exc, kind[0]))
        if self.metrics is not None:
            self.metrics.ended(ending)
        self._record(asking, code, ending, started, None)

    def record(self, request_id: str, route: str, code: int, seconds: float, grant: Grant | None) -> None:
        """Record a request that asked nothing, or was refused before it could."""
        self.audit.record(
            request_id=request_id, route=route, code=code, seconds=seconds,
            key=grant.id if grant is not None and self.keys is not None else None, tenant=grant.tenant if grant is not None else None,
        )  # fmt: skip

    def _record(self, asking: Asking, code: int, status: str, started: float, verdict: Verdict | None) -> None:
        opinions = verdict.opinions if verdict is not None else ()
        self.audit.record(
            request_id=asking.request_id, route=asking.route, code=code, seconds=time.monotonic() - started,
            key=asking.grant.id if self.keys is not None else None, tenant=asking.grant.tenant, model=asking.model, status=status,
            calls=verdict.calls if verdict else 0, tokens=sum(o.prompt_tokens + o.output_tokens for o in opinions),
            passages=[s.id for s in verdict.sources] if verdict else [], question=asking.text, answer=verdict.answer if verdict else None,
        )  # fmt: skip

    # --- documents -----------------------------------------------------------------------------------------------

    async def documents(self, tenant: str) -> list[StoredDocument]:
        """What a tenant has."""
        return await self._run(self.council.documents, tenant)

    async def file_of(self, id: str, tenant: str) -> str:
        """The file that an id stands for. Raises DocumentError if the tenant has none such."""
        file = next((d.file for d in await self.documents(tenant) if document_id(d.file) == id), None)
        if file is None:
            raise DocumentError(f"there is no document {id!r}; GET /v1/documents lists them")
        return file

    async def passages(self, file: str, tenant: str) -> list[Passage]:
        """What a file holds, in order. Raises DocumentError, StoreError."""
        return await self._run(self.council.passages, file, tenant)

    async def index(self, folder: Path, tenant: str, domain: str | None) -> IndexReport:
        """Add the files of a folder, under their names in it. Raises Overloaded, DocumentError, StoreError."""
        async with self._writing.slot(self.settings.deadline_s):
            files = sorted(folder.iterdir())
            return await self._whole(lambda: self.council.index(files, tenant, domain, under=folder))

    async def remove(self, file: str, tenant: str) -> int:
        """Remove a file; returns how many passages it had. Raises Overloaded, DocumentError, StoreError."""
        async with self._writing.slot(self.settings.deadline_s):
            return await self._whole(self.council.remove, [file], tenant)

    async def _whole(self, work: Callable[..., T], *args: Any) -> T:
        """A write, which no thread can be stopped in: if its caller leaves, its place and its files stay its own until it ends."""
        running = asyncio.ensure_future(self._run(work, *args))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait({running})
            raise

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    # --- how it is -----------------------------------------------------------------------------------------------

    async def readiness(self) -> Readiness:
        """Ready: a quorum of members is well, and the service is not going down."""
        if self._ready is None or time.monotonic() - self._ready[0] > READY_S:
            if self._looking is None or self._looking.done():  # however many ask, the hosts are asked once
                self._looking = asyncio.create_task(self._look())
            self._ready = time.monotonic(), await asyncio.shield(self._looking)
        found = self._ready[1]
        return replace(found, ready=found.ready and not self.draining)

    async def _look(self) -> Readiness:
        hosts = self.council.pipeline.hosts
        assert hosts is not None
        engines = list(hosts.engines)
        healths = dict(zip(engines, await asyncio.gather(*(hosts.health(e) for e in engines)), strict=True))
        members = {s.name: (healths[s.engine].ok, healths[s.engine].detail) for s in self.config.specialists}
        return Readiness(sum(ok for ok, _ in members.values()) >= self.config.aggregator.quorum, members)

    def close(self) -> None:
        """Let go of threads and files; the council is its owner's to close."""
        self._threads.shutdown(wait=False)
        self.audit.close()


def document_id(file: str) -> str:
    """A short name for a file of the store, fit for an address."""
    return hashlib.sha256(file.encode("utf-8", "surrogatepass")).hexdigest()[:24]
