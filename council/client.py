"""Class CouncilClient: a council elsewhere, with the methods of class Council, over HTTP."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from council.errors import ConfigError, CouncilError, DocumentError, RemoteError
from council.events import NAMES, Event, Tell, told
from council.loop import BackgroundLoop
from council.remote import Call, Connection
from council.types import Origin, Passage, Question, Verdict

if TYPE_CHECKING:
    from council.orchestrator import Member
    from council.retrieval import IndexReport

Read = TypeVar("Read", bound=BaseModel)
FILES_AT_ONCE: Final = 25
"""In one upload, so that it ends in time and progress can be told."""
AROUND_A_FILE: Final = 1024
"""Bytes that an upload has beside each file's own."""
KINDS: Final[Mapping[str, type[Event]]] = {name: kind for kind, name in NAMES.items()}


class RemoteDocument(BaseModel):
    """A file that the service has. `held`: why passages of it are held back."""

    id: str
    file: str
    titles: tuple[str, ...]
    passages: int
    held: tuple[str, ...]
    origin: Origin
    domain: str | None
    source: str


class RemoteModel(BaseModel):
    """What may be asked over the OpenAI-compatible API, by its name there."""

    id: str
    kind: Literal["council", "policy", "specialist"]
    domain: str | None = None
    description: str = ""


class _Specialist(BaseModel):
    name: str
    domain: str
    engine: str
    model: str


class _Limits(BaseModel):
    upload_bytes: int


class _Info(BaseModel):
    """What the client needs to know of the service."""

    specialists: tuple[_Specialist, ...]
    limits: _Limits


