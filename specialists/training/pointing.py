"""Attention supervised: while it writes an answer, a head looks at the token of the passage that it is to copy.

Which token that is, is known: the exercise was made with it. The heads are ordinary ones and nothing of this is left in
the model that is served; it spares the search for circuits that a small model finds late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import rotate_half

from specialists.training.packing import Batch

HEADS: Final = 2
"""How many heads of the pointing layer are supervised; of the two that copy, one each."""


def pointing_layer(model: LlamaForCausalLM) -> int:
    """The last layer but one: what it finds, the last layer can copy."""
    return max(0, len(model.model.layers) - 2)


def pointing_loss(model: LlamaForCausalLM, entering: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the pointing layer's attention against the places to copy an answer from; 0 if there are none.

    `entering` [B, T, width] is what enters that layer.
    """
    wanted = batch.pointers >= 0
    return attention_loss(model, pointing_layer(model), entering, batch, batch.places[wanted], batch.pointers[wanted], HEADS)


def attention_loss(
    model: LlamaForCausalLM, place: int, entering: Tensor, batch: Batch, places: Tensor, columns: Tensor, count: int = 1
) -> Tensor:
    """Cross-entropy of a layer's first `count` heads: at each of the sorted `places` [N] of the flattened batch they are to
    look at the column of `columns` [N].

    `entering` [B, T, width] is what enters layer number `place`. Only these places' queries are computed, padded to
    [B, P, width], P the most of them in a row.
    """
    if not len(places):
        return entering.new_zeros(())
    layer = model.model.layers[place]
    attention, read = layer.get_submodule("self_attn"), layer.get_submodule("input_layernorm")(entering)
    rows, length, _ = read.shape
    head = int(model.config.hidden_size) // int(model.config.num_attention_heads)
    row, column, slot, asked = _slots(places, rows, length)
    cosines, sines = model.model.rotary_emb(read, batch.positions)

    def heads(name: str, states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        projected: Tensor = attention.get_submodule(name)(states)
        projected = projected.view(rows, states.shape[1], -1, head)[:, :, :count].transpose(1, 2)
        turned: Tensor = projected * cosine[:, None] + rotate_half(projected) * sine[:, None]  # type: ignore[no-untyped-call]
        return turned

    def at(states: Tensor) -> Tensor:
        return states.gather(1, asked[..., None].expand(-1, -1, states.shape[-1]))

    scores = heads("q_proj", at(read), at(cosines), at(sines)) @ heads("k_proj", read, cosines, sines).transpose(-1, -2)
    chosen = scores.float()[row, :, slot] / head**0.5
    chosen = chosen.masked_fill(~batch.mask[row, 0, column][:, None], torch.finfo(torch.float32).min)
    return cross_entropy(chosen.reshape(-1, length), columns[:, None].expand(-1, count).reshape(-1))


def induction_attention_loss(model: LlamaForCausalLM, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
    """The two steps of copying, each taught: the first layer looks one token back, the second at what followed last time.

    `outputs` are those of the embeddings and the layers; the batch's pointers say where each token to come stood last.
    """
    length = batch.ids.shape[1]
    every = torch.arange(batch.ids.numel(), device=batch.ids.device)
    every = every[every % length > 0]
    back = attention_loss(model, 0, outputs[0], batch, every, every % length - 1)
    return back + attention_loss(model, 1, outputs[1], batch, batch.places, batch.pointers)


def _slots(places: Tensor, rows: int, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sorted places [N] of a flattened [rows, length]: row, column and rank in its row of each; the columns by row, padded [rows, P]."""
    row, column = places // length, places % length
    counts = torch.bincount(row, minlength=rows)
    slot = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    asked = torch.zeros(rows, int(counts.max()), dtype=torch.long, device=row.device)
    asked[row, slot] = column
    return row, column, slot, asked
