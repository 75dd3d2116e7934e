from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specialists.prompt_format import (
    FROM_MEMORY,
    FROM_PASSAGES,
    QUOTED,
    Layout,
    Message,
    Quoting,
    Worked,
    fold,
    question_of,
    render_example,
    render_messages,
    render_passage,
)

PASSAGES = [("Light", "Ada keeps\n\n the light."), ("", "No title.")]
MARKS = ("Question: ", "Question:", "\nQuestion: ", "[1] ", "\n\n", "\n", "\r", "\x85", "\u2028", " ", FROM_MEMORY, FROM_PASSAGES)
TEXTS = st.lists(st.sampled_from(MARKS) | st.text(max_size=5), max_size=6).map("".join)
"""Texts that are likely to hold marks of the layout."""
EXAMPLES = [Worked("Who kept the\nlamp?", "Bo", True), Worked("How tall?", "Red", False, "A colour.")]


def test_the_persona_comes_first_or_the_passages_do() -> None:
    system, user = render_messages("Who?", PASSAGES, "You read.")
    assert system["content"] == f"You read. {FROM_PASSAGES}"
    assert user["content"] == "[1] Light\nAda keeps the light.\n\n[2] No title.\n\nQuestion: Who?"
    system, user = render_messages("Who?", PASSAGES, "You read.", "passages_first")
    assert system["content"] == FROM_PASSAGES
    assert user["content"].endswith("[2] No title.\n\nYou read.\nQuestion: Who?")


@pytest.mark.parametrize("quoting", get_args(Quoting))
def test_passages_first_shares_all_but_persona_and_question(quoting: Quoting) -> None:
    one = render_messages("Who?", PASSAGES, "You are A.", "passages_first", quoting=quoting, examples=EXAMPLES)
    other = render_messages("Who?", PASSAGES, "You are B.", "passages_first", quoting=quoting, examples=EXAMPLES)
    assert one[0] == other[0]
    assert one[1]["content"].split("You are")[0] == other[1]["content"].split("You are")[0]


def test_without_passages_it_asks_from_memory() -> None:
    system, user = render_messages("Who?", [], "You read.")
    assert (system["content"], user["content"]) == (f"You read. {FROM_MEMORY}", "Question: Who?")


@given(st.text(), st.text())
def test_a_passage_cannot_change_the_layout(title: str, text: str) -> None:
    """However many lines a document has, it is shown as one number, one heading line and one text line."""
    assert render_passage(1, title, text).count("\n") <= 1


@given(st.text(), st.text(), st.text(), st.sampled_from(get_args(Quoting)))
def test_an_example_cannot_change_the_layout(question: str, answer: str, why: str, quoting: Quoting) -> None:
    lines = render_example(1, Worked(question, answer, True, why), quoting).split("\n")
    assert len(lines) == 3 + bool(fold(why)) + (quoting == "fenced")


def test_fences_quote_passages_and_examples() -> None:
    system, user = render_messages("Who?", PASSAGES, "You read.", quoting="fenced", examples=EXAMPLES)
    assert system["content"] == f"You read. {FROM_PASSAGES} {QUOTED}"
    assert user["content"] == (
        "<example 1: an answer to another question>\nQuestion: Who kept the lamp?\nRight answer: Bo\n</example 1>\n\n"
        "<example 2: a wrong answer to another question>\nQuestion: How tall?\nWrong answer: Red\nWhy: A colour.\n</example 2>\n\n"
        "<passage 1: Light>\nAda keeps the light.\n</passage 1>\n\n<passage 2>\nNo title.\n</passage 2>\n\nQuestion: Who?"
    )
    assert render_messages("Who?", [], "", quoting="fenced") == render_messages("Who?", [], "")


def test_bare_examples_stand_before_bare_passages() -> None:
    system, user = render_messages("Who?", PASSAGES[:1], "You read.", examples=EXAMPLES[1:])
    assert system["content"] == f"You read. {FROM_PASSAGES}"
    assert user["content"] == (
        "Example 1, a wrong answer to another question:\nQuestion: How tall?\nWrong answer: Red\nWhy: A colour.\n\n"
        "[1] Light\nAda keeps the light.\n\nQuestion: Who?"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x </passage 1> y", "x (/passage 1> y"),
        ("<PASSAGE 2: x>", "(PASSAGE 2: x>"),
        ("< /\u200bpas\u200bsage", "( /\u200bpas\u200bsage"),
        ("\uff1c/\uff50assage 1\uff1e", "(/\uff50assage 1\uff1e"),
        ("<<example", "((example"),
        ("so far <pass", "so far (pass"),
        ("1 < 5 passages, a<b, List<int>, <p> end", "1 < 5 passages, a<b, List<int>, <p> end"),
    ],
)
def test_what_reads_as_a_mark_is_broken_up(text: str, shown: str) -> None:
    assert render_passage(1, text, text, "fenced") == f"<passage 1: {shown}>\n{shown}\n</passage 1>"
    assert render_passage(1, "", text) == f"[1] {text}"


@given(
    TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=3), TEXTS, st.sampled_from(get_args(Layout)), st.sampled_from(get_args(Quoting)),
    st.lists(st.builds(Worked, TEXTS, TEXTS, st.booleans(), TEXTS), max_size=2),
)  # fmt: skip
def test_the_question_is_read_back_from_its_messages(
    question: str, passages: list[tuple[str, str]], persona: str, layout: Layout, quoting: Quoting, examples: list[Worked]
) -> None:
    assert question_of(render_messages(question, passages, persona, layout, "long", quoting, examples)) == fold(question)


def test_other_messages_hold_no_question() -> None:
    assert question_of([]) is None
    assert question_of([Message(role="user", content="Question: Who?\nAda.")]) is None
