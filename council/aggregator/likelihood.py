"""Every member judges every candidate answer by how likely it finds it: a vote that needs no second opinion in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np

from council.aggregator.ballots import Floats
from council.aggregator.normalise import normalise
from council.aggregator.voting import Decision, as_figure
from council.config import AggregatorConfig
from council.types import NOT_KNOWN, Candidate, Likelihood, Status

Basis = Literal["with_passages", "without_passages", "by_passages"]
"""What a candidate is judged by: its likelihood given the passages, without them (what the member believed before), or the
difference, which is what the passages did for it."""


SHARPNESS: Final = 3.0
"""A clear favourite gets nearly all of a member's weight: 0.998 of two, 0.98 of eight. At 1 it would get 0.88 and 0.74, and
members that all agree would seem to differ."""


def supports(likelihoods: Sequence[Likelihood], answers: Sequence[str], weights: Mapping[str, float], basis: Basis) -> Floats | None:
    """[answers]: the shares of the members' weight, summing to 1; None where no member judged all of the answers.

    Each member's log-likelihoods, a mean over the answer's tokens so that length counts nothing, are put on one scale (z
    over the candidates), and its weight is divided over the candidates by the softmax of SHARPNESS times that: how sure a
    member is in general, or how it is used to put things, gives it no more of a say. One that did not judge all does not vote.
    """
    total = np.zeros(len(answers))
    for member in dict.fromkeys(x.specialist for x in likelihoods):
        judged = {x.answer: _value(x, basis) for x in likelihoods if x.specialist == member}
        values = np.array([judged.get(a, np.nan) for a in answers], np.float64)
        if not np.isfinite(values).all():
            continue
        spread = values.std()
        z = (values - values.mean()) / spread if spread > 1e-12 else np.zeros(len(values))
        shares = np.exp(SHARPNESS * (z - z.max()))
        total += weights.get(member, 0.0) * shares / shares.sum()
    return total / total.sum() if total.sum() > 0 else None


def _value(likelihood: Likelihood, basis: Basis) -> float:
    given, alone = likelihood.with_passages, likelihood.without_passages
    if basis == "with_passages":
        return given
    if alone is None:
        return float("nan")
    return alone if basis == "without_passages" else given - alone


def weigh_candidates(likelihoods: Sequence[Likelihood], answers: Sequence[str], weights: Mapping[str, float]) -> tuple[Candidate, ...]:
    """The candidates, the best supported first; none where nobody judged them."""
    found = supports(likelihoods, answers, weights, "with_passages")
    if found is None:
        return ()
    made = []
    for answer, support in zip(answers, found, strict=True):
        judged = tuple(x for x in likelihoods if x.answer == answer)
        lifts = [(weights.get(x.specialist, 0.0), x.with_passages - x.without_passages) for x in judged if x.without_passages is not None]
        weight = sum(w for w, _ in lifts)
        lift = sum(w * v for w, v in lifts) / weight if weight > 0 else None
        made.append(Candidate(answer=answer, support=float(support), by_passages=lift, likelihoods=judged))
    return tuple(sorted(made, key=lambda c: (-round(c.support, 9), c.answer)))


def decide_by_likelihood(vote: Decision, candidates: Sequence[Candidate], config: AggregatorConfig) -> Decision:
    """The vote's decision, with the candidate of most support in place of the group of most votes. `agreement` is that support."""
    if vote.status == "failed" or not vote.groups:
        return vote
    favourites = _favourites(candidates)
    if len(favourites) < config.quorum:
        told = f"{len(favourites)} of the {config.quorum} members needed could tell how likely the answers are."
        return Decision("failed", None, told, None, vote.groups, vote.weight, vote.votes)
    best, share = candidates[0], candidates[0].support
    asked = as_figure(config.min_agreement)

    def made(answer: str | None, reason: str, disagrees: bool = False) -> Decision:
        status: Status = "answered" if answer is not None else "abstained"
        return Decision(status, answer, reason, share, vote.groups, vote.weight, vote.votes, disagrees=disagrees)

    if share < config.min_agreement - 1e-9 or (len(candidates) > 1 and share - candidates[1].support < 1e-9):
        return made(None, f"No answer is likely enough: the best has a support of {as_figure(share)}, and {asked} is asked.", True)
    if normalise(best.answer) == NOT_KNOWN:
        return made(None, "The members find it likeliest that the passages do not tell.")
    told = f"{favourites.count(best.answer)} of {len(favourites)} members find it the likeliest of {len(candidates)} answers"
    return made(best.answer, f"{told}, with a support of {as_figure(share)} where {asked} is asked.")


def _favourites(candidates: Sequence[Candidate]) -> list[str]:
    """Of each member that judged all of the answers, the likeliest."""
    table: dict[str, dict[str, float]] = {}
    for candidate in candidates:
        for x in candidate.likelihoods:
            table.setdefault(x.specialist, {})[candidate.answer] = x.with_passages
    return [max(judged, key=lambda a: judged[a]) for judged in table.values() if len(judged) == len(candidates)]
