"""Question -> who is asked, and with which weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from council.config import RoutingConfig
from specialists.config import SpecialistConfig

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts -> unit vectors [n, dimension]."""


class Router:
    """Compares a question with what each specialist is described by.

    A specialist's likeness to a question is the cosine to its description or to the nearest of its example questions,
    whichever is larger: a description says what a domain is, an example how it is asked about.
    """

    def __init__(self, config: RoutingConfig, specialists: Sequence[SpecialistConfig], embed: Embed) -> None:
        self._config, self._embed = config, embed
        self._names = [s.name for s in specialists]
        texts = [(i, text) for i, s in enumerate(specialists) for text in (s.description, *s.examples)]
        self._owners = np.array([i for i, _ in texts])
        self._vectors = embed([text for _, text in texts])

    def weights(self, question: str) -> dict[str, float]:
        """Every specialist's weight, most fitting first; they sum to 1 (softmax of likeness over temperature)."""
        likeness = self._vectors @ self._embed([question])[0]
        best = np.array([likeness[self._owners == i].max() for i in range(len(self._names))], dtype=np.float64)
        spread = np.exp((best - best.max()) / self._config.temperature)
        shares = spread / spread.sum()
        order = np.argsort(-shares, kind="stable")
        return {self._names[i]: float(shares[i]) for i in order}

    def route(self, question: str) -> dict[str, float]:
        """The weights of those who are asked under the configured policy, most fitting first."""
        return choose(self.weights(question), self._config)


def choose(weights: dict[str, float], config: RoutingConfig) -> dict[str, float]:
    """`weights` (most fitting first) cut to the policy's choice; never empty unless `weights` is."""
    listed = list(weights.items())
    if config.policy == "top_k":
        return dict(listed[: config.top_k])
    if config.policy == "threshold":
        return dict([p for i, p in enumerate(listed) if i == 0 or p[1] >= config.threshold])
    return dict(listed)
