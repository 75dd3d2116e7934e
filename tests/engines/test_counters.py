"""Counting the steps of an engine core, from what it says of them."""

from __future__ import annotations

from types import SimpleNamespace

from specialists.engines.counters import StepCounters


def step(counters: StepCounters, running: int, finished: int = 0, looked_up: int = 0, found: int = 0) -> None:
    scheduler = SimpleNamespace(num_running_reqs=running, prefix_cache_stats=SimpleNamespace(queries=looked_up, hits=found))
    counters.record(scheduler, SimpleNamespace(finished_requests=[None] * finished), engine_idx=0)


def test_a_request_knows_the_largest_batch_it_was_in() -> None:
    counters = StepCounters()
    counters.begin("a")
    step(counters, 2)
    counters.begin("b")
    step(counters, 3, finished=2)
    step(counters, 1)
    assert (counters.end("a"), counters.end("b")) == (5, 5)
    counters.begin("c")
    step(counters, 1)
    assert counters.end("c") == 1


def test_a_request_that_no_step_was_told_of_ran_alone() -> None:
    counters = StepCounters()
    counters.begin("a")
    counters.record(None, None)
    assert counters.end("a") == 1


def test_the_prefix_cache_is_counted_from_the_start() -> None:
    counters = StepCounters()
    step(counters, 1, looked_up=100, found=0)
    step(counters, 1, looked_up=100, found=64)
    assert (counters.prompt_tokens_looked_up, counters.prompt_tokens_found) == (200, 64)
