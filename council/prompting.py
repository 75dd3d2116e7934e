"""Which passages and examples a member sees, in which order, within its own token budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from council.config import PromptingConfig
from council.errors import QuestionError
from council.sentences import sentence_ends
from council.types import Example, Passage
from specialists.prompt_format import Message, Worked, fold, render_messages

TokenCount = Callable[[Sequence[Message]], int]


@dataclass(frozen=True)
class Prompt:
    """What one member is sent; `tokens` by its own tokenizer, `dropped` passages that did not fit."""

    messages: list[Message]
    tokens: int
    dropped: int
    shown: tuple[str, ...] = ()
    """The ids of its passages, in its order."""
    trimmed: tuple[str, ...] = ()
    """Those of which it holds only the first sentences."""
    examples: tuple[Example, ...] = ()


def rotate(passages: Sequence[Passage], turn: int) -> list[Passage]:
    """`passages` beginning with number `turn` (modulo their count), the earlier ones moved to the end."""
    if not passages:
        return []
    start = turn % len(passages)
    return [*passages[start:], *passages[:start]]


def to_ends(passages: Sequence[Passage], turn: int) -> list[Passage]:
    """The best of `passages` at both ends and the worst in the middle: 1, 3, 5, ..., 6, 4, 2.

    Each two of neighbouring rank stand as far from the ends as each other. Odd turns mirror the whole; the further bits of
    `turn` swap the second two, the third two and so on. So no order of two turns is the same, up to 2 to the number of twos,
    and none moves a good passage inward.
    """
    front: list[Passage] = []
    back: list[Passage] = []
    for depth, start in enumerate(range(0, len(passages), 2)):
        two = passages[start : start + 2]
        if depth and turn >> depth & 1:
            two = two[::-1]
        front += two[:1]
        back += two[1:]
    order = [*front, *reversed(back)]
    return order[::-1] if turn % 2 else order


@dataclass(frozen=True)
class _Packer:
    """Makes prompts of any length for one member and one question."""

    question: str
    persona: str
    budget: int
    count: TokenCount
    config: PromptingConfig
    turn: int

    def pack(self, given: Sequence[Passage], whole: int, part: Passage | None, examples: tuple[Example, ...]) -> Prompt:
        """With the first `whole` of the `given` passages, and of the next one a part."""
        kept = [*given[:whole], *([part] if part else [])]
        turn = self.turn if self.config.rotate else 0
        order = rotate(kept, turn) if len(kept) < self.config.ends_from else to_ends(kept, turn)
        messages = render_messages(
            self.question, [(p.title, p.text) for p in order], self.persona, self.config.layout, self.config.answers,
            self.config.quoting, [Worked(e.question, e.answer, e.right, e.why) for e in examples],
        )  # fmt: skip
        ids, trimmed = tuple(p.id for p in order), (part.id,) if part else ()
        return Prompt(messages, self.count(messages), len(given) - len(kept), ids, trimmed, examples)

    def affordable(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """Those that fit into their share of the budget, the nearest first; measured without passages."""
        if not examples:
            return ()
        alone = self.pack([], 0, None, ()).tokens
        most = min(self.budget, alone + int(self.config.example_share * self.budget))
        chosen: tuple[Example, ...] = ()
        for example in examples:
            if self.pack([], 0, None, (*chosen, example)).tokens <= most:
                chosen = (*chosen, example)
        return chosen

    def longest(self, sizes: range, make: Callable[[int], Prompt]) -> Prompt | None:
        """The prompt of the largest of `sizes` that fits, None if none does. A larger one is taken to be no shorter, so that few
        are made; the one that is given back was counted."""
        fitting = None
        low, high = sizes.start, sizes.stop
        size = high - 1  # first the largest: most often all fit
        while low < high:
            made = make(size)
            if made.tokens <= self.budget:
                fitting, low = made, size + 1
            else:
                high = size
            size = (low + high) // 2
        return fitting

    def trim(self, given: Sequence[Passage], whole: int, examples: tuple[Example, ...]) -> Prompt | None:
        """With as many sentences as fit of the passage after the first `whole`; None if not one does."""
        cut, text = given[whole], fold(given[whole].text)
        ends = sentence_ends(text)[:-1]
        return self.longest(range(len(ends)), lambda n: self.pack(given, whole, cut.model_copy(update={"text": text[: ends[n]]}), examples))


def build_prompt(
    question: str,
    passages: Sequence[Passage],
    persona: str,
    budget: int,
    count: TokenCount,
    config: PromptingConfig,
    turn: int = 0,
    examples: Sequence[Example] = (),
) -> Prompt:
    """The longest prompt of at most `budget` tokens: the best passages that fit, in this member's order, after `examples`.

    `passages` come best first and `examples` nearest first. Passages stand whole, but for the last of the ranking to fit at
    all, which may be its first sentences; the rest are dropped, whatever the order they are shown in, so that order costs no
    member its best passage. Examples that would leave no room for any passage are not shown. Raises QuestionError if not
    even the question fits.
    """
    packer = _Packer(question, persona, budget, count, config, turn)
    shown = packer.affordable(examples)
    prompt = packer.longest(range(len(passages) + 1), lambda n: packer.pack(passages, n, None, shown))
    if prompt is None:
        tokens = packer.pack([], 0, None, ()).tokens
        raise QuestionError(f"the question is too long: {tokens} tokens with nothing else, and the member reads {budget}; shorten it")
    if prompt.dropped:
        prompt = packer.trim(passages, len(prompt.shown), shown) or prompt
    if shown and passages and not prompt.shown:
        return build_prompt(question, passages, persona, budget, count, config, turn)
    return prompt
