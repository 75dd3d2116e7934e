"""Opinions -> the decision that their weighed groups support."""

from __future__ import annotations

import math
from collections import Counter
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
    """What the votes say. `agreement` is the heaviest group's support, None when nobody voted; `groups` are ranked; `weight`
    is that of all votes cast, those of one lineage reckoned as one witness."""

    status: Status
    answer: str | None
    reason: str
    agreement: float | None
    groups: tuple[Group, ...]
    weight: float = 0.0
    votes: tuple[int, ...] = ()
    """Of each group; a member that was asked again has several."""
    firm: float = 0.0
    """The share of the votes that no later answer can part from the leading group."""
    fluid: bool = False
    """Whether likeness joined some of the answers, so that a later one may group them otherwise."""
    disagrees: bool = False
    """Whether it abstains since its members do not agree enough, which more votes might mend."""


def decide(
    opinions: Sequence[Opinion], config: AggregatorConfig, similarity: Similarity | None = None,
    lineages: Mapping[str, str] | None = None, against: float = 0.0,
) -> Decision:  # fmt: skip
    """Weigh the opinions; those with an error or without an answer don't vote.

    No opinions at all are a failed decision, since a quorum is at least 1. The order of `opinions` doesn't matter.
    Several votes of one member share its weight. `lineages` names the lineage of members that are one witness together.
    `against` is the weight of votes still to come: agreement is then what would be left of it if all of them differed.
    """
    votes = [Vote(o.specialist, o.answer, o.weight) for o in opinions if o.error is None and o.answer is not None]
    votes = _one_witness_each(votes, lineages or {})
    ranked = group_answers(votes, similarity, config.alike_from)
    groups = tuple(Group(answer=g.answer, support=g.share, members=_members(g)) for g in ranked)
    weight, voted = math.fsum(v.weight for v in votes), len({v.specialist for v in votes})
    agreement = groups[0].support * (weight / (weight + against) if against else 1.0) if groups else None
    counts, firm = tuple(len(g.votes) for g in ranked), ranked[0].firm if ranked else 0.0
    fluid = any(g.firm < g.share for g in ranked)

    def made(status: Status, answer: str | None, reason: str, disagrees: bool = False) -> Decision:
        return Decision(status, answer, reason, agreement, groups, weight, counts, firm, fluid, disagrees)

    if voted < config.quorum or agreement is None:
        return made("failed", None, no_quorum(opinions, voted, config.quorum))
    if reason := _disagreement(groups, agreement, config.min_agreement):
        return made("abstained", None, reason, disagrees=True)
    if normalise(groups[0].answer) == NOT_KNOWN:
        return made("abstained", None, "The members say that the passages do not tell.")
    told = f"{counts[0]} of {len(votes)} votes agree, with a support of {as_figure(agreement)}"
    return made("answered", groups[0].answer, f"{told} where {as_figure(config.min_agreement)} is asked.")


def _one_witness_each(votes: Sequence[Vote], lineages: Mapping[str, str]) -> list[Vote]:
    """The votes of one member share its weight, and the members of one lineage that of its heaviest."""
    times, heaviest = Counter(v.specialist for v in votes), dict[str, float]()
    for vote in votes:
        heaviest[vote.specialist] = max(vote.weight, heaviest.get(vote.specialist, 0.0))
    shares = witness_weights(heaviest, lineages)
    scale = {m: shares[m] / w / times[m] if w > 0 else 0.0 for m, w in heaviest.items()}
    return [replace(v, weight=v.weight * scale[v.specialist]) for v in votes]


def witness_weights(weights: Mapping[str, float], lineages: Mapping[str, str]) -> dict[str, float]:
    """The members' weights, those of each lineage scaled to be together what its heaviest member's is."""
    lines: dict[str, list[float]] = {}
    for name, weight in weights.items():
        if lineages.get(name):
            lines.setdefault(lineages[name], []).append(weight)
    share = {line: max(of) / math.fsum(of) if math.fsum(of) > 0 else 1.0 for line, of in lines.items()}
    return {name: weight * share.get(lineages.get(name, ""), 1.0) for name, weight in weights.items()}


def _members(group: VoteGroup) -> tuple[str, ...]:
    return tuple(sorted({v.specialist for v in group.votes}))


def _disagreement(groups: Sequence[Group], agreement: float, min_agreement: float) -> str | None:
    """Why the members' votes are not one; None where they are."""
    if agreement < min_agreement - _EQUAL:
        return (
            f"The members do not agree enough: the largest group has a support of {as_figure(agreement)}, "
            f"and {as_figure(min_agreement)} is asked."
        )
    tied = [g.answer for g in groups if groups[0].support - g.support <= _EQUAL]
    if len(tied) > 1:
        return f"The vote is a tie at a support of {as_figure(agreement)} between {_listed([repr(a) for a in tied])}."
    return None


def no_quorum(opinions: Sequence[Opinion], votes: int, quorum: int) -> str:
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


def as_figure(share: float) -> str:
    """Two digits, or as many as it takes to tell 0.5996 from 0.6."""
    return f"{share:.2f}" if abs(share - round(share, 2)) < _EQUAL else f"{share:.4f}"
