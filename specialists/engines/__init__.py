"""Engines: one file each. `build_engine` imports the one that is asked for, so that its library is needed only then."""

from __future__ import annotations

from collections.abc import Sequence

from specialists.config import EngineConfig, SpecialistConfig
from specialists.protocol import Engine


def build_engine(config: EngineConfig, specialists: Sequence[SpecialistConfig]) -> Engine:
    """The engine of `config`, with the weights of `specialists` loaded. Raises EngineError."""
    if config.kind == "scripted":
        from specialists.engines.scripted import ScriptedEngine

        return ScriptedEngine(config, specialists)
    if config.kind == "replay":
        from specialists.engines.replay import ReplayEngine

        return ReplayEngine(config, specialists)
    if config.kind == "vllm":
        from specialists.engines.vllm import VllmEngine

        return VllmEngine(config, specialists)
    if config.kind == "openai":
        from specialists.engines.openai import OpenAIEngine

        return OpenAIEngine(config, specialists)
    from specialists.engines.transformers import TransformersEngine

    return TransformersEngine(config, specialists)
