"""Long answers: what members say at length, cut into claims, each with who supports it and which passages say it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from council.aggregator.grouping import Similarity, Vote, group_answers
from council.aggregator.sentences import contains, contradict, read_sentence, same, split_claims, split_sentences
from council.errors import CouncilError
from council.types import Claim

__all__ = ["Claim", "LongAnswer", "Said", "Sentence", "gather", "split_claims", "weigh_claims"]

_DIGITS: Final = 9
"""Weights and supports are compared to this many digits, so that the order of summing can't decide."""


@dataclass(frozen=True)
class Said:
    """One specialist's long text. A specialist that was sampled several times says several texts, each with its weight."""

    specialist: str
    text: str
    weight: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise CouncilError(f"{self.specialist!r} speaks with weight {self.weight}: give a finite number, 0 or more")


@dataclass(frozen=True)
class LongAnswer:
    """The kept claims as a text, and all claims: the kept in reading order, then the dropped by support.

    `agreement` is the mean support of the kept claims: the share of them that a text supports, averaged over the texts
    by weight. 0 where none is kept, None where nobody said anything. It is not a probability.
    """

    answer: str
    claims: tuple[Claim, ...]
    agreement: float | None


@dataclass(frozen=True)
class Sentence:
    """A sentence of text number `voter`, whose weight is scaled; `place` in it, from 0 (first) to 1 (last)."""

    voter: int
    specialist: str
    text: str
    place: float
    weight: float


class Judge:
    """Which of some texts mean the same and which contradict; `similarity` is asked once, about all of them."""

    def __init__(self, texts: Iterable[str], similarity: Similarity | None, threshold: float) -> None:
        known = sorted(set(texts))
        self.similarity, self.threshold = similarity, threshold
        self.wordings = {text: read_sentence(text) for text in known}
        self._place = {text: n for n, text in enumerate(known)}
        self._cosines: NDArray[np.float64] = np.full((len(known), len(known)), -np.inf)
        if similarity is not None and known:
            cosines = np.asarray(similarity(known), dtype=np.float64)
            if cosines.shape != self._cosines.shape:
                raise CouncilError(f"similarity of {len(known)} sentences has the shape {cosines.shape}: it must be square")
            self._cosines = np.minimum(cosines, cosines.T)

    def cosine(self, a: str, b: str) -> float:
        """-inf where a rule tells the two apart, or nothing is known of their similarity."""
        parted = same(self.wordings[a], self.wordings[b]) is False
        return -math.inf if parted else float(self._cosines[self._place[a], self._place[b]])

    def same(self, a: str, b: str) -> bool:
        ruled = same(self.wordings[a], self.wordings[b])
        return self._similar(a, b) if ruled is None else ruled

    def contradict(self, a: str, b: str, together: bool) -> bool:
        return contradict(self.wordings[a], self.wordings[b], self._similar(a, b), together)

    def says(self, passage_sentence: str, claim: str) -> bool:
        return self.same(passage_sentence, claim) or contains(self.wordings[passage_sentence], self.wordings[claim])

    def _similar(self, a: str, b: str) -> bool:
        return bool(self._cosines[self._place[a], self._place[b]] >= self.threshold)


@dataclass(frozen=True)
class _Group:
    """Sentences of one meaning. `voiced` are those of texts that have weight: the others decide nothing."""

    sentences: tuple[Sentence, ...]
    total: float

    @property
    def voiced(self) -> tuple[Sentence, ...]:
        return tuple(s for s in self.sentences if s.weight > 0)

    @property
    def texts(self) -> frozenset[str]:
        return frozenset(s.text for s in self.voiced)

    @property
    def voters(self) -> frozenset[int]:
        return frozenset(s.voter for s in self.voiced)

    @property
    def support(self) -> float:
        # A text that repeats itself counts once.
        return _weight_of(self.sentences) / self.total

    @property
    def text(self) -> str:
        """The heaviest text's wording; of equals the shortest, then the first by alphabet."""
        return min(self.sentences, key=lambda s: (-round(s.weight, _DIGITS), len(s.text), s.text)).text

    @property
    def place(self) -> float:
        """The median over texts of where each first says it."""
        first: dict[int, float] = {}
        for s in self.voiced or self.sentences:
            first[s.voter] = min(s.place, first.get(s.voter, s.place))
        return median(first.values())


