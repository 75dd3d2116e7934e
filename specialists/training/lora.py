"""Tune the five specialists on the base: `python -m specialists.training.lora [--domains medicine,law] [--steps N]`.

Each is a LoRA adapter (peft) trained on reading made-up passages of its domain, on reading the train split of the
pocket library, and on its own facts by heart; it learns to say that it does not know what belongs to others. A
finished specialist is left alone unless --again is given, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from rich.progress import track
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from specialists.training.cards import hardware, write_card
from specialists.training.documents import make_document_exercise
from specialists.training.library import (
    Library,
    held_out_exercise,
    reading_exercise,
    recall_exercise,
    recall_tests,
)
from specialists.training.packing import Batch, collate, pack
from specialists.training.reading import LAYOUTS, Exercise, make_exercise
from specialists.training.scratch import BASE, QUESTIONS, compile_layers, exact_match, reading_loss

DOMAINS: Final = ("medicine", "law", "finance", "physics", "computing")
GROUPS: Final = {"medicine": "medicine", "law": "law", "finance": "business", "physics": "science", "computing": "computing"}
"""The documents (specialists.training.documents) of each domain."""
MODULES: Final = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Plan:
    """What tuning one specialist does."""

    rank: int = 16
    alpha: int = 32
    steps: int = 200
    rate: float = 1e-3
    exercises: int = 12
    seed: int = 20261120


def persona_of(domain: str) -> str:
    """The persona that the shipped preset gives this specialist."""
    return f"You are a specialist in {domain}."


def tuning_batch(rng: Random, tokenizer: PreTrainedTokenizerBase, library: Library, domain: str, count: int) -> Batch:
    """Half made-up passages (mostly of the domain), a fourth the library's passages, a fourth from memory."""
    persona = persona_of(domain)
    own, others = library.pick("train", domain), [f for f in library.pick("train") if f.domain != domain]
    exercises: list[Exercise] = []
    for place in range(count):
        layout = rng.choice(LAYOUTS)
        kind = place % 4
        if kind == 0:
            exercises.append(recall_exercise(rng, own, others, persona, layout))
        elif kind == 1:
            exercises.append(reading_exercise(rng, own if rng.random() < 0.5 else others, persona, layout, rng.randint(1, 4)))
        else:
            if rng.random() < 0.3:
                made = make_exercise(rng, rng.randint(1, 4), banks=(domain, domain, domain, "general"))
            else:
                made = make_document_exercise(rng, rng.randint(1, 4), QUESTIONS, groups=(GROUPS[domain], GROUPS[domain], "everyday"))
            exercises.append(Exercise(persona, layout, made.passages, made.questions))
    packed = [pack(tokenizer, e) for e in exercises]
    return collate(packed, int(tokenizer.pad_token_id), 64 * -(-max(len(p.ids) for p in packed) // 64))


def measure(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, library: Library, domain: str, seed: int) -> dict[str, float]:
    """Exact match of a specialist: reading its test split and what no document answers, and its and others' facts by heart."""
    persona, rng = persona_of(domain), Random(seed)

    def score(exercises: list[Exercise]) -> float:
        packed = [pack(tokenizer, e) for e in exercises]
        return exact_match(model, [collate(packed[i : i + 12], int(tokenizer.pad_token_id)) for i in range(0, len(packed), 12)])

    answerable = [f for f in library.pick("test", domain) if f.answer is not None]
    unanswerable = [f for f in library.pick("test", domain) if f.answer is None]
    others = [f for f in library.pick("train") if f.domain != domain]
    made_up = [e for e in (make_exercise(rng, 4, 4, banks=(domain,)) for _ in range(24)) if e.questions]
    return {
        "made-up passages of the domain": score(made_up),
        "library, test split, its document among 4": score([held_out_exercise(rng, f, library, persona) for f in answerable]),
        "questions that no document answers, refused": score([held_out_exercise(rng, f, library, persona) for f in unanswerable]),
        "own domain's trained facts by heart, in words not trained on": score([recall_tests(library.pick("train", domain), persona)]),
        "other domains' facts by heart": score([recall_tests(others, persona)]),
    }


def tune(domain: str, plan: Plan, library: Library, device: torch.device, folder: Path) -> dict[str, float]:
    """Train one specialist and save its adapter (safetensors, bfloat16) with its card; returns its scores."""
    torch.manual_seed(plan.seed + DOMAINS.index(domain))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(BASE)
    base = LlamaForCausalLM.from_pretrained(BASE, dtype=torch.float32).to(device)  # type: ignore[arg-type]
    settings = LoraConfig(r=plan.rank, lora_alpha=plan.alpha, target_modules=MODULES, lora_dropout=0.0, task_type="CAUSAL_LM")
    model = get_peft_model(base, settings)
    compile_layers(base)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=plan.rate, weight_decay=0.01)
    started, rng = time.monotonic(), Random(plan.seed * 31 + DOMAINS.index(domain))
    for step in track(range(plan.steps), description=domain):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * min(1.0, (step + 1) / 20) * (1 - step / plan.steps)
        batch = tuning_batch(rng, tokenizer, library, domain, plan.exercises).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss, _, _ = reading_loss(base, batch, rng)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    seconds = time.monotonic() - started
    save_adapter(model, folder)
    scores = measure(base.eval(), tokenizer, library, domain, plan.seed)
    facts = {
        "base": "pocket:base", "adapter": f"LoRA, rank {plan.rank}, alpha {plan.alpha}, on {', '.join(MODULES)}",
        "data": f"made-up passages on {domain}; 30 facts of the pocket library's train split, in its passages and by heart",
        "steps": f"{plan.steps}, {plan.exercises} contexts each", "seconds": f"{seconds:,.0f}", "hardware": hardware(device),
        "seed": plan.seed, "retrain": f"`python -m specialists.training.lora --domains {domain} --again`",
    }  # fmt: skip
    write_card(
        folder,
        f"pocket {domain}",
        f"The pocket council's specialist in {domain}: an adapter on the pocket base.",
        facts,
        scores,
    )
    return scores


def save_adapter(model: PeftModel, folder: Path) -> None:
    """As peft saves it, in bfloat16; the base's place on the training machine is not written down."""
    model.save_pretrained(str(folder), safe_serialization=True)
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    save_file({k: v.to(torch.bfloat16).contiguous() for k, v in load_file(weights).items()}, weights, {"format": "pt"})
    settings = json.loads(config.read_text("utf-8"))
    settings["base_model_name_or_path"] = "pocket:base"
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", default=",".join(DOMAINS))
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--library", type=Path, default=Path("configs/pocket"))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    library = Library.load(chosen.library)
    for domain in chosen.domains.split(","):
        folder = BASE.parent / domain
        if (folder / "README.md").exists() and not chosen.again:
            print(f"{domain}: done already")
            continue
        scores = tune(domain, Plan(steps=chosen.steps), library, torch.device(chosen.device), folder)
        print(json.dumps({"domain": domain, **scores}), flush=True)


if __name__ == "__main__":
    main()
