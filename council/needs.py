"""What the hosts of a configuration need before they start: GPUs and their memory, downloads, keys. Reckoned, not measured."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from council.config import CouncilConfig
from specialists.config import EngineConfig, resolve_weights
from specialists.tokens import is_local

GIB: Final = 1024**3
BYTES: Final = {"float32": 4.0, "float16": 2.0, "half": 2.0, "bfloat16": 2.0, "auto": 2.0}
"""Of one parameter, by the engine's dtype; what a quantised one takes is told below."""
QUANTISED: Final = {"fp8": 1.0, "int8": 1.0}
FEW_BITS: Final = 0.6
"""Bytes of a parameter under any other quantisation: four bits, and the scales beside them."""
HUB: Final = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or "~/.cache/huggingface", "hub")).expanduser()
"""Where the hub's client keeps what it has fetched."""
TAKEN: Final = 0.9
"""The part of a card's memory that vLLM takes unless told otherwise."""
BESIDE_WEIGHTS: Final = 1.3
"""Memory over that of the weights: a modest cache for prompts, and what a step works with."""


@dataclass(frozen=True)
class Need:
    """What one engine's host needs. Bytes are None where the config doesn't tell: set engines.*.parameters_billion."""

    engine: EngineConfig
    weights: float | None
    """Bytes that the weights take once loaded."""
    downloads: tuple[str, ...]
    """Hub names whose weights are not in this machine's cache."""
    download: float | None
    """Bytes of them."""
    missing_key: str | None
    """An environment variable that has to hold a key, and is not set."""

    @property
    def card(self) -> float | None:
        """Bytes that a card must have: all of its memory, of which this engine gets its share."""
        resources, options = self.engine.resources, self.engine.options
        if self.weights is None or resources.num_gpus == 0:
            return None
        share = float(options.get("gpu_memory_utilization") or (TAKEN if resources.num_gpus >= 1 else 0.95 * resources.num_gpus))
        return self.weights * BESIDE_WEIGHTS / max(1.0, resources.num_gpus) / share

    def describe(self) -> str:
        """In one line."""
        resources = self.engine.resources
        most = resources.autoscale_to or resources.replicas
        replicas = f"{resources.replicas} to {most} replicas" if most > resources.replicas else f"{most} replica{'s' * (most > 1)}"
        said = [
            f"{self.engine.kind}, {replicas} of {resources.num_cpus:g} CPU" + f" and {resources.num_gpus:g} GPU" * (resources.num_gpus > 0)
        ]
        if self.weights is not None:
            said.append(f"weights of about {self.weights / GIB:.1f} GiB in memory" if self.weights > GIB / 10 else "small weights")
        if self.card is not None:
            said.append(f"wants cards of {math.ceil(self.card / GIB)} GiB or more")
        if self.downloads:
            size = f"about {self.download / GIB:.1f} GiB" if self.download else "of a size that the config does not tell"
            said.append(f"will download {', '.join(self.downloads)}: {size}")
        if self.engine.kind == "openai":
            said.append(f"asks {self.engine.options.get('base_url')} for {self.engine.model}")
        if self.missing_key:
            said.append(f"${self.missing_key} is not set")
        return "; ".join(said)


def _is_cached(name: str) -> bool:
    """Whether the hub's cache on this machine holds weights of a model."""
    return any((HUB / f"models--{name.replace('/', '--')}" / "snapshots").glob("*/*.safetensors"))


def _weights(engine: EngineConfig) -> float | None:
    """Bytes of the model once loaded."""
    if engine.model is None or engine.kind in ("openai", "scripted", "replay"):
        return None
    if is_local(engine.model):
        return float(sum(f.stat().st_size for f in Path(resolve_weights(engine.model)).expanduser().glob("*.safetensors")))
    if engine.parameters_billion is None:
        return None
    quantisation = engine.options.get("quantization")
    dtype = str(engine.options.get("dtype", "float32" if engine.kind == "transformers" else "auto"))
    per_parameter = QUANTISED.get(str(quantisation), FEW_BITS) if quantisation else BYTES.get(dtype, 2.0)
    return engine.parameters_billion * 1e9 * per_parameter


def needs(config: CouncilConfig) -> list[Need]:
    """Of every engine that has members, in the order of the config."""
    used = [e for e in config.engines if any(s.engine == e.name for s in config.specialists)]
    return [_need(engine, [s.adapter for s in config.specialists if s.engine == engine.name and s.adapter]) for engine in used]


def _need(engine: EngineConfig, adapters: Sequence[str]) -> Need:
    here = engine.kind in ("vllm", "transformers")
    names = [n for n in (engine.model, *adapters) if here and n is not None and not is_local(n)]
    absent = tuple(dict.fromkeys(n for n in names if not _is_cached(n)))
    size = engine.parameters_billion * 2e9 if engine.parameters_billion and engine.model in absent else None
    key = engine.options.get("api_key_env") if engine.kind == "openai" else None
    return Need(engine, _weights(engine), absent, size, str(key) if key and not os.environ.get(str(key)) else None)
