"""A council's throughput over the raw engine's: `python -m tests.bench.engines [--kinds transformers,vllm] [--device cuda]`.

For each engine: questions per second of a whole council (retrieval, routing, five LoRA members, vote) at 1, 8 and 32
questions at a time; and of the same prompts handed to the engine in one batch by a plain script (tests/bench/raw.py),
run right after. With vLLM also: five engines of one member each beside one engine of five, and how many prompt tokens
five personas of one base cost with the passages first and with the persona first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil

from council import Council
from council.config import load_config
from tests.bench.hardware import describe
from tests.bench.reading import POCKET, read_gold

PRESETS = {"transformers": "pocket", "vllm": "vllm-cpu"}


def overrides(kind: str, device: str) -> dict[str, Any]:
    """Greedy runs with nothing cached, so that every prompt is computed each time."""
    chosen: dict[str, Any] = {"engines.pocket.options.enable_prefix_caching": False} if kind == "vllm" else {}
    return chosen | ({"engines.pocket.resources.num_gpus": 1} if device == "cuda" else {})


def separate(kind: str, device: str) -> dict[str, Any]:
    """The same members, each with an engine of its own; of a GPU, each a sixth."""
    tree = load_config(PRESETS[kind], overrides(kind, device)).model_dump(mode="json")
    (engine,) = tree["engines"]
    if device == "cuda":
        engine["resources"]["num_gpus"] = 0.16
    engines = [{**engine, "name": s["name"]} for s in tree["specialists"]]
    return {"engines": engines, "specialists": [{**s, "engine": s["name"]} for s in tree["specialists"]]}


def memory_bytes() -> int:
    """The memory of Ray's workers and vLLM's processes on this machine, which is to run no others (PSS)."""
    total = 0
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if "ray::" in line or "EngineCore" in line or "VLLM" in line:
                total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def throughput(council: Council, questions: list[str], concurrency: int) -> float:
    """Questions per second."""
    started = time.perf_counter()
    verdicts = council.ask_many(questions, concurrency=concurrency)
    took = time.perf_counter() - started
    assert all(v.status != "failed" for v in verdicts)
    return len(questions) / took


def measure(kind: str, device: str, questions: list[str], chosen: dict[str, Any], levels: tuple[int, ...]) -> dict[str, Any]:
    """A council's throughput at each level, its memory, and the prompts that its members were sent."""
    with tempfile.TemporaryDirectory() as store:
        settings = {**overrides(kind, device), "retrieval.store.path": f"{store}/s", **chosen}
        with Council.from_config(PRESETS[kind], settings) as council:
            council.index([POCKET / "library"])
            council.ask_many(questions[:8])
            rates = {str(level): round(throughput(council, questions, level), 2) for level in levels}
            prompts = [{"specialist": m, "messages": p} for q in questions for m, p in council.prompts(q).items()]
            return {"questions_per_s": rates, "memory_gib": round(memory_bytes() / 1024**3, 2), "prompts": prompts}


def raw(kind: str, prompts: list[dict[str, Any]], questions: int) -> float:
    """Questions per second of the plain script on the same prompts."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(prompts, file)
        file.flush()
        done = subprocess.run([sys.executable, "-m", "tests.bench.raw", kind, file.name], capture_output=True, text=True, check=True)
    return float(questions / json.loads(done.stdout.splitlines()[-1])["seconds"])


def prefix_tokens(device: str, questions: list[str]) -> dict[str, float]:
    """Prompt tokens computed for five personas of the base itself, over those of one, for either layout."""
    tree = load_config(PRESETS["vllm"]).model_dump(mode="json")
    bare = {"specialists": [{**s, "adapter": None} for s in tree["specialists"]], "prompting.rotate": False}
    found = {}
    for layout in ("passages_first", "persona_first"):
        with tempfile.TemporaryDirectory() as store:
            settings = {**bare, "prompting.layout": layout, "retrieval.store.path": f"{store}/s"}
            settings |= {"engines.pocket.resources.num_gpus": 1} if device == "cuda" else {}
            with Council.from_config(PRESETS["vllm"], settings) as council:
                council.index([POCKET / "library"])
                verdicts = council.ask_many(questions, concurrency=1)
        asked = [o for v in verdicts for o in v.opinions]
        computed = sum(o.prompt_tokens - (o.cached_tokens or 0) for o in asked)
        found[layout] = round(computed / (sum(o.prompt_tokens for o in asked) / 5), 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default="transformers,vllm")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--questions", type=int, default=64)
    chosen = parser.parse_args()
    questions = [g.question for g in read_gold(POCKET / "questions.jsonl", "test")][: chosen.questions]
    figures: dict[str, Any] = describe() | {"device": chosen.device, "questions": len(questions)}
    for kind in chosen.kinds.split(","):
        one = measure(kind, chosen.device, questions, {}, (1, 8, 32))
        alone = raw(kind, one.pop("prompts"), len(questions))
        best = max(one["questions_per_s"].values())
        figures[kind] = one | {"raw_questions_per_s": round(alone, 2), "council_over_raw": round(best / alone, 3)}
        if kind == "vllm":
            apart = measure(kind, chosen.device, questions, separate(kind, chosen.device), (32,))
            del apart["prompts"]
            figures[kind] |= {"five_engines": apart, "prompt_tokens_over_one_member": prefix_tokens(chosen.device, questions)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
