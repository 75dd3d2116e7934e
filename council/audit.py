"""Who asked what, when, and what came of it: one line of JSON for each request."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from council.errors import ConfigError


class AuditLog:
    """Appends to a file, which several processes on one machine may share and which may be moved away while they write.

    A line goes to the file in one write at its end, so that lines of several processes never mix (on a network's file system they
    may). No request fails for what can't be recorded: it is counted in `lost`, and logged once. Any thread may call it.
    """

    def __init__(self, path: Path | str | None, text: bool = False, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Without `path` nothing is recorded; questions and answers are only where `text` is true. `now` is for tests."""
        self.path = None if path is None else Path(os.path.expanduser(path))
        self.text, self.lost = text, 0
        self._now, self._lock = now, threading.Lock()
        self._file: int | None = None
        self._torn = self._failing = False

    def check(self) -> None:
        """Raises ConfigError if the file can't be opened; it is made where there is none. Without one nothing is wrong."""
        if self.path is None:
            return
        try:
            with self._lock:
                self._opened()
        except (OSError, ValueError) as exc:
            why = exc.strerror or exc if isinstance(exc, OSError) else exc
            raise ConfigError(f"service.audit: {str(self.path)!r} can't be written: {why}") from exc

    def record(
        self,
        *,
        request_id: str,
        route: str,
        code: int,
        seconds: float,
        key: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        status: str | None = None,
        calls: int = 0,
        tokens: int = 0,
        passages: Sequence[str] = (),
        question: str | None = None,
        answer: str | None = None,
    ) -> None:
        """Append a line. `key` is a key's id, `status` a verdict's or an error's code, `code` that of HTTP; `passages` are ids."""
        if self.path is None:
            return
        line = {
            "time": self._now().astimezone(UTC).isoformat(timespec="milliseconds"),
            "request_id": request_id,
            "key": key,
            "tenant": tenant,
            "route": route,
            "model": model,
            "status": status,
            "code": code,
            "seconds": round(seconds, 6) if math.isfinite(seconds) else None,
            "calls": calls,
            "tokens": tokens,
            "passages": list(passages),
        }
        if self.text:
            line |= {"question": question, "answer": answer}
        # As ASCII it has no line breaks that only some readers take for such (U+2028), and half a surrogate pair is written, too.
        written = json.dumps(line, ensure_ascii=True).encode("ascii") + b"\n"
        with self._lock:
            try:
                self._append(written)
            except (OSError, ValueError) as exc:
                self.lost += 1
                if not self._failing:
                    message = "requests are not recorded in %s: %s; it is tried again at each, and what is lost is counted"
                    logging.getLogger(__name__).error(message, self.path, exc)
                self._failing = True
            else:
                if self._failing:
                    logging.getLogger(__name__).warning("requests are recorded again in %s; %d were not", self.path, self.lost)
                self._failing = False

    def close(self) -> None:
        """Close the file; a later record opens it again."""
        with self._lock:
            self._close()

    def _append(self, line: bytes) -> None:
        file = self._opened()
        written = os.write(file, b"\n" + line if self._torn else line)
        whole = len(line) + self._torn
        # What a full disk cut off is ended before the next line begins.
        self._torn = 0 < written < whole or (self._torn and not written)
        if written < whole:
            raise OSError(f"{written} of {whole} bytes were written")

    def _opened(self) -> int:
        """The file at `path`, opened again where another one stands there, or none does."""
        if self.path is None:
            raise ValueError("there is no file to record to")
        if self._file is not None:
            try:
                if os.path.samestat(os.fstat(self._file), os.stat(self.path)):
                    return self._file
            except FileNotFoundError:
                pass
            self._close()
        # A pipe that nobody reads would be waited for, and requests with it.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._file = os.open(self.path, flags, 0o600)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file, self._torn = None, False
