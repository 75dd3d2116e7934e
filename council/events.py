"""What is told of a question while it is answered, in the order in which it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, Literal, TypeAlias

from council.types import Frozen, Group, LeftOut, Opinion, Passage, RoundKind, Verdict


class Place(Frozen):
    """A member, the weight of its vote on this question, and whether routing chose it."""

    specialist: str
    domain: str
    weight: float
    asked: bool


class Routed(Frozen):
    """Whom the question goes to. `question` is what they are asked: of a chat, made to stand by itself."""

    question: str
    domain: str | None
    members: tuple[Place, ...]
    min_agreement: float
    quorum: int


class Retrieved(Frozen):
    """What the members are given to read; `lost`: why nothing could be read."""

    passages: tuple[Passage, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    lost: str | None = None


class Asked(Frozen):
    """These members now work: a round of asking, or the check of what an answer rests on."""

    round: int
    kind: RoundKind | Literal["check"]
    members: tuple[str, ...]


class Tally(Frozen):
    """How the vote stands with the opinions that are there."""

    groups: tuple[Group, ...]
    answer: str | None
    """The leading answer; it is the council's only when a verdict says so."""
    agreement: float | None


Event: TypeAlias = Routed | Retrieved | Asked | Opinion | Tally | Verdict
NAMES: Final[Mapping[type[Event], str]] = {
    Routed: "routed", Retrieved: "retrieved", Asked: "asked", Opinion: "opinion", Tally: "vote", Verdict: "verdict",
}  # fmt: skip
"""What each is called where it is sent."""

Tell: TypeAlias = Callable[[Event], None]
"""Called with each event, in the loop in which the question is answered."""


async def told(work: Callable[[Tell], Awaitable[object]]) -> AsyncIterator[Event]:
    """The events of `work`, which is given what to tell them to, until it is done; then its error, if it has one. Closing the
    iterator cancels the work."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def run() -> None:
        try:
            await work(queue.put_nowait)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (event := await queue.get()) is not None:
            yield event
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
