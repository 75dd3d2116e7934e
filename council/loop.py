"""An event loop in a thread of its own, so that blocking callers, inside a running loop or not, share one council."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from council.errors import CouncilError

T = TypeVar("T")


class BackgroundLoop:
    """Runs coroutines for any thread, from construction until `stop`."""

    def __init__(self, name: str) -> None:
        self._lock, self._stopped = threading.Lock(), False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work`; cancelling the future cancels it. Raises CouncilError once stopped."""
        with self._lock:
            if self._stopped:
                work.close()
                raise CouncilError("this council is closed; make a new one")
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; interrupted, it is cancelled. Raises CouncilError if the loop stops meanwhile."""
        future = self.submit(work)
        try:
            return future.result()
        except CancelledError as exc:
            raise CouncilError("the council was closed before it had an answer") from exc
        finally:
            future.cancel()

    def stop(self) -> None:
        """Cancel what still runs and end the thread."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        self._loop.close()

    async def _cancel_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
