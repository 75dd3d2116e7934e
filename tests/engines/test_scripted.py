from __future__ import annotations

import pytest

from specialists.config import EngineConfig, SpecialistConfig
from specialists.engines import build_engine
from specialists.engines.scripted import ScriptedEngine
from specialists.prompt_format import render_messages
from specialists.protocol import Engine, GenerationRequest, OptionError, ScoreRequest

ASKED = render_messages("Who keeps the light?", [], "You read.")
SPECIALISTS = [SpecialistConfig(name=n, engine="s", domain=n, description=n) for n in ("a", "b")]


def make(**options: object) -> ScriptedEngine:
    engine = build_engine(EngineConfig.model_validate({"name": "s", "kind": "scripted", "options": options}), SPECIALISTS)
    assert isinstance(engine, ScriptedEngine) and isinstance(engine, Engine)
    return engine


async def test_the_first_fitting_line_of_the_script_is_said() -> None:
    engine = make(answers={"a": {"boat": "Bo", "light": "Ada Trell", "": "else"}})
    said = await engine.generate([GenerationRequest("a", ASKED), GenerationRequest("b", ASKED)])
    assert [g.samples[0].text for g in said] == ["Ada Trell", "I do not know."]


async def test_length_is_kept_and_failures_are_told() -> None:
    engine = make(answers={"a": {"": "one two three"}}, fail=["b"])
    short, failed = await engine.generate([GenerationRequest("a", ASKED, max_tokens=2), GenerationRequest("b", ASKED)])
    assert (short.samples[0].text, short.samples[0].finish) == ("one two", "length")
    assert failed.error and not failed.samples


async def test_scores_prefer_the_script() -> None:
    engine = make(answers={"a": {"": "Ada"}}, fail=["b"])
    good, bad, failed = await engine.score([ScoreRequest("a", ASKED, "Ada"), ScoreRequest("a", ASKED, "Bo"), ScoreRequest("b", ASKED, "x")])
    assert good.mean > bad.mean
    assert failed.error


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(OptionError, match="option 'delay'"):
        make(delay=1)
