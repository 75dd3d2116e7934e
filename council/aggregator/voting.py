"""Opinions -> the decision that their weighed groups support."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from council.aggregator.grouping import Similarity, Vote, VoteGroup, group_answers
from council.aggregator.normalise import normalise
from council.config import AggregatorConfig
from council.types import NOT_KNOWN, Group, Opinion, Status

_EQUAL: Final = 1e-9


@dataclass(frozen=True)
class Decision:
    """What the votes say. `agreement` is the heaviest group's support, None when nobody voted; `groups` are ranked."""

    status: Status
    answer: str | None
    reason: str
    agreement: float | None
    groups: tuple[Group, ...]


def decide(
    opinions: Sequence[Opinion], config: AggregatorConfig, similarity: Similarity | None = None, lineages: Mapping[str, str] | None = None
) -> Decision:
    """Weigh the opinions; those with an error or without an answer don't vote.

    No opinions at all are a failed decision, since a quorum is at least 1. The order of `opinions` doesn't matter.
    `lineages` names the lineage of members that are one witness together.
    """
    votes = [Vote(o.specialist, o.answer, o.weight) for o in opinions if o.error is None and o.answer is not None]
    votes = _one_witness_each(votes, lineages or {})
    ranked = group_answers(votes, similarity, config.similarity)
    groups = tuple(Group(answer=g.answer, support=g.share, members=_members(g)) for g in ranked)
    agreement = groups[0].support if groups else None
    if len(votes) < config.quorum or agreement is None:
        return Decision("failed", None, _no_quorum(opinions, len(votes), config.quorum), agreement, groups)
    reason = _abstention(groups, agreement, config.min_agreement)
    if reason:
        return Decision("abstained", None, reason, agreement, groups)
    reason = (
        f"{len(ranked[0].votes)} of {len(votes)} votes agree, with a support of {_figure(agreement)} "
        f"where {_figure(config.min_agreement)} is asked."
    )
    return Decision("answered", groups[0].answer, reason, agreement, groups)


def _one_witness_each(votes: Sequence[Vote], lineages: Mapping[str, str]) -> list[Vote]:
    """The votes of one lineage, scaled so that together they weigh what its heaviest member does."""
    weights: dict[str, dict[str, float]] = {}
    for vote in votes:
        weights.setdefault(lineages.get(vote.specialist, ""), {})[vote.specialist] = vote.weight
    share = {name: max(of.values()) / math.fsum(of.values()) if math.fsum(of.values()) > 0 else 1.0 for name, of in weights.items()}
    return [replace(v, weight=v.weight * share[name]) if (name := lineages.get(v.specialist, "")) else v for v in votes]


def _members(group: VoteGroup) -> tuple[str, ...]:
    return tuple(sorted({v.specialist for v in group.votes}))


def _abstention(groups: Sequence[Group], agreement: float, min_agreement: float) -> str | None:
    """Why the members' votes are no answer; None where they are one."""
    if agreement < min_agreement - _EQUAL:
        return (
            f"The members do not agree enough: the largest group has a support of {_figure(agreement)}, "
            f"and {_figure(min_agreement)} is asked."
        )
    tied = [g.answer for g in groups if agreement - g.support <= _EQUAL]
    if len(tied) > 1:
        return f"The vote is a tie at a support of {_figure(agreement)} between {_listed([repr(a) for a in tied])}."
    return "The members say that the passages do not tell." if normalise(groups[0].answer) == NOT_KNOWN else None


def _no_quorum(opinions: Sequence[Opinion], votes: int, quorum: int) -> str:
    if not opinions:
        return "No member was asked."
    silent = [o for o in opinions if o.error is not None or o.answer is None]
    failed = sorted({f"{o.specialist} ({_one_line(o.error or 'no readable answer')})" for o in silent})
    cast = f"{votes} of the {quorum} {'vote' if quorum == 1 else 'votes'} needed"
    found = f"{cast} {'was' if votes == 1 else 'were'} cast"
    return f"{found}; these failed: {', '.join(failed)}." if failed else f"{found}."


def _one_line(error: str) -> str:
    return " ".join(error.split()).rstrip(".")


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _figure(share: float) -> str:
    """Two digits, or as many as it takes to tell 0.5996 from 0.6."""
    return f"{share:.2f}" if abs(share - round(share, 2)) < _EQUAL else f"{share:.4f}"
