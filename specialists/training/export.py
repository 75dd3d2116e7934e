"""Write the trained base where it ships from: `python -m specialists.training.export [--run DIR]`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import torch

from specialists.training.cards import hardware, write_card
from specialists.training.scratch import BASE, Plan, Trainer, development_sets

ABOUT: Final = """
A small Llama, trained from scratch to read: given passages and a question, it copies the answer out of the right
passage, or says that the passages do not tell. It has seen no text but made-up passages, and knows nothing by heart.
"""


def export_base(trainer: Trainer, folder: Path = BASE) -> dict[str, float]:
    """Save weights (safetensors, bfloat16), tokenizer and card to `folder`; returns the card's scores."""
    folder.mkdir(parents=True, exist_ok=True)
    model = trainer.model
    model.to(torch.bfloat16)  # type: ignore[arg-type]
    model.save_pretrained(folder, safe_serialization=True)
    trainer.tokenizer.save_pretrained(folder)
    model.to(torch.float32)  # type: ignore[arg-type]  # scored as it will be served: rounded to bfloat16, computed in float32
    scores = trainer.evaluate(development_sets(trainer.tokenizer, trainer.plan.seed))
    facts = {
        "architecture": f"Llama, {trainer.plan.layers} layers, width {trainer.plan.width}, {trainer.plan.heads} heads, "
        f"vocabulary {len(trainer.tokenizer)}, tied embeddings, {sum(p.numel() for p in model.parameters()):,} parameters",
        "data": "specialists.training.reading and .documents: made-up passages and documents, "
        "up to 12 questions each; at the end 30% of them unanswerable",
        "steps": f"{trainer.step - trainer.read:,} of induction, {trainer.read:,} of reading",
        "tokens": f"{trainer.tokens:,}",
        "seconds": f"{trainer.seconds:,.0f}",
        "hardware": hardware(trainer.device),
        "seed": trainer.plan.seed,
        "retrain": "`python -m specialists.training.scratch && python -m specialists.training.export`",
    }
    named = {
        "made-up passages (4), relations known from training, new names": scores["known_relations"],
        "made-up passages (4), relations never trained on, new names": scores["unseen_relations"],
        "made-up documents (3) of builds never trained on": scores["unseen_documents"],
    }
    write_card(folder, "pocket base", ABOUT, facts, named)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/base"))
    parser.add_argument("--to", type=Path, default=BASE)
    chosen = parser.parse_args()
    print(export_base(Trainer(Plan(), chosen.run, torch.device("cpu")), chosen.to))


if __name__ == "__main__":
    main()
