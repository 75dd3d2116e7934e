"""BM25 as sparse vectors: term weights here, inverse document frequency in the store (the IDF modifier)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qdrant_edge import Bm25, Bm25Config

AVERAGE_LENGTH: Final = 40.0
"""Terms of a passage, stop words left out; what BM25 compares a passage's length with."""


@dataclass(frozen=True)
class SparseVector:
    """Term hashes and their weights; both empty for a text of stop words alone."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class SparseEmbedder:
    """English BM25: lower case, stop words left out, Snowball stems. No model, no download."""

    def __init__(self) -> None:
        self._bm25 = Bm25(Bm25Config(avg_len=AVERAGE_LENGTH))

    def embed_document(self, text: str) -> SparseVector:
        """Saturated term frequencies, normalized by length."""
        vector = self._bm25.embed_document(text)
        return SparseVector(tuple(vector.indices), tuple(vector.values))

    def embed_query(self, text: str) -> SparseVector:
        """Each term once, with weight 1."""
        vector = self._bm25.embed_query(text)
        return SparseVector(tuple(vector.indices), tuple(vector.values))
