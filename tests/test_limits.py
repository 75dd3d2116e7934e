"""Rates and places: what is never exceeded, whoever comes when and goes away how."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council.errors import Overloaded
from council.limits import BURST, Admission, RateLimiter

RATES = st.sampled_from([1, 2, 7, 59, 60, 61, 600, 100_000])


@given(rate=RATES, gaps=st.lists(st.floats(0, 20) | st.just(0.0), max_size=150), start=st.floats(-1e6, 1e9))
def test_no_window_holds_more_than_its_share(rate: int, gaps: list[float], start: float) -> None:
    limiter, now, allowed = RateLimiter(), start, list[float]()
    for gap in gaps:
        now += gap
        if limiter.take("ann", rate, now) == 0.0:
            allowed.append(now)
    for first, begin in enumerate(allowed):
        for last, end in enumerate(allowed[first:], first):
            assert last - first + 1 <= min(rate, BURST) + rate / 60 * (end - begin) + 1e-3


@given(rate=RATES, gaps=st.lists(st.floats(0, 5), min_size=1, max_size=80), start=st.floats(0, 1e7))
def test_who_waits_for_as_long_as_is_said_is_let_in(rate: int, gaps: list[float], start: float) -> None:
    limiter, now = RateLimiter(), start
    for gap in gaps:
        now += gap
        wait_s = limiter.take("ann", rate, now)
        assert 0.0 <= wait_s <= 60.0 / rate + 1e-6
        if wait_s:
            if wait_s > 1e-3:
                assert limiter.take("ann", rate, now + wait_s / 2) > 0.0  # and nobody is asked to wait for longer than needed
            now += wait_s
            assert limiter.take("ann", rate, now) == 0.0


@given(rate=RATES, times=st.lists(st.floats(0, 1000), max_size=150))
def test_a_clock_that_goes_backwards_gives_nothing_away(rate: int, times: list[float]) -> None:
    limiter = RateLimiter()
    allowed = sum(limiter.take("ann", rate, now) == 0.0 for now in times)
    assert allowed <= min(rate, BURST) + rate / 60 * (max(times, default=0.0) - min(times, default=0.0)) + 1e-3
    for _ in range(BURST):  # nor does it shut anybody out for longer than a token takes
        assert limiter.take("ann", rate, 0.0) <= 60.0 / rate + 1e-6


def test_ids_have_buckets_of_their_own() -> None:
    limiter = RateLimiter()
    assert limiter.take("ann", 1, 0.0) == 0.0 and limiter.take("bo", 1, 0.0) == 0.0
    assert limiter.take("ann", 1, 15.0) == pytest.approx(45.0)
    assert not any(limiter.take("cy", None, 0.0) for _ in range(1000)) and len(limiter) == 2
    with pytest.raises(ValueError, match="per_minute"):
        limiter.take("ann", 0)


def test_buckets_that_are_full_are_forgotten() -> None:
    limiter = RateLimiter()
    for n in range(10_000):
        limiter.take(str(n), 60, n * 0.1)  # each is full again a second later
        assert len(limiter) <= 12
    for n in range(5000):
        limiter.take(f"slow {n}", 1, 2000.0)
    for n in range(5000):
        limiter.take("one", 1, 2100.0 + n)
    assert len(limiter) == 1


def test_taking_takes_no_longer_with_many_ids() -> None:
    limiter = RateLimiter()
    for n in range(200_000):
        limiter.take(str(n), 1, 0.0)

    def median_s(now: float) -> float:
        times = []
        for n in range(2001):
            began = time.perf_counter()
            limiter.take(f"new {n}", 1, now)
            times.append(time.perf_counter() - began)
        return sorted(times)[1000]

    assert median_s(1.0) < 1e-4 and median_s(1000.0) < 1e-4 and len(limiter) > 190_000


def test_threads_share_a_bucket() -> None:
    limiter, allowed = RateLimiter(lambda: 5.0), list[float]()
    threads = [threading.Thread(target=lambda: allowed.extend(limiter.take("ann", 60) for _ in range(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 4000 and allowed.count(0.0) == 60


class Load:
    """Tasks that come to an Admission, and what was seen of it."""

    def __init__(self, concurrent: int, queue: int) -> None:
        self.admission = Admission(concurrent, queue)
        self.inside, self.order = 0, list[int]()
        self.most_inside = self.most_waiting = self.refused = 0

    def look(self) -> None:
        self.most_inside = max(self.most_inside, self.inside, self.admission.working)
        self.most_waiting = max(self.most_waiting, self.admission.waiting)

    async def visit(self, number: int, work: int, deadline_s: float | None = None, fails: bool = False) -> None:
        """Work for as many turns of the loop as `work` says."""
        try:
            async with self.admission.slot(deadline_s) as waited_s:
                assert waited_s >= 0.0
                self.inside += 1
                self.order.append(number)
                try:
                    for _ in range(work):
                        self.look()
                        await asyncio.sleep(0)
                    if fails:
                        raise LookupError
                finally:
                    self.inside -= 1
        except Overloaded as exc:
            self.refused += 1
            assert exc.retry_after_s >= 1
        finally:
            self.look()


class Visit(NamedTuple):
    """One task; times are in turns of the loop."""

    comes_after: int
    works: int
    deadline_s: float | None
    cancelled_after: int | None
    fails: bool


VISITS = st.builds(
    Visit,
    st.integers(0, 3),
    st.integers(0, 6),
    st.sampled_from([None, None, 0.0, 0.0005, 1.0]),
    st.none() | st.integers(0, 12),
    st.booleans(),
)


async def test_a_place_that_is_given_to_who_is_cancelled_goes_on() -> None:
    load = Load(1, 2)
    async with load.admission.slot():
        tasks = [asyncio.create_task(load.visit(n, 1)) for n in range(2)]
        await asyncio.sleep(0)
    tasks[0].cancel()  # the place is its own since the line before, and it doesn't know yet
    await asyncio.gather(*tasks, return_exceptions=True)
    assert load.order == [1] and load.admission.working == load.admission.waiting == 0


@settings(deadline=None)
@given(concurrent=st.integers(1, 4), queue=st.integers(0, 4), visits=st.lists(VISITS, max_size=40))
def test_places_are_never_exceeded_and_never_lost(concurrent: int, queue: int, visits: list[Visit]) -> None:
    async def turns(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    async def one(load: Load, number: int, visit: Visit) -> None:
        task = asyncio.create_task(load.visit(number, visit.works, visit.deadline_s, visit.fails))
        if visit.cancelled_after is not None:
            await turns(visit.cancelled_after)
            task.cancel()
        with suppress(asyncio.CancelledError, LookupError):
            await task

    async def all_of_them() -> None:
        load, tasks = Load(concurrent, queue), []
        for number, visit in enumerate(visits):
            await turns(visit.comes_after)
            tasks.append(asyncio.create_task(one(load, number, visit)))
        async with asyncio.timeout(30.0):  # which a lost place would use up
            await asyncio.gather(*tasks)
        assert load.most_inside <= concurrent and load.most_waiting <= queue
        assert load.admission.working == load.admission.waiting == load.inside == 0
        after = Load(concurrent, queue)
        after.admission = load.admission
        await asyncio.gather(*(after.visit(n, 20) for n in range(concurrent + queue)))
        assert (after.refused, after.most_inside) == (0, concurrent) and after.order == list(range(concurrent + queue))

    asyncio.run(all_of_them())


async def test_who_comes_first_is_first() -> None:
    load = Load(2, 50)
    await asyncio.gather(*(load.visit(n, n % 5) for n in range(50)))
    assert load.order == list(range(50)) and load.refused == 0


async def test_beyond_the_queue_all_are_refused_at_once() -> None:
    load = Load(1, 2)
    tasks = [asyncio.create_task(load.visit(n, 10_000)) for n in range(3)]
    await asyncio.sleep(0)
    assert (load.admission.working, load.admission.waiting) == (1, 2)
    with pytest.raises(Overloaded, match="the council is busy: 1 at work, 2 waiting; ask again in 3 s") as refused:
        async with asyncio.timeout(0.0), load.admission.slot(60.0):
            pass
    assert refused.value.retry_after_s == 3  # nothing is known yet: a second each
    tasks[1].cancel()  # whoever gives up waiting makes room
    await asyncio.sleep(0)
    assert (load.admission.working, load.admission.waiting) == (1, 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (load.admission.working, load.admission.waiting) == (0, 0)


async def test_a_deadline_ends_the_wait() -> None:
    load = Load(1, 2)
    long = asyncio.create_task(load.visit(0, 10**9))
    await asyncio.sleep(0)
    began = time.monotonic()
    with pytest.raises(Overloaded, match=r"no place was free within 0\.05 s"):
        async with load.admission.slot(0.05):
            pass
    assert 0.04 < time.monotonic() - began < 2.0 and load.admission.waiting == 0
    long.cancel()
    await asyncio.gather(long, return_exceptions=True)
    async with load.admission.slot(0.0) as waited_s:  # a free place is had whatever the deadline
        assert waited_s < 0.05 and load.admission.working == 1


async def test_when_to_come_again_follows_how_long_work_takes() -> None:
    now = [0.0]
    admission = Admission(2, 0, lambda: now[0])

    async def work(seconds: float) -> None:
        async with admission.slot():
            now[0] += seconds

    for _ in range(3):
        await work(9.0)
    assert admission.retry_after_s == pytest.approx(4.5)
    async with admission.slot(), admission.slot():
        with pytest.raises(Overloaded, match="ask again in 5 s") as refused:
            await work(1.0)
        assert refused.value.retry_after_s == 5
    for _ in range(40):
        await work(0.001)
    assert admission.retry_after_s < 0.01
    for _ in range(40):
        await work(1e9)
    assert admission.retry_after_s == 600.0


def test_an_overload_travels() -> None:
    error = pickle.loads(pickle.dumps(Overloaded("busy", 2.1)))
    assert (str(error), error.retry_after_s) == ("busy", 3) and Overloaded("busy", 0.0).retry_after_s == 1


@pytest.mark.parametrize(("concurrent", "queue"), [(0, 1), (1, -1)])
def test_what_can_be_no_admission(concurrent: int, queue: int) -> None:
    with pytest.raises(ValueError, match="below"):
        Admission(concurrent, queue)
