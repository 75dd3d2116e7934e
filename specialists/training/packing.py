"""Exercises packed for training: one context, many questions after it, none of which sees the others.

Reading a context costs far more tokens than asking about it, so each context is used for several questions. A mask
lets every question see the context and itself alone, and positions go on from the context's end for each, so that
what is learned is exactly what serving does with one question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from specialists.prompt_format import render_messages
from specialists.training.reading import Exercise
from specialists.training.tokenizer import ASSISTANT, END

_MARK: Final = "\x00"


@dataclass(frozen=True)
class Packed:
    """Token ids, their positions, the block each belongs to (0: context), and which are answers (to be learned)."""

    ids: list[int]
    positions: list[int]
    blocks: list[int]
    learned: list[bool]
    pointers: list[int]
    """For tokens to be learned: the one place in the context that they are copied from; -1 if there is none, or several."""


@dataclass(frozen=True)
class Batch:
    """Tensors of a padded batch: ids, positions [B, T]; mask [B, 1, T, T] (True: may look); the answers' places
    in the flattened batch [N], their targets [N] and the question each belongs to [N]; and the places from which
    tokens of contexts and questions follow [M];
    `pointers` [N] are columns of the context to copy from, or -1."""

    ids: Tensor
    positions: Tensor
    mask: Tensor
    places: Tensor
    targets: Tensor
    questions: Tensor
    others: Tensor
    pointers: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(t.to(device) for t in self.__dict__.values()))


def _render(tokenizer: PreTrainedTokenizerBase, exercise: Exercise, question: str) -> str:
    messages = render_messages(question, exercise.passages, exercise.persona, exercise.layout)
    return str(tokenizer.apply_chat_template([{"role": m["role"], "content": m["content"]} for m in messages], tokenize=False))


def pack(tokenizer: PreTrainedTokenizerBase, exercise: Exercise) -> Packed:
    """One exercise as one sequence. The context ends at the colon of 'Question:', where the tokenizer always cuts.

    An answer begins with a space, as its template has it: so its first token is the one that stands in the passage.
    """
    context, _, after = _render(tokenizer, exercise, _MARK).partition(f" {_MARK}")
    ids = tokenizer(context, add_special_tokens=False)["input_ids"]
    packed = Packed(list(ids), list(range(len(ids))), [0] * len(ids), [False] * len(ids), [-1] * len(ids))
    for block, (question, answer) in enumerate(exercise.questions, 1):
        asked = tokenizer(f" {' '.join(question.split())}{after}{ASSISTANT}", add_special_tokens=False)["input_ids"]
        answered = tokenizer(f" {answer}{END}", add_special_tokens=False)["input_ids"]
        count = len(asked) + len(answered)
        packed.ids.extend(asked + answered)
        packed.positions.extend(range(len(ids), len(ids) + count))
        packed.blocks.extend([block] * count)
        packed.learned.extend([False] * len(asked) + [True] * len(answered))
        packed.pointers.extend([-1] * len(asked) + _places_of(answered[:-1], ids) + [-1])
    return packed


def _places_of(answer: list[int], context: list[int]) -> list[int]:
    """Where `answer` stands in `context`, token by token, if it stands there once."""
    starts = [i for i in range(len(context) - len(answer) + 1) if context[i : i + len(answer)] == answer]
    return [starts[0] + i for i in range(len(answer))] if len(starts) == 1 else [-1] * len(answer)


def collate(sequences: Sequence[Packed], pad: int, length: int = 0) -> Batch:
    """Sequences padded on the right to `length` or the longest; padding sees itself only, so that no row of the mask is empty."""
    length = max(length, *(len(s.ids) for s in sequences))

    def padded(rows: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([row + [fill] * (length - len(row)) for row in rows])

    ids = padded([s.ids for s in sequences], pad)
    positions = padded([s.positions for s in sequences], 0)
    blocks = padded([s.blocks for s in sequences], -1)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mine = (blocks[:, None, :] == blocks[:, :, None]) | ((blocks[:, None, :] == 0) & (blocks[:, :, None] > 0))
    learned = padded([[int(x) for x in s.learned] for s in sequences], 0).bool()
    row, column = learned.nonzero(as_tuple=True)
    pointers = padded([s.pointers for s in sequences], -1)[row, column]
    follows = (blocks[:, 1:] == blocks[:, :-1]) & (blocks[:, 1:] >= 0) & ~learned[:, 1:]
    other_row, other_column = follows.nonzero(as_tuple=True)
    return Batch(
        ids,
        positions,
        (mine & causal)[:, None],
        row * length + column - 1,
        ids[row, column],
        row * 1000 + blocks[row, column],
        other_row * length + other_column,
        pointers,
    )
