"""What hosts need before they start, reckoned from their config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from council.config import load_config
from council.doctor import examine
from council.needs import GIB, needs
from specialists.config import EngineConfig
from specialists.engines.vllm import engine_arguments

PRESETS = ("one-gpu", "one-gpu-three-models", "many-gpus")


@pytest.fixture(autouse=True)
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it."""
    monkeypatch.setattr("council.needs.HUB", tmp_path)
    return tmp_path


def test_the_pocket_preset_needs_nothing() -> None:
    (need,) = needs(load_config("pocket"))
    assert need.downloads == () and need.card is None and need.weights is not None and need.weights < GIB / 10
    assert need.describe() == "transformers, 1 replica of 1 CPU; small weights"


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_say_what_they_download_and_want_of_a_card(preset: str) -> None:
    """The cards that a preset's first lines name are those that its engines want."""
    config = load_config(preset)
    for need in needs(config):
        assert need.downloads[0] == need.engine.model and need.download and need.card
        assert "will download" in need.describe() and "wants cards of" in need.describe()
    told = {"one-gpu": 16, "one-gpu-three-models": 24, "many-gpus": 48}[preset]
    assert max(n.card or 0 for n in needs(config)) <= told * GIB


def test_what_is_in_the_cache_is_not_downloaded(empty_hub: Path) -> None:
    folder = empty_hub / "models--Qwen--Qwen3-4B-Instruct-2507" / "snapshots" / "1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    (need,) = needs(load_config("one-gpu"))
    assert need.downloads == () and need.download is None


def card(**changes: Any) -> float:
    tree = {"name": "e", "kind": "vllm", "model": "a/b", "parameters_billion": 8.0, "resources": {"num_gpus": 1.0}, **changes}
    config = load_config("one-gpu")
    engine = EngineConfig.model_validate(tree)
    member = config.specialists[0].model_copy(update={"engine": "e", "adapter": None})
    (need,) = needs(config.model_copy(update={"engines": (engine,), "specialists": (member,)}))
    assert need.card is not None
    return need.card


def test_cards_are_larger_for_fractions_and_smaller_for_quantised_or_parallel_weights() -> None:
    whole = card()
    assert 16e9 / 0.9 < whole < 2 * 16e9
    assert card(resources={"num_gpus": 0.25}) > 3 * whole
    assert card(options={"quantization": "awq"}) < whole / 2
    assert card(options={"tensor_parallel_size": 2}, resources={"num_gpus": 2}) == pytest.approx(whole / 2)


@pytest.mark.parametrize("preset", PRESETS)
def test_engines_take_the_share_that_was_reckoned(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in load_config(preset).engines:
        share = engine_arguments(engine, []).get("gpu_memory_utilization", 0.9)
        assert share <= max(engine.resources.num_gpus, 0.9 * (engine.resources.num_gpus >= 1))


def test_a_key_that_is_not_set_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    findings = {f.what: f for f in examine("remote")}
    assert findings["host hosted"].ok is False and "$OPENROUTER_API_KEY is not set" in findings["host hosted"].detail
    assert findings["host ollama"].ok
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-secret")
    findings = {f.what: f for f in examine("remote")}
    assert findings["host hosted"].ok and not any("sk-secret" in f.detail for f in findings.values())


def test_gpus_that_are_not_there_are_a_finding(tmp_path: Path) -> None:
    findings = {f.what: f for f in examine("one-gpu-three-models", {"retrieval.store.path": str(tmp_path / "store")})}
    assert findings["GPU"].ok is False and "the config wants 0.9" in findings["GPU"].detail
    assert findings["host granite"].ok and "about 4.7 GiB" in findings["host granite"].detail
    cluster = {f.what: f for f in examine("many-gpus")}
    assert cluster["GPU"].ok is None and "wants 6, up to 16" in cluster["GPU"].detail
