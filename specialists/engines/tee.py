"""What a library and its processes print, passed on as before and remembered: the only place where some tell why they failed."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections import deque
from types import TracebackType
from typing import Final

KEPT_LINES: Final = 400
FAULT: Final = re.compile(r"\b(?:[A-Za-z]*Error|[A-Za-z]+Exception): (.*\S)")


class OutputTee:
    """While entered, standard output and error go through a pipe; processes started meanwhile keep writing to it.

    Every line goes on to standard error as it was when this was entered, for as long as anybody writes.
    """

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._saved: tuple[int, int] = (-1, -1)

    def __enter__(self) -> OutputTee:
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved = os.dup(1), os.dup(2)
        read, write = os.pipe()
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.close(write)
        self._thread = threading.Thread(target=self._pass_on, args=(read, os.dup(self._saved[1])), daemon=True, name="output-tee")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for saved, stream in zip(self._saved, (1, 2), strict=True):
            os.dup2(saved, stream)
            os.close(saved)
        if error is not None:
            self._thread.join(2.0)  # until those who write have gone, or long enough to have read why

    def _pass_on(self, read: int, to: int) -> None:
        with os.fdopen(read, "rb") as lines, os.fdopen(to, "wb", buffering=0) as on:
            for line in lines:
                self._lines.append(line.decode("utf-8", "replace").rstrip())
                try:
                    on.write(line)
                except OSError:
                    continue  # nobody reads it any more; the writers must not be held up

    def fault(self) -> str | None:
        """The first error that was printed, without the name of its kind; None if there was none."""
        told = (FAULT.search(line) for line in list(self._lines))
        return next((found[1] for found in told if found is not None), None)
