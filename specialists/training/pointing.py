"""Attention supervised: while it writes an answer, a head looks at the token of the passage that it is to copy.

Which token that is, is known: the exercise was made with it. The head is an ordinary one and nothing of this is left in
the model that is served; it is meant to spare the search for a circuit that a small model finds late.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from specialists.training.packing import Batch

HEADS: Final = 2
"""How many heads of the layer are supervised."""


def pointing_layer(model: LlamaForCausalLM) -> nn.Module:
    """The last layer but one: what it finds, the last layer can copy."""
    layers = list(model.model.layers)
    chosen: nn.Module = layers[max(0, len(layers) - 2)]
    return chosen


@contextmanager
def captured_input(layer: nn.Module) -> Iterator[list[Tensor]]:
    """What the layer's attention reads, [B, T, width], of forward passes within."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, arguments: Any, output: Tensor) -> None:
        seen.append(output)

    handle = layer.get_submodule("input_layernorm").register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def pointing_loss(model: LlamaForCausalLM, read: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the supervised heads' attention against the places to copy from; 0 if there are none.

    `read` [B, T, width] is what the layer's attention reads.
    """
    wanted = batch.pointers >= 0
    if not bool(wanted.any()):
        return read.new_zeros(())
    attention = pointing_layer(model).get_submodule("self_attn")
    rows, length, _ = read.shape
    width = int(model.config.hidden_size) // int(model.config.num_attention_heads)

    def heads(name: str) -> Tensor:
        projected: Tensor = attention.get_submodule(name)(read)
        return projected.view(rows, length, -1, width)[:, :, :HEADS].transpose(1, 2)

    cosines, sines = model.model.rotary_emb(read, batch.positions)
    query, key = apply_rotary_pos_emb(heads("q_proj"), heads("k_proj"), cosines, sines)
    scores = (query @ key.transpose(-1, -2)).float() / width**0.5
    row, column = batch.places[wanted] // length, batch.places[wanted] % length
    chosen = scores[row, :, column].masked_fill(~batch.mask[row, 0, column][:, None], torch.finfo(torch.float32).min)
    targets = batch.pointers[wanted][:, None].expand(-1, chosen.shape[1])
    return cross_entropy(chosen.reshape(-1, length), targets.reshape(-1))
