"""A council's throughput over the raw engine's: `python -m tests.bench.engines [--device cuda]`.

For each engine: questions per second of a whole council (retrieval, routing, five LoRA members, vote) at 1, 8 and 32
questions at a time, over those of the same prompts handed to the engine in one batch by a plain script
(tests/bench/raw.py) right after. With vLLM also: five engines of one member each beside one engine of five, and how
many prompt tokens five personas of one base cost with the passages first and with the persona first, by the engine's
own counters. The prefix cache is off but for these last, so that every prompt is computed each time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psutil
from rich.console import Console

from council import Council
from council.config import CouncilConfig, load_config
from tests.bench.hardware import describe
from tests.bench.reading import POCKET, read_gold

PRESETS = {"transformers": "pocket", "vllm": "vllm-cpu"}
LEVELS = (1, 8, 32)
SAY = Console(stderr=True)


def configure(kind: str, device: str, chosen: Mapping[str, Any] | None = None, share: float = 1.0) -> CouncilConfig:
    """The preset of an engine, on the device: of a GPU each engine has `share`."""
    settings: dict[str, Any] = {"deadline_s": 1800}  # none is to be late, however slow the machine
    if kind == "vllm":
        settings["engines.pocket.options.enable_prefix_caching"] = False
    if device == "cuda":
        settings |= {"engines.pocket.resources.num_gpus": share, "engines.pocket.options.dtype": "bfloat16"}  # vLLM's adapters want it
        if kind == "vllm":  # what the preset says of a CPU
            settings |= {"engines.pocket.options.environment": {}, "engines.pocket.options.block_size": 16}
    return load_config(PRESETS[kind], settings | dict(chosen or {}))


def apart(config: CouncilConfig) -> CouncilConfig:
    """The same members, each with an engine of its own."""
    tree = config.model_dump(mode="json")
    (engine,) = tree["engines"]
    tree["engines"] = [{**engine, "name": s["name"]} for s in tree["specialists"]]
    tree["specialists"] = [{**s, "engine": s["name"]} for s in tree["specialists"]]
    return CouncilConfig.model_validate(tree)


@contextmanager
def running(config: CouncilConfig) -> Iterator[tuple[Council, float]]:
    """The council with its library indexed in a store of its own, and the seconds it took to start."""
    with tempfile.TemporaryDirectory() as store:
        tree = config.model_dump(mode="json")
        tree["retrieval"]["store"]["path"] = f"{store}/s"
        started = time.perf_counter()
        with Council(CouncilConfig.model_validate(tree)) as council:
            took = time.perf_counter() - started
            council.index([POCKET / "library"])
            yield council, took


def memory_gib(council: Council) -> dict[str, float]:
    """Of the hosts and the processes they have started: their share of this machine's memory (PSS), and the GPU's."""
    replicas = {int(m.health.facts["pid"]) for m in council.members() if m.health is not None}
    roots = [psutil.Process(pid) for pid in replicas]
    used = sum(p.memory_full_info().pss for root in roots for p in (root, *root.children(recursive=True)))
    found = {"hosts_gib": round(used / 1024**3, 2)}
    if any(e.resources.num_gpus for e in council.config.engines):
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        told = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        found["gpu_gib"] = round(sum(map(float, told.split())) / 1024, 2)
    return found


def throughput(council: Council, questions: list[str], concurrency: int) -> dict[str, float]:
    """Questions, and tokens read and written by the members, per second."""
    started = time.perf_counter()
    verdicts = council.ask_many(questions, concurrency=concurrency)
    took = time.perf_counter() - started
    opinions = [o for v in verdicts for o in v.opinions]
    assert not any(o.error for o in opinions if o.output_tokens == 0), [o.error for o in opinions if o.error][:1]
    read, written = sum(o.prompt_tokens for o in opinions), sum(o.output_tokens for o in opinions)
    return {"questions_per_s": round(len(questions) / took, 3), "tokens_per_s": round((read + written) / took, 1)}


def measure(config: CouncilConfig, questions: list[str], levels: Sequence[int]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A council's throughput at each level, its memory and start, and the prompts that its members were sent."""
    with running(config) as (council, start_s):
        council.ask_many(questions[:8])
        rates = {}
        for level in levels:
            rates[str(level)] = throughput(council, questions, level)
            SAY.print(f"  {level} at a time: {rates[str(level)]}")
        prompts = [{"specialist": m, "messages": p} for q in questions for m, p in council.prompts(q).items()]
        return {"at": rates, "start_s": round(start_s, 1), **memory_gib(council)}, prompts


