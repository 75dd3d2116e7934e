"""Question -> the passages that the members are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from council.config import RetrievalConfig
from council.retrieval.embedder import Embedder
from council.retrieval.fusion import DOMAIN_BONUS, by_age, by_origin, fuse
from council.retrieval.neighbours import join_neighbours
from council.retrieval.rerank import Reranker
from council.retrieval.selection import Candidate, select
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.store import Store, VectorQuery
from council.types import GENERATED, LeftOut, Origin, Passage, Question

CLAUSES: Final = re.compile(r"[,;:]?\s+(?:and|or|but|which|who|that|when|where|because|if)\s+|[,;:()?!.]+\s", re.IGNORECASE)
FEWEST_WORDS: Final = 3
"""Of a clause that is worth a query of its own."""
FURTHER: Final = 0.5
"""The weight of each further query beside the question itself."""
DEPTH: Final = 4
"""How many times deeper than its candidates a list is read: what another list has found may stand there, and is scored so."""


@dataclass(frozen=True)
class Found:
    """What the members are shown, best first, and what stood among it and was left out."""

    passages: tuple[Passage, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Searcher:
    """Searches a store with what the config asks for: one query or several, fused, ranked anew, and chosen from."""

    config: RetrievalConfig
    store: Store
    embedder: Embedder
    sparse: SparseEmbedder
    reranker: Reranker | None = None

    def search(self, question: Question, top_k: int, routed: str | None = None) -> Found:
        """At most `top_k` passages. `routed` is the domain that routing takes the question to be of, and counts as the config
        says; the question's own domain is a filter in any case. Raises StoreError and ConfigError."""
        rules, domain = self.config, question.domain
        if domain is None and rules.routed == "only":
            domain = routed
        texts = queries(question, rules.expand)
        candidates = self._candidates(texts, question.tenant, domain, top_k)
        capped = [origin for origin in GENERATED if self._is_capped(origin)]
        if any(c.chunk.provenance.origin in capped for c in candidates):
            # However much of it there is, it must not crowd out what may be shown.
            others = self._candidates(texts, question.tenant, domain, top_k, capped)
            candidates = [*{c.chunk.id: c for c in (*candidates, *others)}.values()]
        candidates = [replace_score(c, c.score * self._factor(c, routed)) for c in candidates]
        candidates.sort(key=lambda c: (-c.score, c.chunk.id))
        candidates = self._reranked(question.text, candidates, routed)
        shown, left_out = select(candidates, rules, top_k)
        passages = join_neighbours(self.store, question.tenant, [c.chunk for c in shown], rules.neighbours)
        return Found(
            tuple(
                Passage(
                    id=c.chunk.id, title=c.chunk.title, text=text, domain=c.chunk.domain, score=c.score, likeness=round(c.likeness, 4),
                    provenance=c.chunk.provenance,
                )
                for c, text in zip(shown, passages, strict=True)
            ),
            tuple(left_out),
        )  # fmt: skip

    def _is_capped(self, origin: Origin) -> bool:
        limits = self.config.origins
        return min(limits.machine, limits.council if origin == "council" else 1.0) < 1.0

    def _candidates(
        self, texts: Sequence[str], tenant: str, domain: str | None, top_k: int, without: Sequence[Origin] = ()
    ) -> list[Candidate]:
        """What any query finds by either vector, with the fused score of all."""
        dense = self.embedder.embed(texts)
        sparse = [self.sparse.embed_query(text) for text in texts] if self.config.search != "dense" else []
        asked: list[VectorQuery] = [*dense, *sparse] if self.config.search != "sparse" else [*sparse]
        limit = max(self.config.prefetch, 2 * top_k)
        lists = self.store.nearest(asked, DEPTH * limit, tenant, domain, without)
        ids = list(dict.fromkeys(id for found in lists for id, _ in found[:limit]))
        stored = self.store.fetch(ids, tenant)
        found = [(id, s.chunk, s.vector) for id in ids if (s := stored.get(id)) is not None and s.vector is not None]
        if not found:
            return []
        vectors = np.stack([vector for _, _, vector in found])
        cosines = dense @ vectors.T
        bm25 = np.zeros_like(cosines)
        for row, terms, some in zip(bm25, sparse, lists[-len(texts) :], strict=False):
            scores, weight = dict(some), max(sum(terms.values), 1e-9)
            row[:] = [scores.get(id, 0.0) / weight for id, _, _ in found]
        seen = cosines if self.config.search != "sparse" else np.zeros_like(cosines)
        fused = fuse(seen, bm25, [1.0] + [FURTHER] * (len(texts) - 1))
        return [
            Candidate(chunk, vector, float(likeness), float(score))
            for (_, chunk, vector), likeness, score in zip(found, cosines[0], fused, strict=True)
        ]

    def _factor(self, candidate: Candidate, routed: str | None) -> float:
        rules, chunk = self.config, candidate.chunk
        factor = by_origin(chunk.provenance.origin, rules.origins)
        if rules.recency is not None:
            factor *= by_age(chunk.provenance.date, rules.recency, date.today())
        if rules.routed == "prefer" and routed is not None and chunk.domain == routed:
            factor *= 1.0 + DOMAIN_BONUS
        return factor

    def _reranked(self, question: str, candidates: list[Candidate], routed: str | None) -> list[Candidate]:
        """The best by what the cross-encoder makes of them; the others keep their places behind these."""
        if self.reranker is None or not candidates:
            return candidates
        best, others = candidates[: self.reranker.candidates], candidates[self.reranker.candidates :]
        texts = [f"{c.chunk.title}\n{c.chunk.text}" if c.chunk.title else c.chunk.text for c in best]
        scores: NDArray[np.float32] = self.reranker.score(question, texts)
        ranked = [replace_score(c, float(s) * self._factor(c, routed)) for c, s in zip(best, scores, strict=True)]
        ranked.sort(key=lambda c: (-c.score, c.chunk.id))
        least = ranked[-1].score
        return [*ranked, *(replace_score(c, min(c.score, least)) for c in others)]


def replace_score(candidate: Candidate, score: float) -> Candidate:
    """The candidate with another score."""
    return replace(candidate, score=score)


def queries(question: Question, expand: bool) -> list[str]:
    """What is searched for, each once: the question; its other wordings; where it is to be expanded, each of its clauses."""
    texts = [question.text, *question.queries]
    if expand:
        clauses = [c.strip() for c in CLAUSES.split(question.text) if c and len(c.split()) >= FEWEST_WORDS]
        texts += clauses if len(clauses) > 1 else []
    return [text for text in dict.fromkeys(texts) if text.strip()]
