from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import torch

from specialists.config import POCKET
from specialists.training.scratch import Plan, Trainer, exact_match, induction_batch, learning_rate

TINY = Plan(layers=2, width=64, hidden=64, heads=2, steps=6, warmup=2, tokens_per_batch=600, induction_loss=9.0)
CPU = torch.device("cpu")


def folder(path: Path) -> Path:
    path.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(POCKET / "base" / name, path / name)
    return path


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    """Induction is left after one step (its loss is below 9), then reading; broken off in the middle of it."""
    whole = Trainer(TINY, folder(tmp_path / "whole"), CPU)
    for _ in range(6):
        whole.train_step()
    first = Trainer(TINY, folder(tmp_path / "broken"), CPU)
    for _ in range(3):
        first.train_step()
    first.save()
    again = Trainer(TINY, tmp_path / "broken", CPU)
    assert (again.step, again.read, again.reading) == (3, first.read, True)
    for _ in range(3):
        again.train_step()
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_rate_warms_up_holds_and_falls_to_nothing() -> None:
    rates = [learning_rate(TINY, step, step, 4) for step in range(7)]
    assert rates[0] == TINY.rate / 2
    assert rates[1:5] == [TINY.rate] * 4
    assert rates[5] == TINY.rate / 2
    assert rates[6] == 0.0


def test_induction_strings_repeat() -> None:
    batch = induction_batch(Random(0), 64, count=5)
    assert int(batch.ids.max()) < 64
    for place, target in zip(batch.places.tolist(), batch.targets.tolist(), strict=True):
        row, column = divmod(place, batch.ids.shape[1])
        assert target in batch.ids[row, : column + 1].tolist()


def test_exact_match_is_of_whole_answers(tmp_path: Path) -> None:
    trainer = Trainer(TINY, folder(tmp_path / "run"), CPU)
    trainer.train_step()
    batch = trainer.next_batch()
    assert exact_match(trainer.model, [batch]) < 0.2  # it has learned nothing yet
    assert exact_match(trainer.model, []) == 0.0
