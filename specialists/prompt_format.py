"""Persona, numbered passages and question, rendered to chat messages.

The one place that knows what a member is sent: `council.prompting` renders with it at serving time and
`specialists.training` renders with it when it makes training data, so that the two can't drift apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, TypedDict

Layout: TypeAlias = Literal["persona_first", "passages_first"]
Answers: TypeAlias = Literal["short", "long"]

PASSAGES_DO_NOT_TELL: Final = "The passages do not tell."
DO_NOT_KNOW: Final = "I do not know."
FROM_PASSAGES: Final = f"Answer in a few words from the passages. If they do not tell, answer: {PASSAGES_DO_NOT_TELL}"
FROM_MEMORY: Final = f"Answer in a few words. If you do not know, answer: {DO_NOT_KNOW}"
AT_LENGTH_FROM_PASSAGES: Final = (
    "Answer in a few plain sentences from the passages, each of them true by itself. Say nothing that they do not tell. "
    f"If they do not tell, answer: {PASSAGES_DO_NOT_TELL}"
)
AT_LENGTH_FROM_MEMORY: Final = f"Answer in a few plain sentences, each of them true by itself. If you do not know, answer: {DO_NOT_KNOW}"
TASKS: Final = {  # by the answers wanted, and whether there are passages
    ("short", True): FROM_PASSAGES, ("short", False): FROM_MEMORY,
    ("long", True): AT_LENGTH_FROM_PASSAGES, ("long", False): AT_LENGTH_FROM_MEMORY,
}  # fmt: skip
ASKED: Final = "Question: "


class Message(TypedDict):
    """One chat message in the form that chat templates and OpenAI's API take."""

    role: Literal["system", "user", "assistant"]
    content: str


def fold(text: str) -> str:
    """`text` on one line, with single spaces: how titles, texts and questions are shown."""
    return " ".join(text.split())


def render_passage(number: int, title: str, text: str) -> str:
    """One passage as members read it. `number` counts from 1; white space is folded so that the layout is ours."""
    heading = fold(title)
    return f"[{number}] {heading}\n{fold(text)}" if heading else f"[{number}] {fold(text)}"


def render_messages(
    question: str, passages: Sequence[tuple[str, str]], persona: str, layout: Layout = "persona_first", answers: Answers = "short"
) -> list[Message]:
    """The messages a member is sent for `question`.

    `passages` are (title, text) pairs in the order to show them; without any, the member is asked from memory.
    `passages_first` puts all that members share before what tells them apart, so that an engine's prefix cache can
    serve the shared part once; `persona_first` is the order that most chat models were tuned on.
    """
    task = TASKS[answers, bool(passages)]
    shown = "".join(f"{render_passage(n, *p)}\n\n" for n, p in enumerate(passages, 1))
    asked = f"{ASKED}{fold(question)}"
    if layout == "passages_first":
        return [{"role": "system", "content": task}, {"role": "user", "content": f"{shown}{persona}\n{asked}"}]
    return [{"role": "system", "content": f"{persona} {task}"}, {"role": "user", "content": f"{shown}{asked}"}]


def question_of(messages: Sequence[Message]) -> str | None:
    """The question that `render_messages` was given, folded; None if the last message does not end in one.

    It is the whole of the last line, since a folded question has no line of its own within: what passages, persona or the
    question itself hold that looks like the layout's marks changes nothing.
    """
    last = messages[-1]["content"].rsplit("\n", 1)[-1] if messages else ""
    return last.removeprefix(ASKED) if last.startswith(ASKED) else None