class CouncilClient:
    """A council elsewhere, for use as a context manager, in sync and async code.

    Whose documents it reads and writes is up to the key. Errors are those of Council, and RemoteError where nobody is there, the
    key is refused, or what answers is no council. Requests are repeated, `retries` times and with growing pauses, or when
    Retry-After says, where the connection fails or the service is busy (429, 502, 503), unless `timeout_s` would be over.
    Asking, reading and adding files can be repeated: a question changes nothing, and a file replaces the one of its name. A
    removal is repeated only if it was not begun, for it would not find the second time what it removed the first. The methods
    may be called from any thread, and inside a running event loop.
    """

    def __init__(self, url: str, key: str | None = None, timeout_s: float = 120.0, retries: int = 3) -> None:
        """`url`: such as http://localhost:8000; `timeout_s`: the most seconds for a question, which the service is told, or for
        another request. Raises ConfigError; nothing is sent yet."""
        self._connection = Connection(url, key, timeout_s, retries)
        self.url = self._connection.url
        self._info: _Info | None = None
        self._loop = BackgroundLoop("council-client")
        self._closed = False

    def __repr__(self) -> str:
        return f"CouncilClient({self.url!r})"

    # --- life --------------------------------------------------------------------------------------------------

    def __enter__(self) -> CouncilClient:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> CouncilClient:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self.close)

    def start(self) -> None:
        """Find out that a council is there and takes the key. Raises RemoteError."""
        self._loop.run(self._known())

    def close(self) -> None:
        """Let go of the connection; what is in flight is cancelled. A second call does nothing."""
        if not self._closed:
            self._closed = True
            self._loop.run(self._end())
            self._loop.stop()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._connection.close()

    async def _known(self) -> _Info:
        if self._info is None:
            self._info = self._read(_Info, await self._connection.fetch(Call("GET", "/v1/info")))
        return self._info

    def _read(self, kind: type[Read], told: Any) -> Read:
        try:
            return kind.model_validate(told)
        except ValidationError as exc:
            raise self._connection.strange() from exc

    def _list(self, kind: type[Read], told: Any) -> list[Read]:
        if not isinstance(told, dict) or not isinstance(told.get("data"), list):
            raise self._connection.strange()
        return [self._read(kind, item) for item in told["data"]]

    # --- questions -----------------------------------------------------------------------------------------------

    def ask(
        self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None, check: bool | None = None,
    ) -> Verdict:  # fmt: skip
        """See Council.ask. Raises QuestionError, ConfigError, Overloaded, DeadlineError, RemoteError."""
        return self._loop.run(self._ask(_body(question, retrieval, specialists, check)))

    async def aask(
        self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None, check: bool | None = None,
    ) -> Verdict:  # fmt: skip
        """`ask` without blocking the caller's event loop; cancelling it cancels the question where it is answered."""
        return await asyncio.wrap_future(self._loop.submit(self._ask(_body(question, retrieval, specialists, check))))

    async def astream(
        self, question: str | Question, *, retrieval: bool = True, specialists: Sequence[str] | None = None, check: bool | None = None,
    ) -> AsyncIterator[Event]:  # fmt: skip
        """What happens while it is answered, as it happens: see council.events. The verdict is the last. Closing the iterator
        cancels the question. A stream that breaks off is not begun again: that raises RemoteError."""
        body, here = _body(question, retrieval, specialists, check) | {"stream": True}, asyncio.get_running_loop()

        def work(tell: Tell) -> asyncio.Future[None]:
            def tell_here(event: Event) -> None:
                here.call_soon_threadsafe(tell, event)

            return asyncio.wrap_future(self._loop.submit(self._stream(body, tell_here)))

        async for event in told(work):
            yield event

    def ask_many(
        self, questions: Iterable[str | Question], *, retrieval: bool = True, specialists: Sequence[str] | None = None,
        concurrency: int = 8, progress: Callable[[int], None] | None = None, check: bool | None = None,
    ) -> list[Verdict]:  # fmt: skip
        """A verdict for each question, in order, `concurrency` at a time. A question that can't be asked, or that no answer comes
        to, fails alone. Raises RemoteError before any is asked if nobody is there."""
        if concurrency < 1:
            raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
        self.check_names(specialists)
        self.start()
        return self._loop.run(self._ask_many(list(questions), retrieval, specialists, concurrency, progress, check))

    async def _ask_many(
        self, questions: Sequence[str | Question], retrieval: bool, specialists: Sequence[str] | None, concurrency: int,
        progress: Callable[[int], None] | None, check: bool | None,
    ) -> list[Verdict]:  # fmt: skip
        free, done = asyncio.Semaphore(concurrency), 0

        async def one(question: str | Question) -> Verdict:
            nonlocal done
            async with free:
                try:
                    verdict = await self._ask(_body(question, retrieval, specialists, check))
                except CouncilError as exc:
                    verdict = Verdict(status="failed", reason=str(exc))
            done += 1
            if progress is not None:
                progress(done)
            return verdict

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(q)) for q in questions]
        return [task.result() for task in tasks]

    async def _ask(self, body: Mapping[str, Any]) -> Verdict:
        return self._read(Verdict, await self._connection.fetch(Call("POST", "/v1/council", body, timed=True)))

    async def _stream(self, body: Mapping[str, Any], tell: Tell) -> None:
        """Tells events until the verdict. Raises what the service tells of instead."""
        call, ended = Call("POST", "/v1/council", body, timed=True), False

        def heard(name: str, data: str) -> None:
            nonlocal ended
            if name == "error":
                raise self._connection.told_of(data, call)
            if name in KINDS:  # a later version may tell more
                ended = ended or name == NAMES[Verdict]
                try:
                    tell(KINDS[name].model_validate_json(data))
                except ValidationError as exc:
                    raise self._connection.strange() from exc

        await self._connection.listen(call, heard)
        if not ended:
            raise RemoteError(f"the connection to {self.url} ended before the verdict; ask again")

    def check_names(self, specialists: Sequence[str] | None) -> None:
        """Raises ConfigError for a name that no member has."""
        if specialists:
            known = [s.name for s in self._loop.run(self._known()).specialists]
            for name in specialists:
                if name not in known:
                    raise ConfigError(f"no specialist {name!r}; there are: {', '.join(known)}")

    # --- documents ---------------------------------------------------------------------------------------------

    def index(
        self, paths: Iterable[str | os.PathLike[str]], domain: str | None = None, progress: Callable[[int, int], None] | None = None,
    ) -> IndexReport:  # fmt: skip
        """Add files, folders and globs, as Council.index finds them; `progress` is called with (done, all) files. The service knows
        a file by its name alone: another one of that name replaces it. Raises DocumentError, and adds nothing, if two of these
        have the same."""
        from council.retrieval.documents import files_at

        named: dict[str, Path] = {}
        skipped: list[tuple[str, str]] = []
        for file in (file for path in paths for file in files_at(Path(path), skipped)):
            other = named.setdefault(unicodedata.normalize("NFC", file.name), file)
            if os.path.abspath(other) != os.path.abspath(file):
                raise DocumentError(f"{other} and {file} have the same name, by which the service knows them: rename one")
        return self._loop.run(self._index(named, skipped, domain, progress))

    async def _index(
        self, files: Mapping[str, Path], skipped: list[tuple[str, str]], domain: str | None, progress: Callable[[int, int], None] | None,
    ) -> IndexReport:  # fmt: skip
        most, done = (await self._known()).limits.upload_bytes, 0
        reports = []
        for batch in _batches(files, most, skipped):
            reports.append(await self._upload(batch, domain))
            done += len(batch)
            if progress is not None:
                progress(done, len(files))
        return _summed(reports, skipped)

    async def _upload(self, files: Mapping[str, bytes], domain: str | None) -> IndexReport:
        """Add files. Where the service finds none that it can read, each by itself, so that it tells of each why."""
        from council.retrieval import IndexReport

        form = {"domain": domain} if domain else {}
        try:
            report = await self._connection.fetch(Call("POST", "/v1/documents", form=form, files=files))
        except DocumentError as exc:
            if len(files) > 1:
                return _summed([await self._upload({name: content}, domain) for name, content in files.items()], [])
            name = next(iter(files))
            return IndexReport(documents=0, chunks=0, new=0, skipped=((name, str(exc).removeprefix(f"{name}: ")),))
        return self._read(IndexReport, {k: v for k, v in report.items() if k != "object"} if isinstance(report, dict) else report)

    def documents(self) -> list[RemoteDocument]:
        """The files that the service has for this key's tenant."""
        return self._loop.run(self._documents())

    async def _documents(self) -> list[RemoteDocument]:
        return self._list(RemoteDocument, await self._connection.fetch(Call("GET", "/v1/documents")))

    def passages(self, file: str | os.PathLike[str]) -> list[Passage]:
        """What it has of a file, by its name or a path that ends in it, in order. Raises DocumentError for one that it doesn't have."""
        return self._loop.run(self._passages(file))

    async def _passages(self, file: str | os.PathLike[str]) -> list[Passage]:
        (id,) = await self._ids([file])
        shown = await self._connection.fetch(Call("GET", f"/v1/documents/{id}"))
        return self._list(Passage, {"data": shown.get("passages")} if isinstance(shown, dict) else None)

    def remove(self, files: Iterable[str | os.PathLike[str]]) -> int:
        """Remove files; returns how many passages these were. Raises DocumentError, and removes nothing, if one is not there."""
        return self._loop.run(self._remove(list(files)))

    async def _remove(self, files: Sequence[str | os.PathLike[str]]) -> int:
        gone = 0
        for id in await self._ids(files):
            told = await self._connection.fetch(Call("DELETE", f"/v1/documents/{id}", again=False))
            if not isinstance(told, dict) or not isinstance(told.get("passages"), int):
                raise self._connection.strange()
            gone += told["passages"]
        return gone

    async def _ids(self, files: Sequence[str | os.PathLike[str]]) -> list[str]:
        """The service's names for these files, each once."""
        known = {document.file: document.id for document in await self._documents()}
        found: dict[str, None] = {}
        for given in files:
            file = os.fspath(given)
            id = known.get(file) or known.get(unicodedata.normalize("NFC", Path(file).name))
            if id is None:
                raise DocumentError(f"the council at {self.url} has no document {file!r}: see which it has")
            found[id] = None
        return list(found)

    # --- members -------------------------------------------------------------------------------------------------

    def members(self, health: bool = True) -> list[Member]:
        """The specialists, and how they are. Of an engine the service tells the kind alone, which stands for its name, too."""
        return self._loop.run(self._members(health))

    async def _members(self, health: bool) -> list[Member]:
        from council.orchestrator import Member
        from specialists.protocol import Health

        listed = [Member(s.name, s.domain, s.engine, s.engine, s.model, None) for s in (await self._known()).specialists]
        if not health:
            return listed
        told = await self._connection.fetch(Call("GET", "/ready", also=(503,)))
        try:
            states = {name: Health(bool(state["ok"]), str(state["detail"])) for name, state in told["members"].items()}
        except (KeyError, TypeError, AttributeError) as exc:
            raise self._connection.strange() from exc
        return [Member(m.name, m.domain, m.engine, m.kind, m.weights, states.get(m.name)) for m in listed]

    def models(self) -> list[RemoteModel]:
        """What this key may ask."""
        told = self._loop.run(self._connection.fetch(Call("GET", "/v1/models")))
        if isinstance(told, dict) and isinstance(told.get("data"), list):
            told = {"data": [{**m.get("council", {}), "id": m.get("id")} if isinstance(m, dict) else m for m in told["data"]]}
        return self._list(RemoteModel, told)


