"""The vllm engine's arguments, which need no vLLM; and the engine itself, on real vLLM (marked `vllm`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from pydantic import ValidationError

from council.config import load_config
from specialists.config import EngineConfig, ResourcesConfig
from specialists.engines import build_engine
from specialists.engines.transformers import TransformersEngine
from specialists.engines.vllm import VllmEngine, engine_arguments
from specialists.prompt_format import Layout, render_messages
from specialists.protocol import GenerationRequest, OptionError, ScoreRequest, WeightsInvalid, WeightsMissing
from tests.conftest import MEMBERS
from tests.engines.conftest import copy_adapter, engine_cores, prompts

MODULE = pytest.mark.asyncio(loop_scope="module")


def config(gpus: float = 0.0, **options: Any) -> EngineConfig:
    return EngineConfig(name="e", kind="vllm", model="pocket:base", options=options, resources=ResourcesConfig(num_gpus=gpus))


def test_arguments_pass_through_by_their_own_names(tmp_path: Path) -> None:
    made = engine_arguments(config(dtype="bfloat16", enforce_eager=True), [copy_adapter("law", tmp_path)])
    assert (made["dtype"], made["enforce_eager"], made["load_format"]) == ("bfloat16", True, "safetensors")
    assert (made["enable_lora"], made["max_loras"], made["max_lora_rank"]) == (True, 1, 16)
    assert (made["max_model_len"], made["max_num_seqs"]) == (1024, 32)
    assert "enable_lora" not in engine_arguments(config(), [])


@pytest.mark.parametrize("name", ["model", "max_model_len", "enable_lora"])
def test_arguments_that_the_config_decides_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"option '{name}' is decided by"):
        engine_arguments(config(**{name: 1}), [])


def test_hosts_of_one_card_fit_together_by_their_memory() -> None:
    assert engine_arguments(config(gpus=0.25), [])["gpu_memory_utilization"] <= 0.25
    assert engine_arguments(config(gpus=0.25, gpu_memory_utilization=0.2), [])["gpu_memory_utilization"] == 0.2
    with pytest.raises(ValidationError, match="more than its share"):
        config(gpus=0.25, gpu_memory_utilization=0.5)
    with pytest.raises(ValidationError, match=r"wants resources\.num_gpus 2"):
        config(gpus=1, tensor_parallel_size=2)
    with pytest.raises(ValidationError, match=r"wants options\.tensor_parallel_size 2"):
        config(gpus=2)


def test_broken_adapters_and_missing_models_are_named(tmp_path: Path) -> None:
    folder = copy_adapter("law", tmp_path)
    (folder / "adapter_config.json").write_text("{", "utf-8")
    with pytest.raises(WeightsInvalid, match="adapter_config"):
        engine_arguments(config(), [folder])
    with pytest.raises(WeightsMissing, match="nowhere"):
        engine_arguments(EngineConfig(name="e", kind="vllm", model="/nowhere"), [])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def vllm() -> AsyncIterator[VllmEngine]:
    preset = load_config("vllm-cpu")
    engine = build_engine(preset.engines[0], preset.specialists)
    assert isinstance(engine, VllmEngine)
    yield engine
    await engine.close()


def requests(count: int, **more: Any) -> list[GenerationRequest]:
    return [GenerationRequest(MEMBERS[i % 5], p, **{"max_tokens": 12, **more}) for i, p in enumerate(prompts(count))]


@pytest.mark.vllm
@MODULE
async def test_greedy_answers_are_those_of_transformers(vllm: VllmEngine, engine: TransformersEngine) -> None:
    asked = requests(50)
    ours, theirs = await engine.generate(asked), await vllm.generate(asked)
    same = [a.samples[0].text == b.samples[0].text for a, b in zip(ours, theirs, strict=True)]
    assert sum(same) / len(same) >= 0.98
    assert [a.prompt_tokens for a in ours] == [b.prompt_tokens for b in theirs]
    assert [a.samples[0].tokens for a, s in zip(ours, same, strict=True) if s] == [
        b.samples[0].tokens for b, s in zip(theirs, same, strict=True) if s
    ]


@pytest.mark.vllm
@MODULE
async def test_five_specialists_run_in_one_batch(vllm: VllmEngine) -> None:
    asked = requests(10, logprobs=True)
    together = await vllm.generate(asked)
    assert min(g.batch_size for g in together) >= 5, "as many as the engine core says ran in one step"
    assert all(g.batch_size == 1 for g in await vllm.generate(asked[:1]))
    alone = [(await vllm.generate([r]))[0] for r in asked]
    assert sum(a.samples[0].text == b.samples[0].text for a, b in zip(alone, together, strict=True)) >= 9
    for made in together:
        assert made.queued_s is not None and made.first_token_s is not None and made.cached_tokens is not None
        assert len(made.samples[0].logprobs) == made.samples[0].tokens


@pytest.mark.vllm
@MODULE
async def test_scores_are_those_of_transformers(vllm: VllmEngine, engine: TransformersEngine) -> None:
    asked = [ScoreRequest(m, prompts(1)[0], "two protons") for m in MEMBERS]
    for a, b in zip(await engine.score(asked), await vllm.score(asked), strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=2e-2)
    assert len({round(s.total, 3) for s in await vllm.score(asked)}) == 5


@pytest.mark.vllm
@MODULE
async def test_seeds_samples_stops_and_lengths(vllm: VllmEngine) -> None:
    hot = GenerationRequest("law", prompts(2)[1], max_tokens=10, temperature=1.5, n=4, seed=11)
    first, again = (await vllm.generate([hot]))[0], (await vllm.generate([hot]))[0]
    assert [s.text for s in first.samples] == [s.text for s in again.samples]
    assert len({s.text for s in first.samples}) > 1
    free = (await vllm.generate(requests(1)))[0].samples[0]
    letter = free.text[2]
    cut = (await vllm.generate(requests(1, stop=(letter,))))[0].samples[0]
    assert (cut.finish, letter in cut.text) == ("stop", False)
    assert (await vllm.generate(requests(1, max_tokens=1)))[0].samples[0].finish == "length"


@pytest.mark.vllm
@MODULE
async def test_what_cannot_be_served_harms_no_other(vllm: VllmEngine) -> None:
    too_long = [{**m, "content": str(m["content"]) * 40} for m in prompts(4)[3]]
    wrong = [GenerationRequest("cooking", prompts(1)[0]), GenerationRequest("law", too_long), *requests(1, temperature=2.5)]  # type: ignore[arg-type]
    made = await vllm.generate([*requests(1), *wrong])
    assert [m.error is None for m in made] == [True, False, False, False]
    assert "temperature" in (made[3].error or "")


@pytest.mark.vllm
@MODULE
async def test_cancelling_aborts_in_the_engine(vllm: VllmEngine) -> None:
    """What is asked next has the engine core to itself, long before the cancelled ones could have ended."""
    unseen = [GenerationRequest(MEMBERS[i % 5], p) for i, p in enumerate(prompts(100)[60:])]  # seconds of work
    task = asyncio.ensure_future(vllm.generate(unseen))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert vllm._engine.output_processor.get_num_unfinished_requests() == 0
    assert "0 in flight" in (await vllm.health()).detail
    (alone,) = await vllm.generate(requests(1))
    assert alone.error is None and alone.batch_size == 1


@pytest.mark.vllm
@MODULE
async def test_shared_passages_first_are_computed_once(vllm: VllmEngine) -> None:
    """Five personas of one adapter, asked at once: with the passages first, the engine finds them in its cache."""
    passages = [(f"Report {i}", "The committee met in the old hall and counted the votes twice, as its rules say. " * 5) for i in range(3)]
    shared: dict[Layout, float] = {}
    layouts: tuple[Layout, ...] = ("passages_first", "persona_first")
    for layout in layouts:
        asked = [
            GenerationRequest("law", render_messages(f"Who met {layout}?", passages, f"You are a specialist in {m}.", layout), max_tokens=4)
            for m in MEMBERS
        ]
        before = (await vllm.health()).facts
        made = await vllm.generate(asked)
        after = (await vllm.health()).facts
        looked_up, found = (float(after[k]) - float(before[k]) for k in ("prompt_tokens_looked_up", "prompt_tokens_found"))
        assert found == sum(g.cached_tokens or 0 for g in made)
        shared[layout] = (looked_up - found) / (looked_up / 5)
    assert shared["passages_first"] < 2 < 4 < shared["persona_first"]


@pytest.mark.vllm
def test_why_it_did_not_start_is_told() -> None:
    """The engine core prints it; what vLLM raises is that one should look there."""
    with pytest.raises(WeightsInvalid, match=r"block size for 7"):
        build_engine(config(block_size=7, environment={"VLLM_CPU_KVCACHE_SPACE": 1}), [])


@pytest.mark.vllm
def test_an_unknown_argument_is_refused_before_anything_loads() -> None:
    started = time.monotonic()
    with pytest.raises(OptionError, match="no engine argument 'colour'"):
        build_engine(config(colour="red"), [])
    assert time.monotonic() - started < 60


@pytest.mark.vllm
@MODULE
async def test_a_dead_core_fails_health_and_requests(vllm: VllmEngine) -> None:
    """The last of this file: the engine does not live on."""
    for core in engine_cores(psutil.Process()):
        core.kill()
    for _ in range(100):
        if not (await vllm.health()).ok:
            break
        await asyncio.sleep(0.1)
    assert "died" in (await vllm.health()).detail
    (made,) = await vllm.generate(requests(1))
    assert made.error is not None and "died" in made.error
