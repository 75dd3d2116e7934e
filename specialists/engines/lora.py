"""Several LoRA adapters on one model, each row of a batch under its own: two batched matrix products a layer.

Adapters are stacked, so that a batch of many specialists costs the same kernels as one: for row b under adapter k,
y = W x + B_k (A_k x) scaled by alpha_k / r_k (Hu et al. 2021, arXiv:2106.09685), computed for all rows at once as in
multi-tenant serving (Chen et al. 2023, Punica, arXiv:2310.18547). Ranks may differ; shorter ones are padded with zeros.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from specialists.protocol import WeightsInvalid, WeightsMissing

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True)
class Adapter:
    """The matrices of one adapter by the name of the layer they belong to: A [r, in], B [out, r], scaling included."""

    name: str
    layers: Mapping[str, tuple[Tensor, Tensor]]


def load_adapter(name: str, folder: Path) -> Adapter:
    """The adapter of specialist `name` in `folder`, as peft saves it. Raises WeightsMissing or WeightsInvalid."""
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / file).is_file():
            raise WeightsMissing(f"specialist {name!r}: its adapter is not at {folder} ({file} is missing there)")
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
        tensors = load_file(folder / WEIGHTS_FILE)
        scaling = config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, SafetensorError) as exc:
        raise WeightsInvalid(f"specialist {name!r}: the adapter at {folder} can't be read: {exc!r}") from exc
    unsupported = [key for key in ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern") if config.get(key)]
    if unsupported or config.get("bias", "none") != "none" or config.get("peft_type", "LORA") != "LORA":
        raise WeightsInvalid(
            f"specialist {name!r}: the adapter at {folder} is more than plain LoRA ({', '.join(unsupported) or 'bias or type'})"
        )
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for key, down in tensors.items():
        if key.endswith(".lora_A.weight"):
            layer = key.removesuffix(".lora_A.weight").removeprefix("base_model.model.")
            up = tensors.get(key.replace("lora_A", "lora_B"))
            if up is None or up.shape[1] != down.shape[0]:
                raise WeightsInvalid(f"specialist {name!r}: the adapter at {folder} has no fitting lora_B for {layer}")
            layers[layer] = (down.float(), up.float() * scaling)
    known = {f"base_model.model.{layer}.lora_{half}.weight" for layer in layers for half in "AB"}
    strange = sorted(set(tensors) - known)
    if strange or not layers:
        raise WeightsInvalid(
            f"specialist {name!r}: the adapter at {folder} has tensors that are no plain LoRA: {strange[:1] or 'none at all'}"
        )
    return Adapter(name, layers)


def layer_shapes(model: str, trust_remote_code: bool = False) -> dict[str, tuple[int, int]]:
    """(in, out) of each linear layer of a model, by its name; made without weights, so that it costs next to nothing.

    Empty for a model that transformers does not know.
    """
    try:
        described = AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
        with torch.device("meta"):
            made = AutoModelForCausalLM.from_config(described, trust_remote_code=trust_remote_code)  # type: ignore[no-untyped-call]
    except Exception:  # the library raises many kinds
        logging.getLogger(__name__).debug("no shapes to check adapters with", exc_info=True)
        return {}
    return {name: (m.in_features, m.out_features) for name, m in made.named_modules() if isinstance(m, nn.Linear)}


def check_fit(folders: Mapping[str, Path], layers: Mapping[str, tuple[int, int]]) -> None:
    """Raise WeightsInvalid, naming the specialist, for an adapter in `folders` whose matrices do not fit `layers` ((in, out) by name).

    Reads no weights, only their shapes. What belongs to a layer that `layers` lacks is not judged.
    """
    for name, folder in folders.items():
        try:
            with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
                shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
        except (OSError, SafetensorError) as exc:
            raise WeightsInvalid(f"specialist {name!r}: the adapter at {folder} can't be read: {exc}") from exc
        for key, shape in shapes.items():
            layer, half = key.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".lora_")[::2]
            wanted = layers.get(layer)
            if wanted is not None and half in ("A", "B") and wanted[half == "B"] != shape[half == "A"]:
                raise WeightsInvalid(
                    f"specialist {name!r}: the adapter at {folder} does not fit the model at {layer}: "
                    f"lora_{half} is {list(shape)}, and the layer goes from {wanted[0]} to {wanted[1]}"
                )


class Selection:
    """Which adapter each row of the next forward pass runs under; shared by all the layers of a model."""

    def __init__(self) -> None:
        self.rows: Tensor | None = None
        self.version = 0

    def choose(self, rows: Tensor | None) -> None:
        """`rows` [batch]: the adapter's index for each row, 0 for the plain model; None: plain for all."""
        self.rows = rows
        self.version += 1


class StackedLora(nn.Module):
    """A linear layer with the stacked adapters on it. Input [batch, length, in], output [batch, length, out]."""

    down: Tensor
    up: Tensor

    def __init__(self, linear: nn.Linear, pairs: Sequence[tuple[Tensor, Tensor] | None], selection: Selection) -> None:
        super().__init__()
        self.linear, self._selection, self._version = linear, selection, -1
        rank = max(pair[0].shape[0] for pair in pairs if pair is not None)
        down = torch.zeros(len(pairs) + 1, linear.in_features, rank)
        up = torch.zeros(len(pairs) + 1, rank, linear.out_features)
        for index, pair in enumerate(pairs, 1):
            if pair is not None:
                down[index, :, : pair[0].shape[0]] = pair[0].T
                up[index, : pair[1].shape[1]] = pair[1].T
        self.register_buffer("down", down.to(linear.weight))
        self.register_buffer("up", up.to(linear.weight))
        self._chosen = (self.down[:0], self.up[:0])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        rows = self._selection.rows
        if rows is None:
            return y
        if self._version != self._selection.version:
            self._chosen = (self.down[rows], self.up[rows])
            self._version = self._selection.version
        down, up = self._chosen
        return torch.baddbmm(y, torch.bmm(x, down), up)


def install_adapters(model: nn.Module, adapters: Sequence[Adapter]) -> Selection:
    """Put `adapters` on `model`, in place; adapter i of the list is row value i + 1 of the selection."""
    selection = Selection()
    for layer in sorted({layer for adapter in adapters for layer in adapter.layers}):
        parent_name, _, child = layer.rpartition(".")
        owner = next(a for a in adapters if layer in a.layers)
        try:
            parent = model.get_submodule(parent_name)
            linear = getattr(parent, child)
        except AttributeError as exc:
            raise WeightsInvalid(f"specialist {owner.name!r}: its adapter is for a layer the model lacks: {layer}") from exc
        _check_shapes(linear, layer, adapters)
        setattr(parent, child, StackedLora(linear, [a.layers.get(layer) for a in adapters], selection))
    return selection


def _check_shapes(linear: nn.Module, layer: str, adapters: Sequence[Adapter]) -> None:
    for adapter in adapters:
        if layer not in adapter.layers:
            continue
        down, up = adapter.layers[layer]
        if not isinstance(linear, nn.Linear) or (down.shape[1], up.shape[0]) != (
            linear.in_features,
            linear.out_features,
        ):
            raise WeightsInvalid(
                f"specialist {adapter.name!r}: its adapter does not fit the model at {layer}: [{down.shape[1]} -> {up.shape[0]}]"
            )
