"""Synthetic ballots for the tests of what is fitted on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from council.aggregator.ballots import Ballots


def synthetic(
    n: int, accuracies: Sequence[float], seed: int = 0, options: int = 4, copies: int = 0, missing: float = 0.0, domains: int = 1
) -> Ballots:
    """Independent members of these accuracies that err evenly; `copies` more members repeat what the first one says."""
    random = np.random.default_rng(seed)
    gold = random.integers(0, options, n)
    columns = []
    for accuracy in accuracies:
        wrong = (gold + random.integers(1, options, n)) % options
        columns.append(np.where(random.random(n) < accuracy, gold, wrong))
    columns += [columns[0]] * copies
    choices = np.stack(columns, 1)
    choices[random.random(choices.shape) < missing] = -1
    members = tuple(f"m{i}" for i in range(choices.shape[1]))
    return Ballots(members, choices, np.full(n, options), gold, tuple(f"d{i % domains}" for i in range(n)))
