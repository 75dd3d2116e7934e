"""Persona, numbered passages and question, rendered to chat messages.

The one place that knows what a member is sent: `council.prompting` renders with it at serving time and
`specialists.training` renders with it when it makes training data, so that the two can't drift apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, TypedDict

Layout: TypeAlias = Literal["persona_first", "passages_first"]

PASSAGES_DO_NOT_TELL: Final = "The passages do not tell."
DO_NOT_KNOW: Final = "I do not know."
FROM_PASSAGES: Final = f"Answer in a few words from the passages. If they do not tell, answer: {PASSAGES_DO_NOT_TELL}"
FROM_MEMORY: Final = f"Answer in a few words. If you do not know, answer: {DO_NOT_KNOW}"


class Message(TypedDict):
    """One chat message in the form that chat templates and OpenAI's API take."""

    role: Literal["system", "user", "assistant"]
    content: str


def render_passage(number: int, title: str, text: str) -> str:
    """One passage as members read it. `number` counts from 1; white space is folded so that the layout is ours."""
    heading = " ".join(title.split())
    return f"[{number}] {heading}\n{' '.join(text.split())}" if heading else f"[{number}] {' '.join(text.split())}"


def render_messages(question: str, passages: Sequence[tuple[str, str]], persona: str, layout: Layout = "persona_first") -> list[Message]:
    """The messages a member is sent for `question`.

    `passages` are (title, text) pairs in the order to show them; without any, the member is asked from memory.
    `passages_first` puts all that members share before what tells them apart, so that an engine's prefix cache can
    serve the shared part once; `persona_first` is the order that most chat models were tuned on.
    """
    task = FROM_PASSAGES if passages else FROM_MEMORY
    shown = "".join(f"{render_passage(n, *p)}\n\n" for n, p in enumerate(passages, 1))
    asked = f"Question: {' '.join(question.split())}"
    if layout == "passages_first":
        return [{"role": "system", "content": task}, {"role": "user", "content": f"{shown}{persona}\n{asked}"}]
    return [{"role": "system", "content": f"{persona} {task}"}, {"role": "user", "content": f"{shown}{asked}"}]
