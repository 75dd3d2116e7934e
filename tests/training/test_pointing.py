from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from specialists.training.pointing import HEADS, induction_attention_loss, pointing_layer, pointing_loss
from specialists.training.scratch import Trainer, layer_outputs
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
    place = pointing_layer(trainer.model)
    layer = trainer.model.model.layers[place]
    losses = []
    for _ in range(12):
        loss = pointing_loss(trainer.model, layer_outputs(trainer.model, batch)[place], batch)
        trainer.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert layer.get_submodule("self_attn.v_proj").weight.grad is None
        trainer.optimizer.step()
        losses.append(loss.item())
    assert HEADS == 2 and losses[-1] < losses[0]


def test_without_pointers_there_is_no_loss(tmp_path: Path) -> None:
    trainer = Trainer(TINY, folder(tmp_path / "run"), CPU)
    batch = trainer.next_batch()
    batch = replace(batch, pointers=torch.full_like(batch.pointers, -1))
    entering = layer_outputs(trainer.model, batch)[pointing_layer(trainer.model)]
    assert entering.shape[:2] == batch.ids.shape
    assert pointing_loss(trainer.model, entering, batch).item() == 0.0


def test_copying_is_taught_to_look_back_and_then_at_what_followed(tmp_path: Path) -> None:
    trainer = Trainer(TINY, folder(tmp_path / "run"), CPU)
    batch = trainer.next_batch()
    rows = batch.places // batch.ids.shape[1]
    assert torch.equal(batch.ids[rows, batch.pointers], batch.targets)
    losses = []
    for _ in range(12):
        loss = induction_attention_loss(trainer.model, layer_outputs(trainer.model, batch), batch)
        trainer.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        trainer.optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
