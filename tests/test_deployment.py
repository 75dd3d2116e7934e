"""Real Ray Serve replicas around scripted engines."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from specialists.config import EngineConfig, SpecialistConfig
from specialists.deployment import HostPool, check_weights
from specialists.prompt_format import render_messages
from specialists.protocol import GenerationRequest, HostError, ScoreRequest, WeightsMissing

ASKED = render_messages("Who keeps the light?", [("Light", "Ada keeps the light.")], "You read.")


def specialist(name: str, engine: str = "script", adapter: str | None = None) -> SpecialistConfig:
    return SpecialistConfig(name=name, engine=engine, domain=name, description=name, adapter=adapter)


def engine(name: str = "script", **options: object) -> EngineConfig:
    return EngineConfig.model_validate(
        {"name": name, "kind": "scripted", "options": options, "resources": {"num_cpus": 0.1}, "health_check_period_s": 1.0}
    )


@pytest.fixture(scope="module")
def pool(ray_session: None) -> Iterator[HostPool]:
    pool = HostPool(
        "pool", [engine(answers={"a": {"light": "Ada"}}), engine("slow", delay_s=30)], [specialist("a"), specialist("z", "slow")]
    )
    pool.start()
    yield pool
    pool.stop()


async def test_generations_come_back_in_order(pool: HostPool) -> None:
    requests = [GenerationRequest("a", ASKED), GenerationRequest("nobody", ASKED), GenerationRequest("a", ASKED, n=2)]
    first, second, third = await pool.generate("script", requests)
    assert first.samples[0].text == "Ada"
    assert second.error is not None and "no specialist 'nobody'" in second.error
    assert len(third.samples) == 2


async def test_scores_reach_the_engine(pool: HostPool) -> None:
    good, bad = await pool.score("script", [ScoreRequest("a", ASKED, "Ada"), ScoreRequest("a", ASKED, "Bob")])
    assert good.total > bad.total


async def test_a_cancelled_call_frees_the_caller(pool: HostPool) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pool.generate("slow", [GenerationRequest("z", ASKED)]), 0.5)
    assert time.monotonic() - started < 20


async def test_a_killed_replica_comes_back(pool: HostPool) -> None:
    pid = int((await pool.health("script")).facts["pid"])
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    back = None
    while back is None and time.monotonic() < deadline:
        health = await pool.health("script")
        back = int(health.facts["pid"]) if health.ok and health.facts["pid"] != pid else None
        await asyncio.sleep(0.2)
    assert back is not None, "no new replica within a minute"
    assert (await pool.generate("script", [GenerationRequest("a", ASKED)]))[0].samples[0].text == "Ada"


async def test_a_cancelled_call_ends_in_the_replica_too(ray_session: None) -> None:
    """One call at a time fits into this host: the second is served only because the first, long one was cancelled there."""
    config = engine("one", delays_s={"long": 300.0}).model_copy(update={"max_ongoing_requests": 1})
    pool = HostPool("one", [config], [specialist("long", "one"), specialist("short", "one")])
    pool.start()
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.generate("one", [GenerationRequest("long", ASKED)]), 1.0)
        said = await asyncio.wait_for(pool.generate("one", [GenerationRequest("short", ASKED)]), 60.0)
        assert said[0].samples
    finally:
        pool.stop()


def test_missing_weights_name_the_member_and_the_path(tmp_path: Path) -> None:
    model = EngineConfig(name="e", model="pocket:base")
    with pytest.raises(WeightsMissing, match=f"specialist 'law': weights not found at {tmp_path}/gone"):
        check_weights([model], [specialist("law", "e", f"{tmp_path}/gone")])
    with pytest.raises(WeightsMissing, match=r"engine 'e': weights not found at .*/nobase"):
        check_weights([EngineConfig(name="e", model=f"{tmp_path}/nobase")], [])


def test_missing_weights_fail_at_start_and_leave_nothing(ray_session: None, tmp_path: Path) -> None:
    pool = HostPool("gone", [EngineConfig(name="e", model="pocket:base")], [specialist("law", "e", str(tmp_path / "gone"))])
    with pytest.raises(WeightsMissing, match="'law'"):
        pool.start()


def test_a_constructor_that_fails_is_told_in_one_line(ray_session: None) -> None:
    pool = HostPool("wrong", [engine(answrs={})], [specialist("a")])
    with pytest.raises(HostError, match="option 'answrs'") as caught:
        pool.start()
    assert "\n" not in str(caught.value)


def test_more_than_the_cluster_has_is_refused(ray_session: None) -> None:
    greedy = EngineConfig.model_validate({"name": "e", "kind": "scripted", "resources": {"num_gpus": 3}})
    with pytest.raises(HostError, match="the hosts want 3 GPUs; Ray has 0"):
        HostPool("greedy", [greedy], [specialist("a", "e")]).start()
