"""Question -> who is asked, and with which weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from council.config import RoutingConfig
from specialists.config import SpecialistConfig

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts -> unit vectors [n, dimension]."""


@dataclass(frozen=True)
class Route:
    """Who is asked, with which weight, in the order of the config; who was left out and may be asked if those disagree; and
    the domain that the question was taken to be of."""

    asked: Mapping[str, float]
    spare: Mapping[str, float]
    domain: str | None


class Router:
    """Compares a question with what each specialist is described by.

    A specialist's likeness to a question is the cosine to its description or to the nearest of its example questions,
    whichever is larger: a description says what a domain is, an example how it is asked about.
    """

    def __init__(self, config: RoutingConfig, specialists: Sequence[SpecialistConfig], embed: Embed) -> None:
        self._config, self._embed = config, embed
        self._domains = {s.name: s.domain for s in specialists}
        self._names = list(self._domains)
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

    def route(self, question: str, names: Sequence[str] | None = None) -> Route:
        """Who is asked under the configured policy; or those with these `names`, and then nobody else if they disagree."""
        weights = self.weights(question)
        chosen = choose(weights, self._config) if names is None else {n: w for n, w in weights.items() if n in names}
        # in the order of the config: a member's turn in the rotation must not depend on the question
        asked = {n: weights[n] for n in self._names if n in chosen}
        spare = {n: weights[n] for n in self._names if names is None and n not in chosen}
        return Route(asked, spare, self._domains[next(iter(weights))] if weights else None)


def choose(weights: dict[str, float], config: RoutingConfig) -> dict[str, float]:
    """`weights` (most fitting first) cut to the policy's choice; never empty unless `weights` is."""
    listed = list(weights.items())
    if config.policy == "top_k":
        return dict(listed[: config.top_k])
    if config.policy == "threshold":
        return dict([p for i, p in enumerate(listed) if i == 0 or p[1] >= config.threshold])
    return dict(listed)
