"""How much each member's vote counts: rules fitted on labelled answers, beside the plain vote that they must beat.

Every rule turns ballots into utilities [n, options]: the largest wins, and -inf marks an option that isn't there. A rule
that is fitted knows its members and domains by name; one that it has not met counts by its members' weights over all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from council.aggregator.ballots import Ballots, Bools, Floats, Ints
from council.errors import CalibrationError

SHRINKAGE: Final = 30.0
"""So many questions at its overall accuracy are added to a member's in each domain."""
EM_STEPS: Final = 100


class Weighting(Protocol):
    """A rule that is ready to be used."""

    @property
    def name(self) -> str: ...

    def utilities(self, ballots: Ballots) -> Floats: ...


@dataclass(frozen=True)
class LinearVote:
    """Each vote adds its member's weight in the question's domain to its option."""

    name: str
    members: tuple[str, ...]
    domains: tuple[str, ...]
    weights: Floats
    """[members, domains + 1]; the last column is for a domain that is not listed."""

    def of_questions(self, ballots: Ballots) -> Floats:
        """[n, members]: each member's weight for each question."""
        check_members(self.members, ballots)
        return np.asarray(self.weights.T[domain_index(ballots.domains, self.domains)])

    def utilities(self, ballots: Ballots) -> Floats:
        return tally(ballots, self.of_questions(ballots))


def check_members(members: Sequence[str], ballots: Ballots) -> None:
    if tuple(members) != ballots.members:
        raise CalibrationError(f"fitted for the members {', '.join(members)}, and asked about {', '.join(ballots.members)}")


def domain_index(domains: Sequence[str], known: Sequence[str]) -> Ints:
    """The place of each domain in `known`; one past the end for one that is not there."""
    place = {name: i for i, name in enumerate(known)}
    return np.array([place.get(d, len(known)) for d in domains], np.int64)


def tally(ballots: Ballots, weights: Floats) -> Floats:
    """[n, options]: the weight of the votes for each option; `weights` [n, members]."""
    totals = np.einsum("nmo,nm->no", ballots.indicators, weights)
    return np.where(ballots.exists, totals, -np.inf)


def plain_vote(members: Sequence[str]) -> LinearVote:
    """One member, one vote."""
    return LinearVote("plain_vote", tuple(members), (), np.ones((len(members), 1)))


def shrunken_accuracy(ballots: Ballots, shrinkage: float = SHRINKAGE) -> tuple[tuple[str, ...], Floats]:
    """The domains, and accuracy [members, domains + 1] of the votes cast: in each domain drawn towards the member's overall
    accuracy (the last column), which is itself drawn towards one right of two by two questions."""
    domains = tuple(sorted(set(ballots.domains)))
    overall = (ballots.right.sum(0) + 1.0) / (ballots.cast.sum(0) + 2.0)
    index = domain_index(ballots.domains, domains)
    columns = []
    for d in range(len(domains)):
        there = index == d
        columns.append((ballots.right[there].sum(0) + shrinkage * overall) / (ballots.cast[there].sum(0) + shrinkage))
    return domains, np.stack([*columns, overall], axis=1)


def fit_log_odds(ballots: Ballots, shrinkage: float = SHRINKAGE) -> LinearVote:
    """Weights log(p / ((1 - p) / (K - 1))), optimal for independent members that err evenly over K options (Nitzan and
    Paroush 1982, for K of 2); K is the mean number of options. A member worse than chance counts nothing."""
    domains, accuracy = shrunken_accuracy(ballots, shrinkage)
    others = max(1.0, float(ballots.options.mean()) - 1.0) if len(ballots) else 1.0
    return LinearVote("log_odds", ballots.members, domains, np.maximum(0.0, np.log(accuracy * others / (1.0 - accuracy))))


def fit_dawid_skene(ballots: Ballots) -> LinearVote:
    """Weights from answers without labels, by expectation maximisation (Dawid and Skene 1979, with one accuracy a member).

    It believes the members independent, and agreement right: members that err together make it overconfident.
    """
    cast, options = ballots.cast, np.maximum(2, ballots.options)
    belief = _softmax(plain_vote(ballots.members).utilities(ballots))
    accuracy = np.full(len(ballots.members), 0.5)
    for _ in range(EM_STEPS):
        right = np.einsum("nmo,no->nm", ballots.indicators, belief)
        new = np.clip((right.sum(0) + 1.0) / (cast.sum(0) + 2.0), 1e-3, 1 - 1e-3)
        belief = _softmax(tally(ballots, np.log(new / (1 - new))[None, :] + np.log(options - 1.0)[:, None]))
        if np.abs(new - accuracy).max(initial=0.0) < 1e-6:
            break
        accuracy = new
    weights = np.log(accuracy / (1 - accuracy)) + float(np.log(options - 1.0).mean() if len(ballots) else 0.0)
    return LinearVote("dawid_skene", ballots.members, (), np.maximum(0.0, weights)[:, None])


def probabilities(utilities: Floats) -> Floats:
    """Softmax over a question's options; a question without options gets zeros."""
    return _softmax(utilities)


def _softmax(utilities: Floats) -> Floats:
    top = utilities.max(1, keepdims=True, initial=-np.inf)
    shifted = np.exp(utilities - np.where(np.isfinite(top), top, 0.0))
    total = shifted.sum(1, keepdims=True)
    return np.asarray(np.divide(shifted, total, out=np.zeros_like(shifted), where=total > 0))


@dataclass(frozen=True)
class Elected:
    """What a rule makes of ballots. `choice` [n] is -1 where nobody voted; `support` [n], in [0, 1], is the winner's share
    of the votes' weight, or its probability where the rule has one; -inf where nobody voted."""

    choice: Ints
    support: Floats
    right: Bools

    def take(self, rows: Ints | Bools | slice) -> Elected:
        """The outcomes of some of the questions, in the order of `rows`."""
        return Elected(self.choice[rows], self.support[rows], self.right[rows])


def elect(ballots: Ballots, utilities: Floats, support: Floats | None = None) -> Elected:
    """The option of the largest utility; of equal ones that of most votes, then the first. `support` [n, options] says what
    each is worth; without it, its share of the utilities."""
    votes = ballots.indicators.sum(1)
    spread = np.where(ballots.exists, np.round(utilities, 9), -np.inf)
    best = spread == spread.max(1, keepdims=True, initial=-np.inf)
    choice = np.where(best, votes, -1.0).argmax(1) if ballots.most_options else np.zeros(len(ballots), np.int64)
    nobody = ~ballots.cast.any(1)
    if support is None:
        positive = np.where(ballots.exists, np.maximum(utilities, 0.0), 0.0)
        total = positive.sum(1, keepdims=True)
        support = np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)
    winner = np.take_along_axis(support, choice[:, None], 1)[:, 0] if ballots.most_options else np.zeros(len(ballots))
    chosen = np.where(nobody, -1, choice)
    return Elected(chosen, np.where(nobody, -np.inf, winner), (chosen >= 0) & (chosen == ballots.gold))