def weigh_claims(
    said: Sequence[Said], passages: Mapping[str, str], similarity: Similarity | None, threshold: float, min_support: float
) -> LongAnswer:
    """The claims that texts of at least the share `min_support` of the weight make, and what was dropped.

    `passages` are texts by id. A claim without any support is never kept, nor is one that contradicts a claim of as
    much support or more. A text without a claim is as if it weren't there; no claims at all, an empty answer. The order
    of `said` doesn't matter. `similarity` is asked once, about all sentences.
    """
    sentences = sentences_of(said)
    read = {name: split_sentences(text) for name, text in passages.items()}
    judge = Judge([*(s.text for s in sentences), *(t for texts in read.values() for t in texts)], similarity, threshold)
    groups = [_Group(tuple(g), _weight_of(sentences)) for g in gather(sentences, judge)]
    kept = _kept(groups, judge, min_support)
    claims = []
    for n, group in enumerate(groups):
        claim = Claim(
            text=group.text,
            support=group.support,
            members=tuple(sorted({s.specialist for s in group.sentences})),
            passages=tuple(name for name, texts in read.items() if any(judge.says(t, group.text) for t in texts)),
            kept=n in kept,
        )
        # Kept claims come in reading order, dropped ones by support.
        support = round(group.support, _DIGITS)
        order = (group.place, -support) if claim.kept else (-support, group.place)
        claims.append(((not claim.kept, *order, claim.text), claim))
    claims.sort(key=lambda c: c[0])
    supports = [c.support for _, c in claims if c.kept]
    agreement = math.fsum(supports) / len(supports) if supports else 0.0
    answer = " ".join(_ended(c.text) for _, c in claims if c.kept)
    return LongAnswer(answer, tuple(c for _, c in claims), agreement if sentences else None)


def sentences_of(said: Sequence[Said]) -> list[Sentence]:
    """All sentences that claim something, with their texts' weights; where all weights are 0, they count alike."""
    spoken = [(s, found) for s in said if (found := split_claims(s.text))]
    spoken.sort(key=lambda pair: (pair[0].specialist, pair[0].text, pair[0].weight))
    heaviest = max((s.weight for s, _ in spoken), default=0.0)
    # Scaling by the largest keeps the sum of huge or tiny weights within a float.
    weights = [s.weight / heaviest if heaviest > 0 else 1.0 for s, _ in spoken]
    return [
        Sentence(n, s.specialist, text, i / max(len(found) - 1, 1), weights[n])
        for n, (s, found) in enumerate(spoken)
        for i, text in enumerate(found)
    ]


def gather(sentences: Sequence[Sentence], judge: Judge) -> list[list[Sentence]]:
    """Each sentence in one group, of which each two mean the same (complete link).

    Sentences without weight join groups of the others where they can, and change none.
    """
    voiced = [s for s in sentences if s.weight > 0]
    silent = [s for s in sentences if s.weight == 0]
    groups = _by_meaning(voiced, judge)
    texts = [sorted({s.text for s in g}) for g in groups]
    rest = []
    for sentence in silent:
        fits = [n for n, known in enumerate(texts) if all(judge.same(sentence.text, t) for t in known)]
        if fits:
            best = min(fits, key=lambda n: (-min(judge.cosine(sentence.text, t) for t in texts[n]), texts[n]))
            groups[best].append(sentence)
            texts[best].append(sentence.text)
        else:
            rest.append(sentence)
    return groups + _by_meaning(rest, judge)


def _by_meaning(sentences: Sequence[Sentence], judge: Judge) -> list[list[Sentence]]:
    """`group_answers` on the sentences' plain forms, one vote each: who says them has no part in what they mean."""
    shown: dict[str, str] = {}
    for text in sorted({s.text for s in sentences}, key=lambda t: (len(t), t)):
        shown.setdefault(judge.wordings[text].plain, text)

    def cosines(plains: Sequence[str]) -> NDArray[np.float64]:
        return np.array([[judge.cosine(shown[a], shown[b]) for b in plains] for a in plains])

    groups = group_answers([Vote("", plain, 1.0) for plain in shown], cosines if judge.similarity else None, judge.threshold)
    number = {v.answer: n for n, group in enumerate(groups) for v in group.votes}
    found: list[list[Sentence]] = [[] for _ in groups]
    for sentence in sentences:
        found[number[judge.wordings[sentence.text].plain]].append(sentence)
    return found


def _kept(groups: Sequence[_Group], judge: Judge, min_support: float) -> set[int]:
    """Which groups have support enough, and more than each group that contradicts them, kept or not."""
    voters, texts, supports = [g.voters for g in groups], [g.texts for g in groups], [round(g.support, _DIGITS) for g in groups]
    kept = {n for n, support in enumerate(supports) if support >= round(min_support, _DIGITS) and support > 0}
    beaten = set()
    for i in kept:
        for j in kept - {i}:
            if supports[i] > supports[j]:
                continue
            together = bool(voters[i] & voters[j])
            if any(judge.contradict(a, b, together) for a in texts[i] for b in texts[j]):
                beaten.add(i)
    return kept - beaten


def _weight_of(sentences: Iterable[Sentence]) -> float:
    """The weight of the texts that these are of, each counted once."""
    return math.fsum({s.voter: s.weight for s in sentences}.values())


def _ended(claim: str) -> str:
    """A claim that nothing but white space need follow: an item of a list gets its full stop."""
    return claim if claim.rstrip("\"'\u201d\u2019)").endswith((".", "!", "?", "\u2026")) else f"{claim}."
