"""Prompts handed to an engine in one batch by a plain script: what a council's throughput is held against.

`python -m tests.bench.raw WORK.json`, with the engine's config, its specialists and a list of {specialist, messages}:
the same weights, arguments, threads and device as the council's host, and nothing around them. Prints the seconds of
one run over all prompts, after a shorter one that warms up.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from specialists.config import EngineConfig, SpecialistConfig, resolve_weights
from specialists.tokens import encode_chat, load_tokenizer

WARM_UP = 40
Run = Callable[[Sequence[list[int]], Sequence[str]], object]


def vllm(engine: EngineConfig, specialists: Sequence[SpecialistConfig]) -> Run:
    """vLLM's own offline class, every prompt in one call."""
    from vllm import LLM, SamplingParams, TokensPrompt
    from vllm.lora.request import LoRARequest

    from specialists.engines.vllm import engine_arguments

    folders = {s.name: Path(resolve_weights(s.adapter)) for s in specialists if s.adapter is not None}
    model = LLM(**engine_arguments(engine, tuple(folders.values())))
    adapters = {name: LoRARequest(name, number, str(folder)) for number, (name, folder) in enumerate(folders.items(), 1)}
    params = SamplingParams(temperature=0.0, max_tokens=specialists[0].max_tokens)

    def run(prompts: Sequence[list[int]], members: Sequence[str]) -> object:
        asked = [TokensPrompt(prompt_token_ids=p) for p in prompts]
        return model.generate(asked, params, lora_request=[adapters.get(m) for m in members], use_tqdm=False)

    return run


def transformers(engine: EngineConfig, specialists: Sequence[SpecialistConfig]) -> Run:
    """transformers and peft, rows of one batch on adapters of their own, as many rows as the engine takes at once."""
    import torch
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    torch.set_num_threads(int(engine.options.get("threads") or engine.resources.num_cpus))
    dtype = getattr(torch, str(engine.options.get("dtype", "float32")))
    base = LlamaForCausalLM.from_pretrained(resolve_weights(str(engine.model)), dtype=dtype)
    first, *others = specialists
    model = PeftModel.from_pretrained(base, resolve_weights(str(first.adapter)), adapter_name=first.name)
    for member in others:
        model.load_adapter(resolve_weights(str(member.adapter)), adapter_name=member.name)
    model.to("cuda" if engine.resources.num_gpus else "cpu").eval()
    tokenizer = load_tokenizer("bench", str(engine.model))

    def run(prompts: Sequence[list[int]], members: Sequence[str]) -> None:
        for at in range(0, len(prompts), engine.max_batch):
            rows = slice(at, at + engine.max_batch)
            padded = tokenizer.pad({"input_ids": list(prompts[rows])}, return_tensors="pt").to(model.device)
            with torch.inference_mode():
                model.generate(**padded, adapter_names=list(members[rows]), max_new_tokens=first.max_tokens, do_sample=False)  # type: ignore[no-untyped-call]

    return run


def main() -> None:
    work: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    engine = EngineConfig.model_validate(work["engine"])
    specialists = [SpecialistConfig.model_validate(s) for s in work["specialists"]]
    tokenizer = load_tokenizer("bench", str(engine.model))
    prompts = [encode_chat(tokenizer, row["messages"]) for row in work["prompts"]]
    members = [row["specialist"] for row in work["prompts"]]
    run = {"vllm": vllm, "transformers": transformers}[engine.kind](engine, specialists)
    run(prompts[:WARM_UP], members[:WARM_UP])
    started = time.perf_counter()
    run(prompts, members)
    print(json.dumps({"seconds": time.perf_counter() - started, "prompts": len(prompts)}))


if __name__ == "__main__":
    main()
