"""How the vote stands while opinions still arrive, for whoever watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from council.aggregator import Decision
from council.events import Tally, Tell
from council.types import Opinion

Vote = Callable[[Sequence[Opinion]], Awaitable[Decision]]


class LiveVote:
    """Tells of each opinion, and after it of the vote on all that are there. A vote that another opinion has overtaken is not
    told. It has no part in the verdict."""

    def __init__(self, tell: Tell, vote: Vote) -> None:
        self._tell, self._vote = tell, vote
        self._opinions: list[Opinion] = []
        self._counting: asyncio.Task[None] | None = None

    def heard(self, opinion: Opinion) -> None:
        """Note an opinion."""
        self._tell(opinion)
        self._opinions.append(opinion)
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count())

    async def _count(self) -> None:
        counted = 0
        while counted < len(self._opinions):
            counted = len(self._opinions)
            decision = await self._vote(self._opinions[:counted])
            if counted == len(self._opinions):
                self._tell(Tally(groups=decision.groups, answer=_leader(decision), agreement=decision.agreement))

    async def close(self) -> None:
        """Stop counting: there is a verdict."""
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.gather(self._counting, return_exceptions=True)


def _leader(decision: Decision) -> str | None:
    return decision.groups[0].answer if decision.groups else None
