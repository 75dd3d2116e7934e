"""The pocket engine, loaded once, and questions to ask it."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import psutil
import pytest

from council.config import load_config
from specialists.config import POCKET as SHIPPED
from specialists.engines.transformers import TransformersEngine
from specialists.prompt_format import Message, render_messages
from specialists.training.reading import make_exercise


@pytest.fixture(scope="session")
def engine() -> TransformersEngine:
    config = load_config("pocket")
    return TransformersEngine(config.engines[0], config.specialists)


def prompts(count: int) -> list[list[Message]]:
    """Prompts of different lengths: made-up passages, one to four of them, with a question that they answer."""
    made = []
    for seed in range(count):
        exercise = make_exercise(Random(seed), 1 + seed % 4, questions=1, unanswerable=0.0)
        made.append(render_messages(exercise.questions[0][0], exercise.passages, "You are a specialist in physics."))
    return made


def copy_adapter(name: str, to: Path) -> Path:
    """A copy of a shipped adapter, to be broken."""
    return Path(shutil.copytree(SHIPPED / name, to / name))


def engine_cores(replica: psutil.Process) -> list[psutil.Process]:
    """vLLM's core processes that a process has started."""
    cores = []
    for child in replica.children(recursive=True):
        try:
            told = f"{child.name()} {' '.join(child.cmdline())}"  # vLLM names its processes, but not on every machine
            if "EngineCore" in told or "multiprocessing.spawn" in told:
                cores.append(child)
        except psutil.NoSuchProcess:  # or a zombie
            continue
    return cores
