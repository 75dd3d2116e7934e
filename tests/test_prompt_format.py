from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from specialists.prompt_format import FROM_MEMORY, FROM_PASSAGES, Layout, Message, fold, question_of, render_messages, render_passage

PASSAGES = [("Light", "Ada keeps\n\n the light."), ("", "No title.")]
MARKS = ("Question: ", "Question:", "\nQuestion: ", "[1] ", "\n\n", "\n", "\r", "\x85", "\u2028", " ", FROM_MEMORY, FROM_PASSAGES)
TEXTS = st.lists(st.sampled_from(MARKS) | st.text(max_size=5), max_size=6).map("".join)
"""Texts that are likely to hold marks of the layout."""


def test_the_persona_comes_first_or_the_passages_do() -> None:
    system, user = render_messages("Who?", PASSAGES, "You read.")
    assert system["content"] == f"You read. {FROM_PASSAGES}"
    assert user["content"] == "[1] Light\nAda keeps the light.\n\n[2] No title.\n\nQuestion: Who?"
    system, user = render_messages("Who?", PASSAGES, "You read.", "passages_first")
    assert system["content"] == FROM_PASSAGES
    assert user["content"].endswith("[2] No title.\n\nYou read.\nQuestion: Who?")


def test_passages_first_shares_all_but_persona_and_question() -> None:
    one = render_messages("Who?", PASSAGES, "You are A.", "passages_first")
    other = render_messages("Who?", PASSAGES, "You are B.", "passages_first")
    assert one[0] == other[0]
    assert one[1]["content"].split("You are")[0] == other[1]["content"].split("You are")[0]


def test_without_passages_it_asks_from_memory() -> None:
    system, user = render_messages("Who?", [], "You read.")
    assert (system["content"], user["content"]) == (f"You read. {FROM_MEMORY}", "Question: Who?")


@given(st.text(), st.text())
def test_a_passage_cannot_change_the_layout(title: str, text: str) -> None:
    """However many lines a document has, it is shown as one number, one heading line and one text line."""
    assert render_passage(1, title, text).count("\n") <= 1


@given(TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=3), TEXTS, st.sampled_from(["persona_first", "passages_first"]))
def test_the_question_is_read_back_from_its_messages(question: str, passages: list[tuple[str, str]], persona: str, layout: Layout) -> None:
    assert question_of(render_messages(question, passages, persona, layout)) == fold(question)


def test_other_messages_hold_no_question() -> None:
    assert question_of([]) is None
    assert question_of([Message(role="user", content="Question: Who?\nAda.")]) is None
