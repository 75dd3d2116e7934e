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
import shutil
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

from specialists.training.documents import make_document_exercise
from specialists.training.packing import Batch, Packed, collate, pack
from specialists.training.pointing import induction_attention_loss, pointing_layer, pointing_loss
from specialists.training.reading import UNANSWERABLE_SHARE, Exercise, make_exercise
from specialists.training.rewording import reword
from specialists.training.tokenizer import MAX_LENGTH, load_or_train

FIRST_WEIGHT: Final = 3.0
TEXT_WEIGHT: Final = 0.4
DOCUMENTS_SHARE: Final = 0.6
"""Of batches, once reading has begun: natural documents in place of single sentences put together."""
REWORDED_SHARE: Final = 0.15
"""Of natural documents: with words exchanged for others, so that reading does not hang on known ones."""
QUESTIONS: Final = 12
"""The most questions to a context: reading it costs more than asking."""
POINTING_WEIGHT: Final = 1.0
OTHERS: Final = 2048
EMBEDDINGS_SHARE: Final = 0.02
BASE: Final = Path(__file__).parent.parent / "pocket" / "base"


@dataclass(frozen=True)
class Plan:
    """What a run does; saved with its checkpoints."""

    layers: int = 5
    width: int = 256
    hidden: int = 640
    heads: int = 8
    steps: int = 4600
    """Of reading; induction comes before them and takes what it takes."""
    induction_loss: float = 0.6
    """Of copying, averaged over steps; reading begins once it is below."""
    found: tuple[float, float] = (0.35, 0.5)
    """Exercises get easier while fewer answers than the first share are found, and harder while more than the second are."""
    level_steps: int = 300
    latest: tuple[float, float] = (0.35, 0.7)
    """Shares of the run: from the first on exercises get harder whatever is found, and by the second they are the hardest."""
    decay_share: float = 0.6
    warmup: int = 100
    rate: float = 2e-3
    tokens_per_batch: int = 7000
    seed: int = 20261120

    def least_level(self, read: int) -> float:
        """The level that exercises have at the least after `read` steps of reading."""
        begin, end = self.latest
        return min(1.0, max(0.0, (read / max(1, self.steps) - begin) / (end - begin)))


