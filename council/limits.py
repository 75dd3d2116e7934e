"""How much is let in: requests a minute of each key, and questions at work in one replica."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from council.errors import Overloaded

BURST: Final = 60
"""Requests that a key may make at once after a pause, be its rate ever so high."""
FORGOTTEN_AT_A_TIME: Final = 2
ROUNDING_S: Final = 1e-6

SHARE_OF_NEW: Final = 0.2
"""What the latest piece of work counts for in the average of how long work takes."""
UNTIL_KNOWN_S: Final = 1.0
LONGEST_RETRY_S: Final = 600.0


class RateLimiter:
    """A bucket of tokens for each id: it holds `min(per_minute, 60)`, and gains `per_minute` a minute until it is full.

    So in any t seconds at most `min(per_minute, 60) + per_minute * t / 60` requests of an id are allowed. A bucket is kept as one
    number, the time at which it will be full; buckets that are full again are forgotten, so that memory holds the ids of the
    last minutes. Any thread may call it. `clock` tells seconds; where it goes backwards, time stands still meanwhile.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._latest = float("-inf")
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """By id, the one that took longest ago first."""

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._full_at)

    def take(self, id: str, per_minute: int | None, now: float | None = None) -> float:
        """0.0: allowed, and counted. Else the seconds until one will be; nothing is counted. None a minute: no limit.

        Raises ValueError for a rate below 1. It takes the same time however many ids there are.
        """
        if per_minute is None:
            return 0.0
        if per_minute < 1:
            raise ValueError(f"per_minute: {per_minute} is below 1")
        token_s = 60.0 / per_minute
        with self._lock:
            now = self._latest = max(self._latest, self._clock() if now is None else now)
            full_at = max(now, self._full_at.get(id, now)) + token_s
            wait_s = full_at - now - min(per_minute, BURST) * token_s
            if wait_s <= ROUNDING_S:  # who waited for as long as was said is not turned away for the last bit
                self._full_at[id] = full_at
                self._full_at.move_to_end(id)
                wait_s = 0.0
            self._forget(now)
            return wait_s

    def _forget(self, now: float) -> None:
        """Two of those that took longest ago: more than a call adds. None that isn't full stands first for over a minute."""
        for _ in range(FORGOTTEN_AT_A_TIME):
            if not self._full_at or next(iter(self._full_at.values())) > now:
                return
            self._full_at.popitem(last=False)


class Admission:
    """Room for `concurrent` pieces of work at once, while at most `queue` more wait, first come, first served.

    It belongs to one event loop, in whose thread everything is called.
    """

    def __init__(self, concurrent: int, queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ValueError unless `concurrent` is at least 1 and `queue` at least 0."""
        if concurrent < 1 or queue < 0:
            raise ValueError(f"concurrent: {concurrent} is below 1, or queue: {queue} below 0")
        self.concurrent, self.queue = concurrent, queue
        self._clock = clock
        self._working = 0
        self._turns: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._usual_s: float | None = None

    @property
    def working(self) -> int:
        """How many are at work."""
        return self._working

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._turns)

    @property
    def retry_after_s(self) -> float:
        """When one who came now would begin to work, by how long the work before took; unrounded, at most 600."""
        usual_s = UNTIL_KNOWN_S if self._usual_s is None else self._usual_s
        return min(LONGEST_RETRY_S, usual_s * (self.waiting + 1) / self.concurrent)

    def check(self) -> None:
        """Raises Overloaded where `slot` would at once."""
        if self._working >= self.concurrent and self.waiting >= self.queue:
            raise self._overloaded(f"{self._working} at work, {self.waiting} waiting")

    @asynccontextmanager
    async def slot(self, deadline_s: float | None = None) -> AsyncIterator[float]:
        """A place to work in until the context ends; its value is how many seconds were waited for it.

        Raises Overloaded, at once where `queue` wait already, and after `deadline_s` seconds without a place.
        """
        came = self._clock()
        await self._enter(deadline_s)
        began = self._clock()
        try:
            yield max(0.0, began - came)
        finally:
            self._learn(max(0.0, self._clock() - began))
            self._leave()

    async def _enter(self, deadline_s: float | None) -> None:
        if self._working < self.concurrent:  # then nobody waits: a place that is left goes to whoever waits
            self._working += 1
            return
        if self.waiting >= self.queue:
            raise self._overloaded(f"{self._working} at work, {self.waiting} waiting")
        turn = asyncio.get_running_loop().create_future()
        self._turns[turn] = None
        try:
            await asyncio.wait((turn,), timeout=deadline_s)
        except BaseException:  # cancelled: its place in the queue is free, and so is a place to work that it just got
            if turn.done():
                self._leave()
            else:
                del self._turns[turn]
            raise
        if not turn.done():
            del self._turns[turn]
            raise self._overloaded(f"no place was free within {deadline_s:g} s")

    def _leave(self) -> None:
        """Hand a place to who has waited longest, else leave it free. `working` counts it as taken from this moment."""
        if self._turns:
            turn, _ = self._turns.popitem(last=False)
            turn.set_result(None)
        else:
            self._working -= 1

    def _learn(self, took_s: float) -> None:
        self._usual_s = took_s if self._usual_s is None else self._usual_s + SHARE_OF_NEW * (took_s - self._usual_s)

    def _overloaded(self, why: str) -> Overloaded:
        error = Overloaded("", self.retry_after_s)
        return Overloaded(f"the council is busy: {why}; ask again in {error.retry_after_s} s", error.retry_after_s)
