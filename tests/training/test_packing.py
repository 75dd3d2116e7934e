from __future__ import annotations

from random import Random

import pytest
import torch

from specialists.prompt_format import render_messages
from specialists.tokens import encode_answer, encode_chat, load_tokenizer
from specialists.training.packing import collate, pack
from specialists.training.reading import make_exercise


@pytest.mark.parametrize("seed", range(12))
def test_each_packed_question_is_what_serving_sends(seed: int) -> None:
    """Context and question block, joined, are the very tokens that the engine makes of the messages."""
    tokenizer = load_tokenizer("test", "pocket:base")
    exercise = make_exercise(Random(seed), seed % 5)
    packed = pack(tokenizer, exercise)
    for block, (question, answer) in enumerate(exercise.questions, 1):
        mine = [i for i, b in enumerate(packed.blocks) if b in (0, block)]
        prompt = [packed.ids[i] for i in mine if not packed.learned[i]]
        messages = render_messages(question, exercise.passages, exercise.persona, exercise.layout)
        assert prompt == encode_chat(tokenizer, messages)
        assert [packed.positions[i] for i in mine] == list(range(len(mine)))
        learned = [packed.ids[i] for i in mine if packed.learned[i]]
        assert tokenizer.decode(learned) == f" {answer}<|end|>"
        assert learned[:-1] == encode_answer(tokenizer, messages, answer)


def test_questions_do_not_see_each_other() -> None:
    tokenizer = load_tokenizer("test", "pocket:base")
    packed = pack(tokenizer, make_exercise(Random(5), 3))
    batch = collate([packed], 0, length=len(packed.ids) + 7)
    blocks = torch.tensor(packed.blocks)
    sees = batch.mask[0, 0, : len(blocks), : len(blocks)]
    for i, block in enumerate(packed.blocks):
        allowed = ((blocks == 0) | (blocks == block)) & (torch.arange(len(blocks)) <= i)
        assert torch.equal(sees[i], allowed if block else (blocks == 0) & (torch.arange(len(blocks)) <= i))
    assert batch.mask.any(-1).all()  # no row of the mask is empty, padding included


def test_targets_are_the_answers() -> None:
    tokenizer = load_tokenizer("test", "pocket:base")
    exercises = [make_exercise(Random(s), 2) for s in (1, 2)]
    batch = collate([pack(tokenizer, e) for e in exercises], 0)
    for row, exercise in enumerate(exercises):
        for block, (_, answer) in enumerate(exercise.questions, 1):
            mine = batch.targets[batch.questions == row * 1000 + block]
            assert tokenizer.decode(mine.tolist()) == f" {answer}<|end|>"
    assert torch.equal(batch.ids.flatten()[batch.places + 1], batch.targets)