def build_model(plan: Plan, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """A Llama of the plan's size, with weights drawn from the current seed.

    Layers from the third on begin as the identity: copying needs two. The embeddings have something in common, so that
    a head can look one token back whatever the tokens are.
    """
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=plan.width, intermediate_size=plan.hidden, num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads, num_key_value_heads=plan.heads, max_position_embeddings=MAX_LENGTH, tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    model: LlamaForCausalLM = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        model.model.embed_tokens.weight[:, : plan.width // 16] += EMBEDDINGS_SHARE
        for layer in model.model.layers[2:]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return model


def layer_outputs(model: LlamaForCausalLM, batch: Batch) -> list[Tensor]:
    """The embeddings, each layer's output and the normed last one, all [B, T, width].

    The layers are called one by one: what they hand on is wanted, and each may have been compiled by itself.
    """
    inner = model.model
    outputs: list[Tensor] = [inner.embed_tokens(batch.ids)]
    kind = torch.get_autocast_dtype(batch.ids.device.type) if torch.is_autocast_enabled(batch.ids.device.type) else model.dtype
    mask = torch.zeros(batch.mask.shape, dtype=kind, device=batch.mask.device).masked_fill_(~batch.mask, torch.finfo(kind).min)
    angles = inner.rotary_emb(outputs[0], batch.positions)
    for layer in inner.layers:
        outputs.append(layer(outputs[-1], attention_mask=mask, position_ids=batch.positions, position_embeddings=angles, use_cache=False))
    return [*outputs, inner.norm(outputs[-1])]


def compile_layers(model: LlamaForCausalLM) -> None:
    """Compile each layer where there is a compiler (torch.compile wants one on a CPU): a step takes a third less time."""
    if shutil.which("g++") is not None:
        for layer in model.model.layers:
            layer.compile(dynamic=True)


def flat(states: Tensor) -> Tensor:
    """[B, T, width] -> [B * T, width]."""
    return states.reshape(-1, states.shape[-1])


def logits_at(model: LlamaForCausalLM, hidden: Tensor, places: Tensor) -> Tensor:
    """Logits at some places, [N, vocab]. Padded to few different sizes: the CPU's kernels are compiled for each shape."""
    padded = torch.nn.functional.pad(places, (0, -len(places) % 256))
    logits: Tensor = model.lm_head(hidden[padded])
    return logits[: len(places)].float()


def answer_logits(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Logits at the answers' places, [N, vocab]."""
    return logits_at(model, flat(layer_outputs(model, batch)[-1]), batch.places)


def answer_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Mean over tokens, an answer's first one counted FIRST_WEIGHT times: it decides which answer it is, the rest copies."""
    weights = torch.where(first_tokens(batch), FIRST_WEIGHT, 1.0)
    return (cross_entropy(logits, batch.targets, reduction="none") * weights).sum() / weights.sum()


def reading_loss(model: LlamaForCausalLM, batch: Batch, rng: Random) -> tuple[Tensor, Tensor, float | None]:
    """The loss of a reading step; the answers' part of it alone; and how often the first token of a found answer is right.

    The whole has shares of the loss on OTHERS tokens of the text, which teaches what belongs to whom, and of the
    attention's. The accuracy is over the questions whose answer
    stands in one place of the context; None if there are none.
    """
    outputs = layer_outputs(model, batch)
    hidden = flat(outputs[-1])
    logits = logits_at(model, hidden, batch.places)
    answers = answer_loss(logits, batch)
    chosen = batch.others[torch.tensor(rng.sample(range(len(batch.others)), min(OTHERS, len(batch.others))), device=batch.others.device)]
    text = cross_entropy(logits_at(model, hidden, chosen), batch.ids.flatten()[chosen + 1])
    found = first_tokens(batch) & (batch.pointers >= 0)
    right = (logits.argmax(-1) == batch.targets)[found].float().mean().item() if bool(found.any()) else None
    return answers + TEXT_WEIGHT * text + POINTING_WEIGHT * pointing_loss(model, outputs[pointing_layer(model)], batch), answers, right


def induction_loss(model: LlamaForCausalLM, batch: Batch) -> tuple[Tensor, Tensor]:
    """The loss of an induction step, attention's included, and that of the tokens alone."""
    outputs = layer_outputs(model, batch)
    told = cross_entropy(logits_at(model, flat(outputs[-1]), batch.places), batch.targets)
    return told + POINTING_WEIGHT * induction_attention_loss(model, outputs, batch), told


def first_tokens(batch: Batch) -> Tensor:
    """Which of the places [N] are an answer's first."""
    first = torch.ones_like(batch.questions, dtype=torch.bool)
    first[1:] = batch.questions[1:] != batch.questions[:-1]
    return first


def reading_batch(rng: Random, tokenizer: PreTrainedTokenizerBase, level: float, tokens: int) -> Batch:
    """Exercises of one size. Contexts grow, so that finding is learned on short ones; questions without an answer come
    once finding has begun: before, saying that the passages do not tell is the best guess, and nothing else is learned."""
    most = 1 if level < 0.1 else 2 if level < 0.25 else 3 if level < 0.7 else 4
    refused = UNANSWERABLE_SHARE * min(1.0, max(0.0, level - 0.5) / 0.4)
    plain = max(0.05, 0.85 - 1.2 * level)
    passages = rng.choices(range(most + 1), [0.15, 3, 4, 3, 2][: most + 1])[0]
    natural = passages > 0 and level >= 0.25 and rng.random() < DOCUMENTS_SHARE
    room = 64 * (1 + ((150 if natural else 80) * passages + 260) // 64)
    packed: list[Packed] = []
    while len(packed) < max(8, tokens // room):
        if natural:
            made = make_document_exercise(rng, passages, QUESTIONS, unanswerable=refused)
            if rng.random() < REWORDED_SHARE:
                made = reword(rng, made, rng.uniform(0.1, 0.7))
        else:
            made = make_exercise(rng, passages, QUESTIONS, unanswerable=refused, plain=plain)
        exercise = pack(tokenizer, made)
        if len(exercise.ids) <= room:
            packed.append(exercise)
    return collate(packed, int(tokenizer.pad_token_id), room)


def induction_batch(rng: Random, vocabulary: int, count: int = 32, length: int = 64) -> Batch:
    """Strings of 8 to 24 random tokens, written again and again; the repeats are to be learned."""
    once = [[rng.randrange(5, vocabulary) for _ in range(rng.randint(8, 24))] for _ in range(count)]
    ids = torch.tensor([(row * length)[:length] for row in once])
    places = [r * length + i - 1 for r, row in enumerate(once) for i in range(len(row) + 1, length)]
    targets = ids.flatten()[torch.tensor(places) + 1]
    mask = torch.ones(length, length, dtype=torch.bool).tril().expand(count, 1, length, length)
    positions, nothing = torch.arange(length).expand(count, length), torch.zeros(0, dtype=torch.long)
    pointers = torch.tensor([i - len(row) for row in once for i in range(len(row) + 1, length)])
    return Batch(ids, positions, mask, torch.tensor(places), targets, torch.zeros(len(places)), nothing, pointers)


def learning_rate(plan: Plan, step: int, read: int, decay_from: int) -> float:
    """Linear warm-up over the first steps; constant; linear decay to nothing from reading step `decay_from` on."""
    left = 1.0 if read < decay_from else max(0.0, (plan.steps - read) / max(1, plan.steps - decay_from))
    return plan.rate * left * min(1.0, (step + 1) / plan.warmup)


@torch.no_grad()
def exact_match(model: LlamaForCausalLM, batches: list[Batch]) -> float:
    """Share of questions whose answer would be decoded greedily without a fault, end included."""
    right = total = 0
    for batch in batches:
        hits = answer_logits(model, batch).argmax(-1) == batch.targets
        for question in torch.unique(batch.questions):
            total += 1
            right += bool(hits[batch.questions == question].all())
    return right / max(1, total)


def development_sets(tokenizer: PreTrainedTokenizerBase, seed: int) -> dict[str, list[Batch]]:
    """Exercises never trained on: relations that training knows with new names, and relations and documents it never sees."""
    sets: dict[str, list[Batch]] = {}
    for name, held_out in (("known_relations", False), ("unseen_relations", True)):
        rng = Random(seed + 1)
        exercises = [make_exercise(rng, 4, 5, held_out=held_out) for _ in range(48)]
        sets[name] = _collated(tokenizer, exercises)
    rng = Random(seed + 2)
    sets["unseen_documents"] = _collated(tokenizer, [make_document_exercise(rng, 3, 5, held_out=True) for _ in range(48)])
    return sets


def _collated(tokenizer: PreTrainedTokenizerBase, exercises: list[Exercise]) -> list[Batch]:
    packed = [pack(tokenizer, e) for e in exercises if e.questions]
    return [collate(packed[i : i + 16], int(tokenizer.pad_token_id)) for i in range(0, len(packed), 16)]


class Trainer:
    """A run in a folder: model, optimizer, step and log, resumed where it stopped."""

    def __init__(self, plan: Plan, folder: Path, device: torch.device, compiled: bool = False) -> None:
        self.plan, self.folder, self.device = plan, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(plan.seed)
        self.tokenizer = load_or_train(folder)
        self.model = build_model(plan, self.tokenizer)
        self.model.to(device)  # type: ignore[arg-type]
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        groups = [
            {"params": matrices, "weight_decay": 0.05},
            {"params": [p for p in self.model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98), fused=True)
        self.step, self.read, self.reading, self.average = 0, 0, False, 0.0
        self.level, self.found = 0.0, 0.0
        self.seconds, self.tokens, self.log = 0.0, 0, list[dict[str, float]]()
        self.decay_from = int(plan.steps * (1 - plan.decay_share))
        if (folder / "state.pt").exists():
            self.resume()
        if compiled:
            compile_layers(self.model)

    def resume(self) -> None:
        state = torch.load(self.folder / "state.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.read, self.reading, self.average = state["step"], state["read"], state["reading"], state["average"]
        self.level, self.found = state["level"], state["found"]
        self.seconds, self.tokens, self.log = state["seconds"], state["tokens"], state["log"]
        self.decay_from = state["decay_from"]
        if state["plan"]["steps"] != self.plan.steps and self.read < self.plan.steps:
            self.decay_from = max(int(self.plan.steps * (1 - self.plan.decay_share)), self.read)

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step, "read": self.read,
                 "reading": self.reading, "level": self.level, "found": self.found, "average": self.average, "decay_from": self.decay_from,
                 "seconds": self.seconds, "tokens": self.tokens, "log": self.log,
                 "plan": asdict(self.plan)}  # fmt: skip
        torch.save(state, self.folder / "state.tmp")
        os.replace(self.folder / "state.tmp", self.folder / "state.pt")

    def next_batch(self) -> Batch:
        rng = Random(self.plan.seed * 1_000_003 + self.step)
        if not self.reading:
            return induction_batch(rng, len(self.tokenizer))
        return reading_batch(rng, self.tokenizer, self.level, self.plan.tokens_per_batch)

    def train_step(self) -> float:
        batch = self.next_batch().to(self.device)
        rate = learning_rate(self.plan, self.step, self.read, self.decay_from)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            if self.reading:
                loss, told, right = reading_loss(self.model, batch, Random(self.step))
                self._grade(right)
            else:
                loss, told = induction_loss(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._count(told.item(), batch.ids.numel())
        return told.item()

    def _grade(self, right: float | None) -> None:
        """Harder exercises when answers are found, easier ones when they are not."""
        if right is not None:
            self.found = 0.95 * self.found + 0.05 * right
        low, high = self.plan.found
        step = (self.found > high) - (self.found < low)
        self.level = min(1.0, max(self.plan.least_level(self.read), self.level + step / self.plan.level_steps))

    def _count(self, loss: float, tokens: int) -> None:
        self.step, self.tokens, self.read = self.step + 1, self.tokens + tokens, self.read + self.reading
        self.average = loss if not self.average else 0.9 * self.average + 0.1 * loss
        if not self.reading and self.average < self.plan.induction_loss:
            self.reading, self.average = True, 0.0

    def evaluate(self, sets: dict[str, list[Batch]]) -> dict[str, float]:
        self.model.eval()  # type: ignore[no-untyped-call]
        scores = {name: round(exact_match(self.model, [b.to(self.device) for b in batches]), 4) for name, batches in sets.items()}
        self.model.train()
        return scores

    def run(self, every: int = 100) -> None:
        """Train to the last step, with a progress bar; a line of the log and a checkpoint every `every` steps."""
        sets = development_sets(self.tokenizer, self.plan.seed)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress:
            task = progress.add_task("training", total=self.plan.steps, completed=self.read)
            while self.read < self.plan.steps:
                started = time.monotonic()
                self.train_step()
                self.seconds += time.monotonic() - started
                stage = "reading" if self.reading else "induction"
                progress.update(task, completed=self.read, description=f"{stage} {self.step}: loss {self.average:.3f}")
                if self.step % every == 0 or self.read == self.plan.steps:
                    self._note(self.evaluate(sets) if self.reading else {})

    def _note(self, scores: dict[str, float]) -> None:
        line = {"step": float(self.step), "read": float(self.read), "loss": round(self.average, 4),
                "level": round(self.level, 3), "found": round(self.found, 3),
                "tokens": float(self.tokens), "seconds": round(self.seconds), **scores}  # fmt: skip
        self.log.append(line)
        print(json.dumps(line), flush=True)
        self.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/base"))
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    trainer = Trainer(Plan(steps=chosen.steps), chosen.run, torch.device(chosen.device), compiled=True)
    trainer.run()


if __name__ == "__main__":
    main()
