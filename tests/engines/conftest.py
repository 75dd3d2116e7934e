"""The pocket engine, loaded once, and questions to ask it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from council.config import load_config, presets
from specialists.engines.transformers import TransformersEngine
from specialists.prompt_format import Message, render_messages

POCKET = presets()["pocket"].parent / "pocket"


@pytest.fixture(scope="session")
def engine() -> TransformersEngine:
    config = load_config("pocket")
    return TransformersEngine(config.engines[0], config.specialists)


def prompts(count: int) -> list[list[Message]]:
    """Prompts of different lengths: test questions with one to four documents of the library."""
    documents = [json.loads(line) for line in (POCKET / "library" / "physics.jsonl").read_text().splitlines()]
    questions = [json.loads(line) for line in (POCKET / "questions.jsonl").read_text().splitlines()]
    asked = [q["question"] for q in questions if q["domain"] == "physics" and q["split"] == "test"]
    made = []
    for i in range(count):
        shown = [(d["title"], d["text"]) for d in documents[i : i + 1 + i % 4]]
        made.append(render_messages(asked[i % len(asked)], shown, "You are a specialist in physics."))
    return made


def copy_adapter(name: str, to: Path) -> Path:
    """A copy of a shipped adapter, to be broken."""
    import shutil

    from specialists.config import POCKET as SHIPPED

    return Path(shutil.copytree(SHIPPED / name, to / name))
