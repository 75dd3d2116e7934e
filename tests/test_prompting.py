from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.config import PromptingConfig, load_config
from council.errors import ConfigError, QuestionError
from council.prompting import build_prompt, rotate
from council.types import Passage
from specialists.prompt_format import Message

WORDS = st.lists(st.sampled_from(["ore", "lake", "seven", "of"]), min_size=1, max_size=30).map(" ".join)
PASSAGES = st.lists(WORDS, max_size=8).map(lambda texts: [Passage(id=str(i), title=f"T{i}", text=t) for i, t in enumerate(texts)])


def count_words(messages: Sequence[Message]) -> int:
    return sum(len(m["content"].split()) for m in messages)


@given(PASSAGES, st.integers(0, 20))
def test_rotation_keeps_every_passage_once(passages: list[Passage], turn: int) -> None:
    turned = rotate(passages, turn)
    assert sorted(p.id for p in turned) == sorted(p.id for p in passages)
    assert not passages or turned[0] is passages[turn % len(passages)]


@given(PASSAGES, st.integers(40, 200), st.integers(0, 5))
def test_the_budget_holds_and_the_best_passages_stay(passages: list[Passage], budget: int, turn: int) -> None:
    prompt = build_prompt("what is it", passages, "You read.", budget, count_words, PromptingConfig(), turn)
    assert prompt.tokens == count_words(prompt.messages) <= budget
    kept = passages[: len(passages) - prompt.dropped]
    text = " ".join(m["content"] for m in prompt.messages)
    assert all(f"] {p.title}\n" in text for p in kept)
    assert not any(f"] {p.title}\n" in text for p in passages[len(kept) :])
    if prompt.dropped:
        one_more = build_prompt("what is it", passages[: len(kept) + 1], "You read.", 10_000, count_words, PromptingConfig(), turn)
        assert one_more.tokens > budget


def test_members_see_different_orders() -> None:
    passages = [Passage(id=str(i), title=f"T{i}", text="x") for i in range(4)]
    starts = {
        build_prompt("q", passages, "", 999, count_words, PromptingConfig(), turn).messages[1]["content"].split("\n")[0]
        for turn in range(4)
    }
    assert starts == {"[1] T0", "[1] T1", "[1] T2", "[1] T3"}


def test_without_rotation_all_see_one_order() -> None:
    passages = [Passage(id=str(i), title=f"T{i}", text="x") for i in range(4)]
    config = PromptingConfig(rotate=False, layout="passages_first")
    prompts = [build_prompt("q", passages, "", 999, count_words, config, turn) for turn in range(3)]
    assert len({str(p.messages) for p in prompts}) == 1


def test_rotation_and_a_shared_prefix_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match=r"prompting.*one order: set rotate to false too"):
        load_config("pocket", {"prompting.layout": "passages_first"})


def test_a_question_over_the_budget_is_refused() -> None:
    with pytest.raises(QuestionError, match=r"too long: .* the member reads 50"):
        build_prompt("why " * 60, [], "", 50, count_words, PromptingConfig())
