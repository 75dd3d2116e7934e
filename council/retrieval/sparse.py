"""BM25 over stems and their bigrams, as sparse vectors: term weights here, inverse document frequency in the store (the IDF
modifier)."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from qdrant_edge import Bm25, Bm25Config

WORD: Final = re.compile(r"\w+")
LENGTH_WEIGHT: Final = 0.5
"""BM25's b: how much longer passages are held against them."""
SATURATION: Final = 0.3
"""BM25's k1 of a stem. In a short passage a word says what it can say the first time."""
PAIR_SATURATION: Final = 0.6
PAIR_WEIGHT: Final = 0.4
"""Of a pair of adjacent stems beside a stem, in questions. Fitted with the others on one half of 1,403 questions of three
corpora and tested on the other; CHANGELOG.md has the figures."""
TERMS_PER_TOKEN: Final = 30 / 96
"""Stems in a token of the embedder, in ordinary text."""


@dataclass(frozen=True)
class SparseVector:
    """Term hashes and their weights; both empty for a text of stop words alone."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class SparseEmbedder:
    """English BM25: lower case, stop words left out, Snowball stems, and pairs of stems that follow each other. No model, no
    download. `chunk_tokens`: how long passages are, which a passage's length is compared with."""

    def __init__(self, chunk_tokens: int = 96) -> None:
        self._average = max(1.0, TERMS_PER_TOKEN * chunk_tokens)

    def embed_document(self, text: str) -> SparseVector:
        """Saturated frequencies, normalized by length: tf / (tf + k1 (1 - b + b length / average))."""
        stems = _stems(text)
        norm = 1.0 - LENGTH_WEIGHT + LENGTH_WEIGHT * len(stems) / self._average
        weights = {i: n / (n + SATURATION * norm) for i, n in Counter(stems).items()}
        pairs = Counter(_pairs(stems))
        return _vector(weights | {i: n / (n + PAIR_SATURATION * norm) for i, n in pairs.items() if i not in weights})

    def embed_query(self, text: str) -> SparseVector:
        """Each stem once, with weight 1, and each pair, with PAIR_WEIGHT."""
        stems = _stems(text)
        return _vector(dict.fromkeys(_pairs(stems), PAIR_WEIGHT) | dict.fromkeys(stems, 1.0))


def _vector(weights: dict[int, float]) -> SparseVector:
    return SparseVector(tuple(weights), tuple(weights.values()))


def _stems(text: str) -> list[int]:
    """The hashes of a text's stems, in order, without stop words."""
    return [stem for word in WORD.findall(text.lower()) if (stem := _stem(word)) is not None]


def _pairs(stems: list[int]) -> list[int]:
    return [zlib.crc32(b"%d %d" % pair) for pair in pairwise(stems)]


_BM25: Final = Bm25(Bm25Config())


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> int | None:
    """The hash that Qdrant's own BM25 gives a word's stem; None of a stop word."""
    found = _BM25.embed_document(word).indices
    return int(found[0]) if found else None
