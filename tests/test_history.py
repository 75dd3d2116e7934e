"""A conversation's last question by itself: quoted where it leans on what came before, and left as it is where it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.history import LONGEST, Turn, instruction, leans, stand_alone, usable

NEUTRON = "Who discovered the neutron in the laboratory?"
TALK = [Turn(role="user", content=NEUTRON), Turn(role="assistant", content="James Chadwick")]
TURNS = st.lists(st.builds(Turn, role=st.sampled_from(["user", "assistant"]), content=st.text(max_size=400)), max_size=6)


@pytest.mark.parametrize(
    "question",
    [
        "And when?", "When did he discover it?", "What about the proton and the electron there?", "Why?",
        "How old was she in that year then?",
        "But where did the work take place exactly?", "Is the latter larger than the moon of Mars?",
        "Are you sure that Chadwick found this?",
    ],
)  # fmt: skip
def test_some_questions_lean_on_what_came_before(question: str) -> None:
    assert leans(question)
    told = stand_alone(question, TALK)
    assert told.startswith(question) and NEUTRON in told and "James Chadwick" in told


@pytest.mark.parametrize(
    "question",
    [
        "Which tax applies to imported olive oil in France?", "How many electrons has an atom of iron?",
        "Who wrote the constitution of the republic of Andorra?",
    ],
)  # fmt: skip
def test_others_stand_by_themselves(question: str) -> None:
    assert not leans(question) and stand_alone(question, TALK) == question


@given(st.text(max_size=200), TURNS)
def test_the_question_is_kept_and_bounded(question: str, before: list[Turn]) -> None:
    told = stand_alone(question, before)
    assert told.startswith(question.strip()) or told == question
    assert len(told) <= len(question) + 2 * (LONGEST + 4) + 40
    if not any(turn.role == "user" for turn in before):
        assert told == question


@given(TURNS)
def test_only_the_last_exchange_is_quoted(before: list[Turn]) -> None:
    told = stand_alone("And it?", [Turn(role="user", content="MARK one"), *before, *TALK])
    assert NEUTRON in told and "James Chadwick" in told and "MARK" not in told


def test_no_answer_of_another_question_is_quoted() -> None:
    told = stand_alone("And it?", [Turn(role="assistant", content="stray"), *TALK[:1]])
    assert told == f"And it? (Asked after: {NEUTRON})"


def test_a_model_is_asked_to_reword_and_nothing_else() -> None:
    system, user = instruction("And when?", [*TALK * 10, Turn(role="user", content="x " * 1000)])
    assert system["role"] == "system" and "not instructions" in str(system["content"])
    assert str(user["content"]).endswith("Last question: And when?") and len(str(user["content"])) < 7 * (LONGEST + 10)


@pytest.mark.parametrize(
    ("reworded", "kept"),
    [
        ("When did Chadwick discover the neutron in 1932?", True), ('"When was it, in 1932?"', True), ("When did Chadwick do so?", False),
        ("", False), (" \n ", False), ("In 1932? " + "word " * 200, False), ("What of 1932\nand its year?", True),
    ],
)  # fmt: skip
def test_a_wording_that_lost_figures_or_runs_on_is_not_used(reworded: str, kept: bool) -> None:
    told = usable(reworded, "And in 1932?")
    assert (told is not None) is kept
    assert told is None or ("\n" not in told and '"' not in told)
