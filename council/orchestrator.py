"""Class Council: what holds retrieval, routing and the hosts, and puts each question to an inquiry."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from council.aggregator import Calibration, Similarity
from council.config import CouncilConfig, load_config
from council.errors import ConfigError, CouncilError, QuestionError, StartError
from council.events import Event, told
from council.loop import BackgroundLoop
from council.options import Options, check_names
from council.pipeline import Pipeline, read_calibration
from council.retrieval import FORMAT, ExampleBook, ExportReport, IndexReport, Retriever, StoredDocument, export_corpus, migrate_store
from council.types import Passage, Question, Verdict
from specialists.config import resolve_weights
from specialists.prompt_format import Message
from specialists.protocol import EngineError, Health

if TYPE_CHECKING:
    from specialists.deployment import HostPool
    from specialists.hosts import Hosts


@dataclass(frozen=True)
class Member:
    """A specialist as `council models` shows it."""

    name: str
    domain: str
    engine: str
    kind: str
    weights: str
    health: Health | None


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

    def __init__(self, config: CouncilConfig, hosts: Hosts | None = None) -> None:
        """`hosts`: those that run already and are somebody else's to stop; None: it starts its own."""
        self.config = config
        self._loop = BackgroundLoop(f"council-{config.name}")
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="council")
        self._lock, self._opening = threading.RLock(), threading.Lock()
        self._retriever: Retriever | None = None
        self._pipeline: Pipeline | None = None
        self._hosts: Hosts | None = hosts
        self._pool: HostPool | None = None
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
            prepared = self._threads.submit(self.pipeline.prepare) if not self._closed else None
            self.start_hosts()
            try:
                if prepared is not None:
                    prepared.result()
            except EngineError as exc:
                raise StartError(str(exc)) from exc
            self.pipeline.hosts = self._hosts
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
            self._hosts = self._pool = hosts

    def close(self) -> None:
        """Stop what was started. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with ExitStack() as left:  # each, whatever the others raise; last pushed, first run
                left.callback(self._close_store)
                if self._pipeline is not None:
                    left.callback(self._pipeline.close)
                left.callback(self._threads.shutdown)
                if self._pool is not None:
                    left.callback(self._pool.stop)
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

    @property
    def pipeline(self) -> Pipeline:
        """What questions are answered with, for callers with a loop of their own."""
        if self._pipeline is None:
            retriever = self.retriever
            with self._opening:
                self._pipeline = self._pipeline or Pipeline(self.config, retriever, self._threads)
        return self._pipeline

    # --- documents ---------------------------------------------------------------------------------------------

    def index(
        self, paths: Iterable[str | os.PathLike[str]], tenant: str = "default", domain: str | None = None,
        progress: Callable[[int, int], None] | None = None, prune: bool = False, dry_run: bool = False,
        under: str | os.PathLike[str] | None = None,
    ) -> IndexReport:  # fmt: skip
        """Add documents; `progress` is called with (done, all) passages. What is there unchanged is left alone, and what has
        changed replaces what was there; `prune` removes what is gone from the paths, `dry_run` only tells; with `under`, files
        are known by their paths within that folder."""
        return self.retriever.index([Path(p) for p in paths], tenant, domain, progress, prune, dry_run, under)

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
        return self.pipeline.prompts(_as_question(question))

    def ask(
        self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None, check: bool | None = None,
    ) -> Verdict:  # fmt: skip
        """The council's verdict; with `check` it says what the agreement rests on, at two more calls a member (None: for the share
        of questions that asking.check_context says). Raises QuestionError for a question that can't be asked; a member's
        fault never raises, it is an opinion with an error."""
        self.start()
        return self._loop.run(self.pipeline.answer(_as_question(question), _options(retrieval, specialists, check)))

    async def aask(
        self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None, check: bool | None = None,
    ) -> Verdict:  # fmt: skip
        """`ask` without blocking the caller's event loop; cancelling it cancels what is in flight."""
        await self._started()
        work = self.pipeline.answer(_as_question(question), _options(retrieval, specialists, check))
        return await asyncio.wrap_future(self._loop.submit(work))

    async def astream(
        self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None, check: bool | None = None,
    ) -> AsyncIterator[Event]:  # fmt: skip
        """What happens while it is answered, as it happens: see council.events. The verdict is the last. Closing the iterator
        cancels what is in flight."""
        await self._started()
        asked, options = _as_question(question), _options(retrieval, specialists, check)
        async for event in told(lambda tell: self.pipeline.answer(asked, options, tell)):
            yield event

    async def _started(self) -> None:
        if not self._ready:
            await asyncio.get_running_loop().run_in_executor(None, self.start)

    def ask_many(
        self, questions: Iterable[str | Question], *, retrieval: bool = True, specialists: Sequence[str] | None = None,
        concurrency: int = 8, progress: Callable[[int], None] | None = None, check: bool | None = None,
    ) -> list[Verdict]:  # fmt: skip
        """A verdict for each question, in order, `concurrency` at a time. A question that can't be asked fails alone."""
        if concurrency < 1:
            raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
        self.start()
        return self._loop.run(self._ask_many(list(questions), _options(retrieval, specialists, check), concurrency, progress))

    async def _ask_many(
        self, questions: Sequence[str | Question], options: Options, concurrency: int, progress: Callable[[int], None] | None
    ) -> list[Verdict]:
        free, done = asyncio.Semaphore(concurrency), 0

        async def one(question: str | Question) -> Verdict:
            nonlocal done
            async with free:
                try:
                    verdict = await self.pipeline.answer(_as_question(question), options)
                except CouncilError as exc:
                    verdict = Verdict(status="failed", reason=str(exc))
            done += 1
            if progress is not None:
                progress(done)
            return verdict

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(q)) for q in questions]
        return [task.result() for task in tasks]

    def check_names(self, specialists: Sequence[str] | None) -> None:
        """Raises ConfigError for a name that no member has."""
        check_names(self.config, specialists)

    @property
    def calibration(self) -> Calibration | None:
        """The calibration that the config names, if it was made for this council. Raises CalibrationError if it can't be read."""
        return self._pipeline.calibration if self._pipeline is not None else read_calibration(self.config)  # it wants no store

    def likeness(self, question: str) -> Similarity:
        """What tells whether two answers to this question mean the same: more is more alike."""
        return self.pipeline.likeness(question)

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


def _options(retrieval: bool, specialists: Sequence[str] | None, check: bool | None) -> Options:
    return Options(retrieval=retrieval, specialists=tuple(specialists) if specialists else None, check=check)


def _as_question(question: str | Question) -> Question:
    made = Question(text=question) if isinstance(question, str) else question
    if not made.text.strip():
        raise QuestionError("the question is empty; ask something")
    return made


__all__ = ["Council", "CouncilError", "Member", "default_store"]
