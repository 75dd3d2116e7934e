from __future__ import annotations

from pathlib import Path

import pytest

from specialists.config import EngineConfig
from specialists.prompt_format import render_messages
from specialists.protocol import WeightsMissing
from specialists.tokens import encode_answer, encode_chat, load_tokenizer, locate, token_counter

ASKED = render_messages("Who?", [("Light", "Ada keeps it.")], "You read.")


def test_prompts_are_counted_by_the_models_own_tokenizer() -> None:
    count = token_counter(EngineConfig(name="e", model="pocket:base"))
    assert count(ASKED) == len(encode_chat(load_tokenizer("t", "pocket:base"), ASKED))
    assert token_counter(EngineConfig(name="s", kind="scripted"))(ASKED) == sum(len(m["content"].split()) for m in ASKED)


def test_an_answer_is_encoded_as_the_template_puts_it() -> None:
    tokenizer = load_tokenizer("t", "pocket:base")
    ids = encode_answer(tokenizer, ASKED, "Ada")
    assert tokenizer.decode(ids) == " Ada"
    assert encode_answer(tokenizer, ASKED, "") == []


def test_missing_weights_name_their_owner_and_path(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=f"member 'law': weights not found at {tmp_path}/gone"):
        locate("member 'law'", f"{tmp_path}/gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsMissing, match="no tokenizer at"):
        load_tokenizer("engine 'e'", str(tmp_path / "empty"))


def test_names_of_a_hub_are_left_as_they_are() -> None:
    assert locate("x", "some-org/some-model") == "some-org/some-model"
