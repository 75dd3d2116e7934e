"""Who may ask: keys, what each allows, and the file that holds them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from council.errors import KeysError
from council.types import Frozen

DocumentRights = Literal["none", "read", "write"]
Word: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200)]

CHECKED_EVERY_S: Final = 1.0
LOCKED_FOR_S: Final = 10.0
"""How long a change waits for those of other processes."""
WHOLE: Final = "council"
"""A right to the model of this name is one to those whose names begin with it and a slash."""

_KEY: Final = re.compile(r"cs-([0-9a-f]{8})-([A-Za-z0-9_-]{43})", re.ASCII)
_NO_DIGEST: Final = "0" * 64
_Signature: TypeAlias = tuple[int, ...]


class Grant(Frozen):
    """What one key allows. Of the key's secret it holds the digest alone."""

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    """Stands in the key, in logs and in `council keys list`: it is no secret."""
    name: Word
    tenant: Word = "default"
    """Whose documents it reads and writes."""
    models: tuple[Word, ...] = ()
    """The models that may be asked, as /v1/models names them; none: all. `council` is also every `council/...`."""
    documents: DocumentRights = "write"
    per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    """Requests; None: as many as there are."""
    created: str
    """ISO 8601 with an offset from UTC; so is `expires`."""
    expires: str | None = None
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    """SHA-256 of the secret, in hexadecimal. The secret is 256 random bits, which nobody can go through: what slows guessing
    of passwords down (salt, many rounds) would only slow down every request."""

    @field_validator("name", "tenant", "models")
    @classmethod
    def _is_readable(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for text in (value,) if isinstance(value, str) else value:
            if not text.isprintable() or text != text.strip():
                raise ValueError("is not blank, and has no control characters and no blanks around it")
        return value

    @field_validator("created", "expires")
    @classmethod
    def _is_time(cls, value: str | None) -> str | None:
        what = "is a date and time with an offset, such as 2030-01-31T00:00:00+00:00"
        if value is not None:
            try:
                read = datetime.fromisoformat(value)
                read.astimezone(UTC)
            except (ValueError, OverflowError) as exc:
                raise ValueError(what) from exc
            if read.tzinfo is None:
                raise ValueError(what)
        return value

    def allows(self, model: str) -> bool:
        """Whether this model may be asked."""
        return not self.models or model in self.models or (WHOLE in self.models and model.startswith(f"{WHOLE}/"))

    def expired(self, at: datetime) -> bool:
        """Whether it is void at this time, which has a time zone."""
        return self.expires is not None and datetime.fromisoformat(self.expires) <= at


class _File(Frozen):
    """What the keys' file holds."""

    format: Literal[1] = 1
    keys: tuple[Grant, ...] = ()

    @model_validator(mode="after")
    def _are_distinct(self) -> _File:
        # An id that is another's name would make it unclear which one to revoke.
        words = Counter(word for grant in self.keys for word in {grant.id, grant.name})
        if twice := next((word for word, times in words.items() if times > 1), None):
            raise ValueError(f"{twice!r} is the name or id of more than one key")
        return self


class KeyRing:
    """The keys in a file, which several processes may read and change at once.

    `clock` tells seconds that only grow, `now` the time of day; both are for tests. Any thread may call any method.
    """

    def __init__(
        self, path: Path | str, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.path = Path(os.path.expanduser(path))
        self._clock, self._now, self._lock = clock, now, threading.Lock()
        self._grants: dict[str, Grant] = {}
        self._signature: _Signature | None = None
        self._looked: float | None = None
        self._fault: str | None = None

    def find(self, key: str) -> Grant | None:
        """What `key` allows; None for one that is none, was revoked or has expired. Raises for no text.

        The file is read again when it has changed, within a second. While it is missing or broken every key is refused: the
        last good state might hold one that was revoked since.
        """
        parts = _KEY.fullmatch(key)
        if parts is None:
            return None  # what has not even the shape of a key tells nothing by how long it takes
        grant = self._current().get(parts[1])
        same = hmac.compare_digest(_digest(parts[2]), grant.digest if grant else _NO_DIGEST)
        return grant if grant is not None and same and not grant.expired(self._now()) else None

    def check(self) -> int:
        """How many keys work. Raises KeysError, which says what to do, where `find` would refuse every key."""
        at = self._now()
        if not (working := sum(not grant.expired(at) for grant in self.all())):
            raise KeysError(f"no key in {self.path} works: make one with `council keys add NAME --keys {self.path}`")
        return working

    def all(self) -> list[Grant]:
        """Every key's grant, those that have expired included, oldest first; none where there is no file. Raises KeysError."""
        return list(self._stored()[0].keys)

    def add(
        self,
        name: str,
        tenant: str = "default",
        models: Sequence[str] = (),
        documents: DocumentRights = "write",
        per_minute: int | None = None,
        expires_in: timedelta | None = None,
    ) -> tuple[str, Grant]:
        """A new key, which nobody can be told again, and what it allows. Raises KeysError."""
        secret, now = secrets.token_urlsafe(32), self._now().astimezone(UTC)
        with self._changing() as (held, write):
            taken = {word for grant in held.keys for word in (grant.id, grant.name)}
            if name in taken:
                raise KeysError(f"there is a key of the name or id {name!r} already: choose another name, or revoke that one")
            while (new := secrets.token_hex(4)) in taken or new == name:
                pass
            try:
                grant = Grant(
                    id=new, name=name, tenant=tenant, models=tuple(models), documents=documents, per_minute=per_minute,
                    created=now.isoformat(timespec="seconds"), digest=_digest(secret),
                    expires=None if expires_in is None else (now + expires_in).isoformat(timespec="seconds"),
                )  # fmt: skip
            except ValidationError as exc:
                raise KeysError(f"no such key can be made: {_first_fault(exc)}") from exc
            except OverflowError as exc:
                raise KeysError("no such key can be made: it would expire beyond the year 9999") from exc
            write(_File(keys=(*held.keys, grant)))
        return f"cs-{new}-{secret}", grant

    def revoke(self, name_or_id: str) -> Grant:
        """Remove a key by its id, its name, or itself; it works nowhere a second later. Raises KeysError."""
        itself = _KEY.fullmatch(name_or_id)
        word = itself[1] if itself else name_or_id  # whoever has found a key somewhere has it at hand, and no message repeats it
        with self._changing() as (held, write):
            found = next((grant for grant in held.keys if word in (grant.id, grant.name)), None)
            if found is None:
                raise KeysError(f"no key of {self.path} has the name or id {word!r}: `council keys list` shows them")
            write(_File(keys=tuple(grant for grant in held.keys if grant is not found)))
        return found

    def _current(self) -> dict[str, Grant]:
        """The grants by id, at most a second old."""
        with self._lock:
            at = self._clock()
            if self._looked is None or not 0 <= at - self._looked < CHECKED_EVERY_S:
                self._refresh()
                self._looked = at
            return self._grants

    def _refresh(self) -> None:
        with suppress(OSError, ValueError):
            if self._signature is not None and self._signature == _signature(os.stat(self.path)):
                return
        try:
            held, self._signature = self._stored()
            if self._signature is None:
                raise KeysError(f"there is no {self.path}")
        except KeysError as exc:
            self._grants, self._signature = {}, None
            if str(exc) != self._fault:
                logging.getLogger(__name__).error("every key is refused: %s", exc)
            self._fault = str(exc)
            return
        self._grants = {grant.id: grant for grant in held.keys}
        if self._fault is not None:
            logging.getLogger(__name__).warning("keys are accepted again: %s", self.path)
        self._fault = None

    def _stored(self) -> tuple[_File, _Signature | None]:
        """What the file holds and the file's signature, which is None where there is none. Raises KeysError."""
        try:
            # A pipe without a writer would be waited for.
            with open(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode):
                    raise KeysError(f"{self.path} is no file: name one for the keys")
                return _File.model_validate_json(file.read()), _signature(about)
        except FileNotFoundError:
            return _File(), None
        except OSError as exc:
            raise KeysError(f"the keys in {self.path} can't be read: {exc.strerror or exc}") from exc
        except ValidationError as exc:
            raise KeysError(f"the keys in {self.path} can't be read: {_first_fault(exc)}; restore the file, or remove it") from exc
        except ValueError as exc:  # a path with a NUL
            raise KeysError(f"the keys in {str(self.path)!r} can't be read: {exc}") from exc

    @contextmanager
    def _changing(self) -> Iterator[tuple[_File, Callable[[_File], None]]]:
        """What the file holds, and what writes it anew; meanwhile no other process or thread changes it. Raises KeysError."""
        try:
            path = self.path.resolve()  # a link stays one
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(path.parent / f".{path.name}.lock"):
                yield self._stored()[0], lambda changed: _replace(path, changed)
        except (OSError, ValueError) as exc:
            why = exc.strerror or exc if isinstance(exc, OSError) else exc
            raise KeysError(f"the keys in {str(self.path)!r} can't be changed: {why}; they are as they were") from exc
        finally:
            with self._lock:
                self._looked = None


def default_keys() -> Path:
    """Where keys are kept unless something else is said: $COUNCIL_KEYS, else council/keys.json among the user's configs."""
    if named := os.environ.get("COUNCIL_KEYS"):
        return Path(named)
    configs = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        return (Path(configs) if os.path.isabs(configs) else Path.home() / ".config") / "council" / "keys.json"
    except RuntimeError as exc:
        raise KeysError("there is no home folder to keep keys in: name a file with --keys or in COUNCIL_KEYS") from exc


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _signature(about: os.stat_result) -> _Signature:
    """What differs after a change; the last one even where a copy has brought its date along."""
    return about.st_mtime_ns, about.st_size, about.st_ino, about.st_dev, about.st_ctime_ns


def _first_fault(exc: ValidationError) -> str:
    """What is wrong, without the values, which may be digests."""
    fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Between processes and threads. The lock's file goes with the lock: one left by the superuser would shut others out."""
    until = time.monotonic() + LOCKED_FOR_S
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if _holds(lock, path):
                try:
                    yield
                finally:
                    with suppress(FileNotFoundError):
                        path.unlink()
                return
        finally:
            os.close(lock)
        if time.monotonic() > until:
            raise OSError(errno.EAGAIN, f"another process has held {path} for {LOCKED_FOR_S:.0f} s")
        time.sleep(0.01)


def _holds(lock: int, path: Path) -> bool:
    """Whether the lock is ours now, and is still that of `path`: its holder before us removed the file."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        return False


def _replace(path: Path, held: _File) -> None:
    """Write the file anew, whole or not at all; whoever owns it, and the group that may read it, stay. Raises OSError."""
    part = path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
    content: dict[str, Any] = held.model_dump(mode="json")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            with suppress(FileNotFoundError):
                old, new = os.stat(path), os.fstat(file.fileno())
                if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                os.fchmod(file.fileno(), 0o600 | old.st_mode & 0o040)
            file.write((json.dumps(content, indent=1) + "\n").encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    with suppress(OSError):  # some file systems can't, and the keys are replaced already
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
