"""The pocket council on real vLLM, inside Ray Serve (marked `vllm`); and vLLM's own server as a member elsewhere."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from council import Council, Verdict
from council.config import load_config
from specialists.config import POCKET, EngineConfig
from specialists.engines import build_engine
from specialists.protocol import GenerationRequest, ScoreRequest
from tests.conftest import MEMBERS
from tests.engines.conftest import engine_cores, prompts

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
PERIOD_S = 2.0
QUESTIONS = ("Which organ makes insulin?", "Who wrote the first version of SSH?", "What is habeas corpus?", "What is a bond?")


@dataclass(frozen=True)
class Started:
    """A council on vLLM, and how long its hosts took to start."""

    council: Council
    start_s: float


@pytest.fixture(scope="module")
def started(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("vllm")
    chosen = {"retrieval.store.path": str(folder / "store"), "engines.pocket.health_check_period_s": PERIOD_S}
    before = time.monotonic()
    with Council.from_config("vllm-cpu", chosen) as made:
        took = time.monotonic() - before
        made.index([load_config("pocket").retrieval.library or ""])
        yield Started(made, took)


def replica(council: Council) -> psutil.Process | None:
    """The process of the council's one replica; None while there is none."""
    health = council.members()[0].health
    return psutil.Process(int(health.facts["pid"])) if health is not None and "pid" in health.facts else None


def with_cores(council: Council) -> tuple[psutil.Process, list[psutil.Process]]:
    """The replica's process and its engine cores; on a busy machine Serve may be replacing it just then."""
    before = time.monotonic()
    while time.monotonic() - before < 400:
        process = replica(council)
        cores = engine_cores(process) if process is not None else []
        if process is not None and cores:
            return process, cores
        time.sleep(0.5)
    raise AssertionError("no replica with an engine core")


def await_another(started: Started, old: int) -> tuple[float, float]:
    """Seconds until the old replica is gone, and until another one answers for all members."""
    before = time.monotonic()
    while psutil.pid_exists(old) and psutil.Process(old).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() - before < 60, "the old replica lives on"
        time.sleep(0.05)
    gone = time.monotonic() - before
    while any(o.error for o in started.council.ask(QUESTIONS[1]).opinions):
        assert time.monotonic() - before < 400, "the host did not come back"
        time.sleep(0.5)
    return gone, time.monotonic() - before


def test_five_specialists_answer_from_one_engine(started: Started) -> None:
    verdict = started.council.ask(QUESTIONS[0])
    assert [o.specialist for o in verdict.opinions] == list(MEMBERS)
    for opinion in verdict.opinions:
        assert opinion.error is None
        assert opinion.queued_s is not None and opinion.first_token_s is not None and opinion.cached_tokens is not None


def test_a_killed_core_loses_no_verdict_and_comes_back(started: Started) -> None:
    """Every question gets its verdict, failures are told as such; the replica is replaced by the next health check, and
    answers after the time that an engine takes to start."""
    council, verdicts = started.council, list[Verdict]()
    process, cores = with_cores(council)
    asking = threading.Thread(target=lambda: verdicts.extend(council.ask_many(list(QUESTIONS) * 15, concurrency=16)))
    asking.start()
    time.sleep(0.5)
    for core in cores:
        core.kill()
    gone, back = await_another(started, process.pid)
    asking.join(600)
    assert len(verdicts) == 60
    failed = [v for v in verdicts if all(o.error for o in v.opinions)]
    assert failed and all(v.status == "failed" for v in failed)
    print(json.dumps({"start_s": started.start_s, "replaced_s": gone, "back_s": back, "failed": len(failed)}))
    assert gone < PERIOD_S + 10 and back < PERIOD_S + 2 * started.start_s + 20


def test_a_killed_replica_leaves_no_core_behind(started: Started) -> None:
    process, cores = with_cores(started.council)
    process.kill()
    await_another(started, process.pid)
    assert not any(core.is_running() and core.status() != psutil.STATUS_ZOMBIE for core in cores)


def test_the_command_line_asks_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "council.cli",
        "ask",
        "--config",
        "vllm-cpu",
        "--json",
        "--set",
        f"retrieval.store.path={tmp_path / 's'}",
    ]
    done = subprocess.run([*command, QUESTIONS[0]], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode in (0, 3), done.stderr
    verdict = Verdict.model_validate_json(done.stdout)
    assert len(verdict.opinions) == 5 and not any(o.error for o in verdict.opinions)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """vLLM's own OpenAI server with the pocket base and an adapter."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(POCKET / "base"), "--served-model-name", "base",
        "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--max-model-len", "1024", "--enable-lora",
        "--max-lora-rank", "16", "--lora-modules", f"law={POCKET / 'law'}", "--enforce-eager",
    ]  # fmt: skip
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"})
        try:
            _await_server(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(60)


def _await_server(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text("utf-8")[-2000:]
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise AssertionError(log.read_text("utf-8")[-2000:])


async def test_a_server_of_vllms_own_is_a_member(server: str) -> None:
    """Its answers are those of the same weights in the transformers engine, and it scores."""
    preset = load_config("pocket")
    here = build_engine(preset.engines[0], preset.specialists)
    options: dict[str, Any] = {"base_url": server, "tokenizer": "pocket:base"}
    law = next(s for s in preset.specialists if s.name == "law").model_copy(update={"engine": "far", "adapter": "law"})
    far = build_engine(EngineConfig(name="far", kind="openai", model="base", options=options), [law])
    asked = [GenerationRequest("law", p, max_tokens=12) for p in prompts(12)]
    ours, theirs = await here.generate(asked), await far.generate(asked)
    same = [a.samples[0].text == b.samples[0].text for a, b in zip(ours, theirs, strict=True) if b.error is None]
    assert len(same) == 12 and sum(same) >= 11, json.dumps([b.error for b in theirs])
    score = ScoreRequest("law", prompts(1)[0], "two protons")
    (one,), (other,) = await here.score([score]), await far.score([score])
    assert other.error is None and one.logprobs == pytest.approx(other.logprobs, abs=5e-2)
    assert "answers" in (await far.health()).detail
    await far.close()
    await here.close()
