"""Which of the candidates the members are shown, and why the others are not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from council.config import RetrievalConfig
from council.retrieval.fusion import diversify
from council.retrieval.store import Chunk
from council.types import GENERATED, LeftOut

NEAR: Final = 0.9
"""Share of words in common from which two passages say the same, if they agree in their numbers."""
WORD: Final = re.compile(r"\w+")


@dataclass
class Candidate:
    """A chunk that a query found, [dimension] its vector. `score`: the fused one, with all that counts for or against it."""

    chunk: Chunk
    vector: NDArray[np.float32]
    likeness: float
    """Its cosine with the question."""
    score: float

    @cached_property
    def words(self) -> list[str]:
        return WORD.findall(self.chunk.text.casefold())

    def says_the_same_as(self, other: Candidate) -> bool:
        """Two that differ in a number do not: they contradict each other, which the reader must see."""
        mine, its = set(self.words), set(other.words)
        return _numbers(self.words) == _numbers(other.words) and len(mine & its) >= NEAR * len(mine | its)


def _numbers(words: Sequence[str]) -> list[str]:
    return [word for word in words if any(char.isdigit() for char in word)]


def select(candidates: Sequence[Candidate], rules: RetrievalConfig, wanted: int) -> tuple[list[Candidate], list[LeftOut]]:
    """At most `wanted` of the candidates, which come best first, in that order; and those that stood before the last of them,
    or before their place had been filled, and were left out."""
    left_out: list[LeftOut] = []
    fit: list[Candidate] = []
    for candidate in candidates:
        if len(fit) >= _pool(rules, wanted):
            break
        why = _unfit(candidate, fit, rules, wanted)
        if why:
            left_out.append(_left_out(candidate, why))
        else:
            fit.append(candidate)
    if rules.diversity and len(fit) > wanted:
        vectors = np.stack([c.vector for c in fit])
        kept = sorted(diversify([c.score for c in fit], vectors, rules.diversity, wanted))
        left_out += [_left_out(c, "others are less like what is shown") for i, c in enumerate(fit[: max(kept)]) if i not in kept]
        fit = [fit[i] for i in kept]
    return fit[:wanted], left_out


def _pool(rules: RetrievalConfig, wanted: int) -> int:
    """How many candidates there must be to choose from."""
    return 4 * wanted if rules.diversity else wanted


def _unfit(candidate: Candidate, fit: Sequence[Candidate], rules: RetrievalConfig, wanted: int) -> str:
    if rules.min_likeness > 0 and candidate.likeness < rules.min_likeness:
        return f"its likeness to the question, {candidate.likeness:.2f}, is less than {rules.min_likeness:g}"
    same = next((c for c in fit if candidate.says_the_same_as(c)), None)
    if same is not None:
        return f"it says what {same.chunk.title or same.chunk.provenance.source or 'another passage'!r} says"
    origins = [c.chunk.provenance.origin for c in fit]
    origin, limits = candidate.chunk.provenance.origin, rules.origins
    if origin == "council" and origins.count("council") + 1 > _places(limits.council, wanted):
        return f"the council said it itself, and that may take {_places(limits.council, wanted)} of {wanted} places"
    if origin in GENERATED and sum(o in GENERATED for o in origins) + 1 > _places(limits.machine, wanted):
        return f"a model wrote it, and that may take {_places(limits.machine, wanted)} of {wanted} places"
    return ""


def _places(share: float, wanted: int) -> int:
    """The places that a share allows, rounded down: a cap is not exceeded."""
    return int(share * wanted + 1e-9)


def _left_out(candidate: Candidate, why: str) -> LeftOut:
    chunk = candidate.chunk
    return LeftOut(id=chunk.id, title=chunk.title, provenance=chunk.provenance, why=why)