def _body(question: str | Question, retrieval: bool, specialists: Sequence[str] | None, check: bool | None) -> dict[str, Any]:
    """The request's. Raises ConfigError for a tenant, which is up to the key."""
    asked = Question(text=question) if isinstance(question, str) else question
    if asked.tenant != "default":
        raise ConfigError(f"the key says whose documents are read: ask for no tenant, such as {asked.tenant!r}")
    body: dict[str, Any] = {"question": asked.text, "retrieval": retrieval, "domain": asked.domain, "queries": list(asked.queries)}
    return body | {"specialists": list(specialists) if specialists else None, "check": check}


def _batches(files: Mapping[str, Path], most: int, skipped: list[tuple[str, str]]) -> Iterator[dict[str, bytes]]:
    """Files with their content, as many together as one upload may hold. What can't be sent is named in `skipped`."""
    batch: dict[str, bytes] = {}
    size = 0
    for name, path in files.items():
        try:
            if not path.is_file():
                raise OSError("it is not a regular file" if path.exists() else "there is no such file")
            with path.open("rb") as file:
                content = file.read(most + 1)
        except OSError as exc:
            skipped.append((str(path), exc.strerror or str(exc)))
            continue
        room = len(content) + AROUND_A_FILE
        if room > most:
            skipped.append((str(path), f"it is larger than the {most} bytes that the service takes"))
            continue
        if batch and (size + room > most or len(batch) == FILES_AT_ONCE):
            yield batch
            batch, size = {}, 0
        batch[name], size = content, size + room
    if batch:
        yield batch


def _summed(reports: Sequence[IndexReport], skipped: Sequence[tuple[str, str]]) -> IndexReport:
    """One report of several, and of what was left out before."""
    from council.retrieval import IndexReport

    sums: dict[str, Any] = {name: 0 for name, about in IndexReport.model_fields.items() if about.annotation is int}
    lists: dict[str, tuple[Any, ...]] = {name: () for name in IndexReport.model_fields if name not in sums}
    for report in reports:
        sums = {name: before + getattr(report, name) for name, before in sums.items()}
        lists = {name: (*before, *getattr(report, name)) for name, before in lists.items()}
    return IndexReport(**sums, **lists | {"skipped": (*skipped, *lists["skipped"])})
