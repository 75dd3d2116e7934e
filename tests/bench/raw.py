"""Prompts handed to an engine in one batch by a plain script: what a council's throughput is held against.

`python -m tests.bench.raw KIND PROMPTS.json`: a list of {specialist, messages}; it prints the seconds of the second run.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from specialists.config import POCKET
from specialists.tokens import encode_chat, load_tokenizer
from tests.conftest import MEMBERS

MAX_TOKENS, BATCH = 32, 40


def vllm(prompts: Sequence[list[int]], members: Sequence[str]) -> Callable[[], object]:
    """vLLM's own offline class, five adapters, every prompt in one call."""
    from vllm import LLM, SamplingParams, TokensPrompt
    from vllm.lora.request import LoRARequest

    engine = LLM(
        str(POCKET / "base"), dtype="float32", max_model_len=1024, max_num_seqs=BATCH, enable_lora=True, max_loras=5, max_lora_rank=16,
        enable_prefix_caching=False, load_format="safetensors",
    )  # fmt: skip
    adapters = {m: LoRARequest(m, i, str(POCKET / m)) for i, m in enumerate(MEMBERS, 1)}
    asked: list[Any] = [TokensPrompt(prompt_token_ids=p) for p in prompts]
    params = SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS)
    return lambda: engine.generate(asked, params, lora_request=[adapters[m] for m in members], use_tqdm=False)


def transformers(prompts: Sequence[list[int]], members: Sequence[str]) -> Callable[[], object]:
    """transformers and peft, rows of one batch on adapters of their own, as many rows as the preset's engine takes."""
    import torch
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    base = LlamaForCausalLM.from_pretrained(POCKET / "base", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(POCKET / MEMBERS[0]), adapter_name=MEMBERS[0])
    for member in MEMBERS[1:]:
        model.load_adapter(str(POCKET / member), adapter_name=member)
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    tokenizer = load_tokenizer("bench", "pocket:base")

    def run() -> None:
        for at in range(0, len(prompts), BATCH):
            padded = tokenizer.pad({"input_ids": list(prompts[at : at + BATCH])}, return_tensors="pt").to(model.device)
            with torch.inference_mode():
                model.generate(**padded, adapter_names=list(members[at : at + BATCH]), max_new_tokens=MAX_TOKENS, do_sample=False)  # type: ignore[no-untyped-call]

    return run


def main() -> None:
    kind, path = sys.argv[1:]
    rows = json.loads(Path(path).read_text("utf-8"))
    tokenizer = load_tokenizer("bench", "pocket:base")
    prompts = [encode_chat(tokenizer, row["messages"]) for row in rows]
    run = {"vllm": vllm, "transformers": transformers}[kind](prompts, [row["specialist"] for row in rows])
    run()
    started = time.perf_counter()
    run()
    print(json.dumps({"seconds": time.perf_counter() - started, "prompts": len(prompts)}))


if __name__ == "__main__":
    main()
