"""Train the pocket base from scratch: `python -m specialists.training.scratch [--steps N] [--run DIR]`.

Two stages. Induction: strings of random tokens, repeated; loss on the repeats, so that copying forms before anything
else. Reading: generated exercises (specialists.training.reading), loss on the answers. The learning rate is constant
and then falls to nothing over the last part (warm-up, stable, decay), so that a run can be ended early from any
checkpoint: `--steps` smaller than planned starts the decay at once.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from specialists.training.packing import Batch, collate, pack
from specialists.training.reading import make_exercise
from specialists.training.tokenizer import MAX_LENGTH, load_or_train

BASE: Final = Path(__file__).parent.parent / "pocket" / "base"


@dataclass(frozen=True)
class Plan:
    """What a run does; saved with its checkpoints."""

    layers: int = 6
    width: int = 192
    hidden: int = 512
    heads: int = 6
    induction_steps: int = 400
    steps: int = 3500
    decay_share: float = 0.3
    warmup: int = 100
    rate: float = 2e-3
    tokens_per_batch: int = 9000
    seed: int = 20261120


def build_model(plan: Plan, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """A Llama of the plan's size, with weights drawn from the current seed."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=plan.width, intermediate_size=plan.hidden, num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads, num_key_value_heads=plan.heads, max_position_embeddings=MAX_LENGTH, tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None, attn_implementation="sdpa",
    )  # fmt: skip
    return LlamaForCausalLM(config)


