"""The scores of several queries made one score, and what else counts for or against a passage: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from council.config import OriginsConfig, RecencyConfig
from council.types import GENERATED, Origin

SPARSE_WEIGHT: Final = 0.35
"""Of BM25 for each term that was asked for, beside the cosine; CHANGELOG.md has what it was fitted on."""
DOMAIN_BONUS: Final = 0.15
"""The part of its score that a passage of the domain that routing prefers gains, under `routed: prefer`."""


def fuse(cosines: NDArray[np.float32], bm25: NDArray[np.float32], weights: Sequence[float]) -> NDArray[np.float32]:
    """Scores of candidates, [candidates], from those of each query, both [queries, candidates].

    The cosine plus SPARSE_WEIGHT times BM25, by the mean of these over queries, which count by `weights`. `bm25` is that of the
    query over the weights of its terms: so it says by itself how much of the query a passage has, and where no passage has much,
    cosines decide. (A convex combination of scores as in Bruch, Gai and Ingber 2023, which ranks better than their ranks do.)
    """
    shares = np.asarray(weights, np.float32) / max(float(sum(weights)), 1e-9)
    scores: NDArray[np.float32] = shares @ (np.maximum(cosines, 0.0) + SPARSE_WEIGHT * bm25)
    return scores


def by_origin(origin: Origin, rules: OriginsConfig) -> float:
    """What a passage's score is multiplied by for who wrote it."""
    return 1.0 - rules.preference if origin in GENERATED else 1.0


def by_age(dated: str, rules: RecencyConfig, today: date) -> float:
    """And for its age: 1 - weight (1 - 2^(-age / half-life)). A date that can't be read counts as one half-life ago."""
    try:
        days = max(0, (today - _day(dated)).days)
    except ValueError:
        days = int(rules.half_life_days)
    return float(1.0 - rules.weight * (1.0 - 0.5 ** (days / rules.half_life_days)))


def _day(text: str) -> date:
    """The day that a date begins with; the first of a month or a year where it says no more."""
    parts = text.strip()[:10].split("-")
    year, month, day = (*(int(part) for part in parts), 1, 1)[:3]
    return date(year, month, day)


def diversify(scores: Sequence[float], vectors: NDArray[np.float32], diversity: float, wanted: int) -> list[int]:
    """The places of `wanted` candidates by maximal marginal relevance (Carbonell and Goldstein 1998), best first:
    (1 - diversity) score - diversity (the largest cosine with one that was taken). `vectors` are [candidates, dimension]."""
    left, taken = list(range(len(scores))), list[int]()
    cosines = vectors @ vectors.T
    while left and len(taken) < wanted:
        worth = {i: (1 - diversity) * scores[i] - diversity * max((float(cosines[i, j]) for j in taken), default=0.0) for i in left}
        best = max(left, key=lambda i: worth[i])
        taken.append(best)
        left.remove(best)
    return taken