def raw(config: CouncilConfig, prompts: list[dict[str, Any]]) -> float:
    """Seconds that the plain script takes for the same prompts; with as many threads as Ray gives the host."""
    (engine,) = config.engines
    work = {"engine": engine.model_dump(mode="json"), "specialists": [s.model_dump(mode="json") for s in config.specialists]}
    threads = str(max(1, int(engine.resources.num_cpus)))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "VLLM_LOGGING_LEVEL": "ERROR"}
    environment |= {k: str(v) for k, v in engine.options.get("environment", {}).items()}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({**work, "prompts": prompts}, file)
        file.flush()
        command = [sys.executable, "-m", "tests.bench.raw", file.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def prefix_tokens(device: str, questions: list[str], chosen: Mapping[str, Any]) -> dict[str, float]:
    """Prompt tokens computed for five personas of the base itself over those of one, for either layout."""
    found = {}
    for layout in ("passages_first", "persona_first"):
        settings = {"prompting.layout": layout, "prompting.rotate": False, "engines.pocket.options.enable_prefix_caching": True}
        config = configure("vllm", device, settings | dict(chosen))
        bare = config.model_copy(update={"specialists": tuple(s.model_copy(update={"adapter": None}) for s in config.specialists)})
        with running(bare) as (council, _):
            before = council.members()[0].health
            council.ask_many(questions, concurrency=1)
            after = council.members()[0].health
        assert before is not None and after is not None
        looked_up, hit = (float(after.facts[k]) - float(before.facts[k]) for k in ("prompt_tokens_looked_up", "prompt_tokens_found"))
        found[layout] = round((looked_up - hit) / (looked_up / len(bare.specialists)), 3)
        found[f"{layout}_prompt_tokens"] = round(looked_up / len(bare.specialists) / len(questions), 1)
    return found


def over_raw(kind: str, device: str, questions: list[str]) -> dict[str, Any]:
    """One engine of five members, over the raw engine."""
    SAY.print(f"{kind}: one engine, five members")
    config = configure(kind, device)
    together, prompts = measure(config, questions, LEVELS)
    SAY.print(f"{kind}: the raw engine, {len(prompts)} prompts")
    rate = len(questions) / raw(config, prompts)
    over = {level: round(told["questions_per_s"] / rate, 3) for level, told in together["at"].items()}
    SAY.print(f"  {rate:.3f} questions/s; the council over it: {over}")
    return {"one_engine": together, "raw_questions_per_s": round(rate, 3), "council_over_raw": over}


def side_by_side(kind: str, device: str, questions: list[str]) -> dict[str, Any]:
    """One engine of five members, and five of one member each: memory and throughput."""
    found = {}
    for name, config in (("one", configure(kind, device)), ("five", apart(configure(kind, device, share=0.19)))):
        SAY.print(f"{kind}: {name} engine(s)")
        found[name], _ = measure(config, questions, LEVELS[-1:])
        SAY.print(f"  {found[name]}")
    return found


def prefixes(kind: str, device: str, questions: list[str]) -> dict[str, Any]:
    """What five personas of one base read, with few passages and with many."""
    if kind != "vllm":
        return {}
    return {f"{count}_passages": prefix_tokens(device, questions, {"retrieval.top_k": count}) for count in (2, 12)}


PARTS = {"over_raw": over_raw, "side_by_side": side_by_side, "prefixes": prefixes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default="transformers,vllm")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--questions", type=int, default=40)
    chosen = parser.parse_args()
    questions = [g.question for g in read_gold(POCKET / "questions.jsonl", "test")][: chosen.questions]
    figures: dict[str, Any] = describe() | {"device": chosen.device, "questions": len(questions)}
    for kind in chosen.kinds.split(","):
        figures[kind] = {part: PARTS[part](kind, chosen.device, questions) for part in chosen.parts.split(",")}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
