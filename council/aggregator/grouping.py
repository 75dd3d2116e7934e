"""Votes whose answers mean the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from council.aggregator.comparison import Reading, ambiguous, read, relation
from council.errors import CouncilError

Similarity: TypeAlias = Callable[[Sequence[str]], NDArray[np.floating]]
"""n texts -> their (n, n) cosine similarities."""

_DIGITS: Final = 9
"""Weights are compared to this many digits after scaling, so that the order of summing can't decide."""


@dataclass(frozen=True)
class Vote:
    """One specialist's short answer. A specialist that was sampled several times has several votes."""

    specialist: str
    answer: str
    weight: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise CouncilError(f"{self.specialist!r} votes with weight {self.weight}: give a finite number, 0 or more")


@dataclass(frozen=True)
class VoteGroup:
    """Votes for one meaning. `answer` is their most heavily voted wording, `share` theirs of all the votes' weight."""

    answer: str
    share: float
    votes: tuple[Vote, ...]
    firm: float = 0.0
    """The share of its votes that say the same exactly, of the largest part: a later answer may part the others from them."""


@dataclass(frozen=True)
class _Meaning:
    """The votes that one key joins; `text` is their shortest wording, whatever the weights."""

    text: str
    reading: Reading
    votes: tuple[Vote, ...]


def group_answers(votes: Sequence[Vote], similarity: Similarity | None, threshold: float) -> list[VoteGroup]:
    """Each vote in one group, the heaviest group first; no votes, no groups. Where all weights are 0, they count alike.

    Exact rules come first; `similarity` is asked once, only about answers that they neither join nor part, and joins at
    `threshold` or above. A group holds only answers of which each two are the same by a rule or similar enough
    (complete link), so that no chain of near matches joins two meanings. The order of `votes` doesn't matter.
    """
    meanings = _meanings(votes)
    link = _links(meanings, similarity, threshold)
    heaviest = max((v.weight for v in votes), default=0.0)
    # Scaling by the largest keeps the sum of huge or tiny weights within a float.
    weigh = (lambda v: v.weight / heaviest) if heaviest > 0 else (lambda v: 1.0)
    total = math.fsum(weigh(v) for v in votes)
    groups = []
    for cluster in _complete_link(link):
        members = [v for i in cluster for v in meanings[i].votes]
        members.sort(key=lambda v: (v.specialist, v.answer, v.weight))
        wordings: dict[str, list[float]] = {}
        for vote in members:
            wordings.setdefault(vote.answer, []).append(weigh(vote))
        answer = min(wordings, key=lambda a: (-round(math.fsum(wordings[a]) / total, _DIGITS), len(a), a))
        share = math.fsum(weigh(v) for v in members) / total
        firm = max(math.fsum(weigh(v) for v in meanings[i].votes) for i in cluster) / total
        groups.append(VoteGroup(answer, share, tuple(members), share if len(cluster) == 1 else firm))
    return sorted(groups, key=lambda g: (-round(g.share, _DIGITS), g.answer))


def _meanings(votes: Sequence[Vote]) -> list[_Meaning]:
    by_key: dict[tuple[object, ...], list[tuple[Vote, Reading]]] = {}
    for vote in votes:
        reading = read(vote.answer)
        by_key.setdefault(reading.key, []).append((vote, reading))
    found = []
    for alike in by_key.values():
        text = min((v.answer for v, _ in alike), key=lambda a: (len(a), a))
        # "chadwick" and "Chadwick" are one key, but only the capital shows a name.
        reading = max((r for _, r in alike), key=lambda r: (len(r.name), r.name))
        found.append(_Meaning(text, reading, tuple(v for v, _ in alike)))
    return sorted(found, key=lambda m: m.text)


def _links(meanings: Sequence[_Meaning], similarity: Similarity | None, threshold: float) -> NDArray[np.float64]:
    """How strongly each two are linked: inf the same, -inf told apart or not similar enough, else their similarity."""
    readings = [m.reading for m in meanings]
    unclear = {r.name for r in readings if r.name and ambiguous(r, readings)}
    link = np.full((len(meanings), len(meanings)), -np.inf)
    undecided = []
    for i, a in enumerate(readings):
        for j in range(i):
            same = relation(a, readings[j])
            if same is None:
                undecided.append((i, j))
            elif same and not (a.name != readings[j].name and unclear & {a.name, readings[j].name}):
                link[i, j] = link[j, i] = np.inf
    if similarity is not None and undecided:
        residue = sorted({i for pair in undecided for i in pair})
        place = {i: n for n, i in enumerate(residue)}
        cosines = np.asarray(similarity([meanings[i].text for i in residue]), dtype=np.float64)
        if cosines.shape != (len(residue), len(residue)):
            raise CouncilError(f"similarity of {len(residue)} answers has the shape {cosines.shape}: it must be square")
        for i, j in undecided:
            cosine = min(cosines[place[i], place[j]], cosines[place[j], place[i]])
            if cosine >= threshold:
                link[i, j] = link[j, i] = cosine
    return link


def _complete_link(link: NDArray[np.float64]) -> list[list[int]]:
    """Clusters by merging the two whose weakest link is strongest, the first of equals, until none is linked."""
    clusters = {i: [i] for i in range(len(link))}
    link = link.copy()
    np.fill_diagonal(link, -np.inf)
    while link.size and (best := float(link.max())) > -np.inf:
        i, j = (int(n) for n in np.argwhere(link == best)[0])
        clusters[i] += clusters.pop(j)
        weakest = np.minimum(link[i], link[j])
        link[i], link[:, i] = weakest, weakest
        link[j], link[:, j] = -np.inf, -np.inf
        link[i, i] = -np.inf
    return list(clusters.values())