def answer_logits(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Logits at the answers' places only, [N, vocab]: the head is a fourth of the work, and the rest teaches little."""
    mask = torch.zeros(batch.mask.shape, dtype=model.dtype, device=batch.mask.device)
    if torch.is_autocast_enabled(batch.ids.device.type):
        mask = mask.to(torch.get_autocast_dtype(batch.ids.device.type))
    mask.masked_fill_(~batch.mask, torch.finfo(mask.dtype).min)
    hidden = model.model(input_ids=batch.ids, attention_mask=mask, position_ids=batch.positions, use_cache=False).last_hidden_state
    logits: Tensor = model.lm_head(hidden.reshape(-1, hidden.shape[-1])[batch.places])
    return logits.float()


def reading_batch(rng: Random, tokenizer: PreTrainedTokenizerBase, progress: float, tokens: int) -> Batch:
    """Exercises of one size; contexts grow over the first third of the run, so that finding is learned on short ones."""
    most = 3 if progress < 0.12 else 5 if progress < 0.35 else 6
    passages = rng.choices(range(most + 1), [0.15, 1, 2, 2, 3, 3, 2][: most + 1])[0]
    count = max(8, tokens // (70 * passages + 230))
    return collate([pack(tokenizer, make_exercise(rng, passages)) for _ in range(count)], int(tokenizer.pad_token_id))


def induction_batch(rng: Random, vocab: int, progress: float, count: int = 32) -> Batch:
    """Random strings of 8 to 40 tokens, written 2 to 4 times; the repeats are to be learned."""
    rows = []
    for _ in range(count):
        once = [rng.randrange(5, vocab) for _ in range(rng.randint(8, 16 + int(24 * progress)))]
        rows.append(once * rng.randint(2, 4))
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    places = [r * length + i - 1 for r, row in enumerate(rows) for i in range(1, len(row)) if row[i] in row[:i]]
    targets = ids.flatten()[torch.tensor(places) + 1]
    mask = torch.ones(length, length, dtype=torch.bool).tril().expand(count, 1, length, length)
    return Batch(ids, torch.arange(length).expand(count, length), mask, torch.tensor(places), targets, torch.zeros(len(places)))


def learning_rate(plan: Plan, step: int, decay_from: int) -> float:
    """Linear warm-up, constant, then linear decay to nothing from `decay_from` to the last step."""
    if step < plan.warmup:
        return plan.rate * (step + 1) / plan.warmup
    if step < decay_from:
        return plan.rate
    return plan.rate * max(0.0, (plan.steps - step) / max(1, plan.steps - decay_from))


@torch.no_grad()
def exact_match(model: LlamaForCausalLM, batches: list[Batch]) -> float:
    """Share of questions whose answer would be decoded greedily without a fault, end included."""
    right = total = 0
    for batch in batches:
        hits = answer_logits(model, batch).argmax(-1) == batch.targets
        for question in batch.questions.unique():
            total += 1
            right += bool(hits[batch.questions == question].all())
    return right / max(1, total)


def development_sets(tokenizer: PreTrainedTokenizerBase, seed: int) -> dict[str, list[Batch]]:
    """Exercises never trained on: relations that training knows with new names, and relations it never sees."""
    sets: dict[str, list[Batch]] = {}
    for name, held_out in (("known_relations", False), ("unseen_relations", True)):
        rng = Random(seed + 1)
        exercises = [make_exercise(rng, 4, 5, held_out=held_out) for _ in range(48)]
        packed = [pack(tokenizer, e) for e in exercises if e.questions]
        sets[name] = [collate(packed[i : i + 16], int(tokenizer.pad_token_id)) for i in range(0, len(packed), 16)]
    return sets


class Trainer:
    """A run in a folder: model, optimizer, step and log, resumed where it stopped."""

    def __init__(self, plan: Plan, folder: Path, device: torch.device) -> None:
        self.plan, self.folder, self.device = plan, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(plan.seed)
        self.tokenizer = load_or_train(folder)
        self.model = build_model(plan, self.tokenizer).to(device)
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        groups = [{"params": matrices, "weight_decay": 0.05}, {"params": [p for p in self.model.parameters() if p.ndim < 2], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98), fused=True)
        self.step, self.seconds, self.tokens, self.log = 0, 0.0, 0, list[dict[str, float]]()
        self.decay_from = int(plan.steps * (1 - plan.decay_share))
        if (folder / "state.pt").exists():
            self.resume()

    def resume(self) -> None:
        state = torch.load(self.folder / "state.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.tokens, self.log = state["step"], state["seconds"], state["tokens"], state["log"]
        self.decay_from = max(self.decay_from, self.step) if self.step < self.plan.steps else self.decay_from

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step,
                 "seconds": self.seconds, "tokens": self.tokens, "log": self.log, "plan": asdict(self.plan)}  # fmt: skip
        torch.save(state, self.folder / "state.tmp")
        os.replace(self.folder / "state.tmp", self.folder / "state.pt")

    def train_step(self) -> float:
        plan, rng = self.plan, Random(self.plan.seed * 1_000_003 + self.step)
        if self.step < plan.induction_steps:
            batch = induction_batch(rng, len(self.tokenizer), self.step / plan.induction_steps)
        else:
            done = (self.step - plan.induction_steps) / max(1, plan.steps - plan.induction_steps)
            batch = reading_batch(rng, self.tokenizer, done, plan.tokens_per_batch)
        batch = batch.to(self.device)
        rate = learning_rate(plan, self.step, self.decay_from)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            loss = cross_entropy(answer_logits(self.model, batch), batch.targets)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.tokens += batch.ids.numel()
        return loss.item()

    def evaluate(self, sets: dict[str, list[Batch]]) -> dict[str, float]:
        self.model.eval()
        scores = {name: round(exact_match(self.model, [b.to(self.device) for b in batches]), 4) for name, batches in sets.items()}
        self.model.train()
        return scores

    def run(self, every: int = 200) -> None:
        """Train to the last step, with a progress bar; a line of the log and a checkpoint every `every` steps."""
        sets, average = development_sets(self.tokenizer, self.plan.seed), 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress:
            task = progress.add_task("training", total=self.plan.steps, completed=self.step)
            while self.step < self.plan.steps:
                started = time.monotonic()
                loss = self.train_step()
                self.seconds += time.monotonic() - started
                average = loss if not average else 0.97 * average + 0.03 * loss
                progress.update(task, completed=self.step, description=f"loss {average:.3f}")
                if self.step % every == 0 or self.step == self.plan.steps:
                    scores = {} if self.step < self.plan.induction_steps else self.evaluate(sets)
                    line = {"step": float(self.step), "loss": round(average, 4), "tokens": float(self.tokens), "seconds": round(self.seconds), **scores}
                    self.log.append(line)
                    print(json.dumps(line), flush=True)
                    self.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/base"))
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    trainer = Trainer(Plan(steps=chosen.steps), chosen.run, torch.device(chosen.device))
    trainer.run()


if __name__ == "__main__":
    main()
