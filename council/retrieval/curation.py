"""What of new chunks is held back, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from council.config import CurationConfig
from council.retrieval.duplicates import Duplicates
from council.retrieval.quality import judge
from council.retrieval.store import Chunk, Store

DUPLICATE: Final = "duplicate of "
"""How the reason begins; the file that has the other follows."""
POOR: Final = "poor: "


class Curator:
    """Judges chunks that are to join those that a tenant has; those of documents with the marks `without` don't count."""

    def __init__(self, config: CurationConfig, store: Store, tenant: str, without: Collection[str]) -> None:
        self._config, self._store, self._tenant, self._without = config, store, tenant, without

    def curate(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """The chunks, each with why it is held back, if it is. Of chunks that say the same the first is kept; within a document
        nothing is a duplicate: the repetition is its author's."""
        if not chunks:
            return []
        known, places = Duplicates(), dict[str, tuple[str, str]]()
        if self._config.duplicates:
            for there in self._store.chunks(self._tenant):
                if there.mark not in self._without and not there.held:
                    places[there.id] = (there.file, there.mark)
                    known.add(there.id, there.text)
        judged = []
        for chunk in chunks:
            held = self._poor(chunk)
            if not held and self._config.duplicates:
                found = known.add(chunk.id, chunk.text)
                places[chunk.id] = (chunk.file, chunk.mark)
                other = places.get(found.of) if found.of is not None else None
                held = f"{DUPLICATE}{other[0]}" if other is not None and other != places[chunk.id] else ""
                if held:
                    known.discard(chunk.id)
            judged.append(chunk.model_copy(update={"held": held}))
        return judged

    def _poor(self, chunk: Chunk) -> str:
        if not self._config.quality:
            return ""
        quality = judge(f"{chunk.title}. {chunk.text}" if chunk.title else chunk.text)
        return "" if quality.ok else f"{POOR}{quality.reasons[0]}"
