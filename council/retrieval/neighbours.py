"""The passages before and after one in its document, joined to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from council.retrieval.index import chunk_id
from council.retrieval.store import Chunk, Store

LONGEST_OVERLAP: Final = 2000
"""Characters that two pieces are looked at for what they share."""


def join_neighbours(store: Store, tenant: str, chunks: Sequence[Chunk], reach: int) -> list[str]:
    """The text of each chunk with those of up to `reach` before and after it in its document, as far as they are there, are not
    held back and stand under the same heading. What is itself among `chunks`, or was joined to an earlier one, is joined to
    no other."""
    if not reach:
        return [chunk.text for chunk in chunks]
    wanted = {id for chunk in chunks for id, _ in _around(chunk, reach)}
    there = {id: s.chunk for id, s in store.fetch(sorted(wanted), tenant).items() if not s.chunk.held}
    used = {chunk.id for chunk in chunks}
    return [_joined(chunk, reach, there, used) for chunk in chunks]


def _around(chunk: Chunk, reach: int) -> list[tuple[str, int]]:
    parts = range(max(0, chunk.part - reach), min(chunk.parts, chunk.part + reach + 1))
    return [(chunk_id(chunk.tenant, chunk.file, chunk.mark, part), part) for part in parts if part != chunk.part]


def _joined(chunk: Chunk, reach: int, there: dict[str, Chunk], used: set[str]) -> str:
    text, around = chunk.text, _around(chunk, reach)
    for nearest_first, before in ((sorted((a for a in around if a[1] < chunk.part), key=lambda a: -a[1]), True),
                                  (sorted((a for a in around if a[1] > chunk.part), key=lambda a: a[1]), False)):  # fmt: skip
        for id, _ in nearest_first:
            other = there.get(id)
            if other is None or id in used or other.title != chunk.title:
                break  # what lies beyond would not be its neighbour any more
            used.add(id)
            text = join(other.text, text) if before else join(text, other.text)
    return text


def join(first: str, second: str) -> str:
    """Two pieces of one text, of which the second may begin with what the first ends with."""
    most = min(len(first), len(second), LONGEST_OVERLAP)
    shared = next((n for n in range(most, 0, -1) if first.endswith(second[:n]) and (n == len(second) or n > 3)), 0)
    return f"{first}{second[shared:]}" if shared else f"{first} {second}"
