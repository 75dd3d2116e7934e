"""Which passages a member sees, in which order, within its own token budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from council.config import PromptingConfig
from council.errors import QuestionError
from council.types import Passage
from specialists.prompt_format import Message, render_messages

TokenCount = Callable[[Sequence[Message]], int]


@dataclass(frozen=True)
class Prompt:
    """What one member is sent; `tokens` by its own tokenizer, `dropped` passages that did not fit."""

    messages: list[Message]
    tokens: int
    dropped: int


def rotate(passages: Sequence[Passage], turn: int) -> list[Passage]:
    """`passages` beginning with number `turn` (modulo their count), the earlier ones moved to the end."""
    if not passages:
        return []
    start = turn % len(passages)
    return [*passages[start:], *passages[:start]]


def build_prompt(
    question: str,
    passages: Sequence[Passage],
    persona: str,
    budget: int,
    count: TokenCount,
    config: PromptingConfig,
    turn: int = 0,
) -> Prompt:
    """The longest prompt of at most `budget` tokens: the best passages that fit, whole, in this member's order.

    `passages` come best first. Those at the end of the ranking are dropped first, whatever the order they are shown
    in, so that rotation costs no member its best passage. Raises QuestionError if not even the question fits.
    """
    for kept in range(len(passages), -1, -1):
        shown = rotate(passages[:kept], turn) if config.rotate else list(passages[:kept])
        messages = render_messages(question, [(p.title, p.text) for p in shown], persona, config.layout, config.answers)
        tokens = count(messages)
        if tokens <= budget:
            return Prompt(messages, tokens, len(passages) - kept)
    raise QuestionError(f"the question is too long: {tokens} tokens with nothing else, and the member reads {budget}; shorten it")
