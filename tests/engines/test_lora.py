"""Stacked adapters against the definition, and against peft."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM

from specialists.config import POCKET
from specialists.engines.lora import Adapter, check_fit, install_adapters, layer_shapes, load_adapter
from specialists.protocol import WeightsInvalid
from tests.conftest import MEMBERS
from tests.engines.conftest import copy_adapter


def adapter(name: str, rank: int, seed: int, layer: str = "0") -> Adapter:
    random = torch.Generator().manual_seed(seed)
    return Adapter(name, {layer: (torch.randn(rank, 6, generator=random), torch.randn(4, rank, generator=random))})


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
@settings(max_examples=30, deadline=None)
def test_each_row_runs_under_its_own_adapter(rows: list[int]) -> None:
    """Adapters of different ranks, and one for another layer only; row 0 is the plain layer."""
    torch.manual_seed(0)
    plain = nn.Linear(6, 4)
    model = nn.Sequential(plain, nn.Linear(4, 6))
    adapters = [adapter("a", 2, 1), adapter("b", 5, 2), Adapter("c", {"1": (torch.randn(2, 4), torch.randn(6, 2))})]
    selection = install_adapters(model, adapters)
    selection.choose(torch.tensor(rows))
    x = torch.randn(len(rows), 3, 6)
    y = model[0](x)
    for i, row in enumerate(rows):
        expected = plain(x[i])
        if row in (1, 2):
            down, up = adapters[row - 1].layers["0"]
            expected = expected + x[i] @ down.T @ up.T
        torch.testing.assert_close(y[i], expected, atol=1e-5, rtol=1e-4)


def test_the_same_logits_as_peft() -> None:
    ids = torch.arange(10, 60)[None]
    ours = AutoModelForCausalLM.from_pretrained(POCKET / "base", dtype=torch.float32)
    selection = install_adapters(ours, [load_adapter(m, POCKET / m) for m in MEMBERS])
    for i, member in enumerate(MEMBERS, 1):
        theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(POCKET / "base", dtype=torch.float32), str(POCKET / member))
        selection.choose(torch.tensor([i]))
        with torch.inference_mode():
            torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, atol=2e-3, rtol=1e-3)


def test_an_adapter_of_another_model_is_refused() -> None:
    with pytest.raises(WeightsInvalid, match=r"'a'.*layer the model lacks: 7"):
        install_adapters(nn.Sequential(nn.Linear(6, 4)), [adapter("a", 2, 1, "7")])
    with pytest.raises(WeightsInvalid, match=r"'a'.*does not fit the model at 0"):
        install_adapters(nn.Sequential(nn.Linear(5, 4)), [adapter("a", 2, 1)])


def test_more_than_plain_lora_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 2, "lora_alpha": 4, "use_dora": true}')
    (tmp_path / "adapter_model.safetensors").write_bytes((POCKET / "law" / "adapter_model.safetensors").read_bytes())
    with pytest.raises(WeightsInvalid, match="use_dora"):
        load_adapter("law", tmp_path)


def test_shapes_that_do_not_fit_name_the_specialist(tmp_path: Path) -> None:
    folder = copy_adapter("law", tmp_path)
    tensors = load_file(folder / "adapter_model.safetensors")
    layer = next(k for k in tensors if k.endswith("lora_A.weight")).removeprefix("base_model.model.").removesuffix(".lora_A.weight")
    width = tensors[f"base_model.model.{layer}.lora_A.weight"].shape[1]
    out = tensors[f"base_model.model.{layer}.lora_B.weight"].shape[0]
    check_fit({"law": folder}, {layer: (width, out)})
    assert layer_shapes(str(POCKET / "base"))[layer] == (width, out)
    assert layer_shapes(str(tmp_path / "nowhere")) == {}
    for wrong, half in ((width + 1, out), "lora_A"), ((width, out + 1), "lora_B"):
        with pytest.raises(WeightsInvalid, match=f"specialist 'law'.*{layer}: {half}"):
            check_fit({"law": folder}, {layer: wrong})
    (folder / "adapter_model.safetensors").write_bytes(b"none")
    with pytest.raises(WeightsInvalid, match="can't be read"):
        check_fit({"law": folder}, {})
