from __future__ import annotations

from pathlib import Path

import torch

from specialists.training.pointing import HEADS, captured_input, pointing_layer, pointing_loss
from specialists.training.scratch import Trainer, hidden_states
from tests.training.test_scratch import CPU, TINY, folder


def test_pointers_name_the_tokens_that_are_copied(tmp_path: Path) -> None:
    trainer = Trainer(TINY, folder(tmp_path / "run"), CPU)
    trainer.train_step()
    batch = trainer.next_batch()
    wanted = batch.pointers >= 0
    rows = batch.places[wanted] // batch.ids.shape[1]
    assert wanted.any()
    assert torch.equal(batch.ids[rows, batch.pointers[wanted]], batch.targets[wanted])


def test_the_loss_is_that_of_the_supervised_heads_alone(tmp_path: Path) -> None:
    """It falls when it is trained on, moves the layer's queries and keys, and leaves the head's values alone."""
    trainer = Trainer(TINY, folder(tmp_path / "run"), CPU)
    trainer.train_step()
    batch = trainer.next_batch()
    layer = pointing_layer(trainer.model)
    losses = []
    for _ in range(12):
        with captured_input(layer) as read:
            hidden_states(trainer.model, batch)
        loss = pointing_loss(trainer.model, read[0], batch)
        trainer.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert layer.get_submodule("self_attn.v_proj").weight.grad is None
        trainer.optimizer.step()
        losses.append(loss.item())
    assert HEADS == 2 and losses[-1] < losses[0]


def test_without_pointers_there_is_no_loss(tmp_path: Path) -> None:
    trainer = Trainer(TINY, folder(tmp_path / "run"), CPU)
    batch = trainer.next_batch()  # induction: nothing to point at
    with captured_input(pointing_layer(trainer.model)) as read:
        hidden_states(trainer.model, batch)
    assert read[0].shape[:2] == batch.ids.shape
    assert float(pointing_loss(trainer.model, read[0], batch)) == 0.0
