"""Texts -> which say the same as an earlier one, by their words.

MinHash over word shingles (Broder 1997, "On the resemblance and containment of documents") with banding (Leskovec,
Rajaraman and Ullman, "Mining of Massive Datasets", 3.4) proposes pairs; their Jaccard similarity is then counted exactly.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Final, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from council.retrieval.language import NEGATIONS, NUMERALS, OPPOSITES, tokens

Hashes: TypeAlias = NDArray[np.uint64]

NEAR: Final = 0.9
"""Jaccard similarity of the shingles from which two texts say the same."""
SHINGLE: Final = 5
SHORT_SHINGLE: Final = 3
SHORT: Final = 40
"""Words; shorter texts have shingles of SHORT_SHINGLE, else one changed word would leave too few in common."""
PERMUTATIONS: Final = 128
BANDS: Final = 16
"""With 8 rows each, two texts of similarity 0.9 share none in 1 of 8,000 cases, and two of 0.5 share one in 1 of 16."""
BUCKET: Final = 64
"""Texts of one bucket, the earliest, that are looked at: of thousands that share most of their words, not all are compared."""
LATEST: Final = 1 << 16
"""Keys in a dictionary, which takes ten times the memory, before they are sorted into the array."""
BLOCK: Final = 1024
"""Shingles hashed at once, so that a book needs no more memory than a page."""
VERSION: Final = [1, SHINGLE, SHORT_SHINGLE, SHORT]
"""Of the saved state. Raise the first when anything else that the hashes depend on changes, the lists of words too."""

ROMAN: Final = re.compile(r"(?=.)m{0,3}(?:c[md]|d?c{0,3})(?:x[cl]|l?x{0,3})(?:i[xv]|v?i{0,3})")
KOREAN_NOT: Final = re.compile("않|없|못|아니|^안$")
NO_NAMES: Final = frozenset("ast")
"""Letters that are words or the ends of words; others by themselves are names (vitamin B, hepatitis C)."""


class Finding(NamedTuple):
    """What is known of a text: `of` is the earlier id that says the same, None when it is new.

    `similarity` is the Jaccard similarity to `of`, 1.0 for the same words in the same order; 0.0 when it is new.
    """

    id: str
    of: str | None = None
    similarity: float = 0.0


class _Entry(NamedTuple):
    id: str
    digest: bytes
    shingles: Hashes


class Duplicates:
    """The texts met so far, as hashes; of those that say the same, only the first is kept. Not for several threads.

    Case, white space and punctuation make no difference; a number, a negation or one of a few opposites does, always.
    A text kept takes 8 bytes a word and about 1,000 more.
    """

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._places: dict[str, int] = {}
        self._exact: dict[bytes, int] = {}
        self._buckets = _Buckets()
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, id: str, text: str) -> Finding:
        """Whether the text is new; if so it is kept. An id fed again is never its own duplicate: its text is replaced."""
        entry = _entry(id, text)
        place = self._exact.get(entry.digest)
        if place is not None and self._entries[place].id == id:
            return Finding(id)
        self.discard(id)
        if place is not None:
            return Finding(id, self._entries[place].id, 1.0)
        bands = _bands(entry.shingles)
        likely = [place for place, _ in self._buckets.find(bands).most_common(BUCKET) if place in self._entries]
        near = [(jaccard(entry.shingles, self._entries[place].shingles), self._entries[place].id) for place in likely]
        similarity, nearest = max(near, key=itemgetter(0), default=(0.0, ""))
        if similarity >= NEAR:
            return Finding(id, nearest, similarity)
        self._keep(entry, bands)
        return Finding(id)

    def add_all(self, texts: Iterable[tuple[str, str]]) -> list[Finding]:
        """`add` each (id, text), in order."""
        return [self.add(id, text) for id, text in texts]

    def discard(self, id: str) -> None:
        """Forget a text, as when it leaves the index; nothing happens when it is not kept."""
        if (place := self._places.pop(id, None)) is not None:
            # Its place stays in the buckets, where it is passed over.
            del self._exact[self._entries.pop(place).digest]

    def to_bytes(self) -> bytes:
        """The state, for from_bytes."""
        file, entries = io.BytesIO(), self._entries.values()
        np.savez(
            file,
            version=np.array(VERSION),
            # As JSON, since arrays of strings lose NULs at their ends.
            ids=np.frombuffer(json.dumps(list(self._places)).encode(), np.uint8),
            digests=np.frombuffer(b"".join(entry.digest for entry in entries), np.uint8),
            sizes=np.array([len(entry.shingles) for entry in entries], np.int64),
            shingles=np.concatenate([np.empty(0, np.uint64), *(entry.shingles for entry in entries)]),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, state: bytes) -> Self:
        """The state that to_bytes gave; raises ValueError when it is something else, or from another version."""
        try:
            with np.load(io.BytesIO(state), allow_pickle=False) as arrays:
                version = arrays["version"].tolist()
                ids = json.loads(arrays["ids"].tobytes())
                digests, sizes, shingles = arrays["digests"].tobytes(), arrays["sizes"], arrays["shingles"]
        except (OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as exc:
            raise ValueError(f"this is no saved state of Duplicates: {exc}") from exc
        if version != VERSION:
            raise ValueError("this state of Duplicates is from another version: feed the texts again")
        if shingles.dtype != np.uint64 or len(sizes) != len(ids) or len(digests) != 16 * len(ids) or sizes.sum() != len(shingles):
            raise ValueError("this is no saved state of Duplicates: its parts don't fit")
        duplicates = cls()
        for place, (id, part) in enumerate(zip(ids, np.split(shingles, np.cumsum(sizes)[:-1]), strict=False)):
            # A copy, since a part would keep the whole in memory.
            duplicates._keep(_Entry(id, digests[16 * place : 16 * place + 16], part.copy()), _bands(part))
        return duplicates

    def _keep(self, entry: _Entry, bands: Hashes) -> None:
        self._entries[self._next] = entry
        self._places[entry.id] = self._exact[entry.digest] = self._next
        self._buckets.add(bands, self._next)
        self._next += 1


class _Buckets:
    """Keys -> the places of those that have them: a sorted array of most, and a dictionary of the latest."""

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)
        self._places = np.empty(0, np.uint32)
        self._latest: dict[int, list[int]] = {}

    def add(self, keys: Hashes, place: int) -> None:
        for key in keys.tolist():
            self._latest.setdefault(key, []).append(place)
        if len(self._latest) >= LATEST:
            self._merge()

    def find(self, keys: Hashes) -> Counter[int]:
        """The places that share keys, and how many; of each key, at most the BUCKET earliest of either kind."""
        found: list[int] = []
        starts, ends = np.searchsorted(self._keys, keys, "left"), np.searchsorted(self._keys, keys, "right")
        for key, start, end in zip(keys.tolist(), starts.tolist(), ends.tolist(), strict=True):
            found += self._places[start : min(end, start + BUCKET)].tolist()
            found += self._latest.get(key, [])[:BUCKET]
        return Counter(found)

    def _merge(self) -> None:
        latest = sorted((key, place) for key, places in self._latest.items() for place in places)
        keys = np.concatenate([self._keys, np.array([key for key, _ in latest], np.uint64)])
        places = np.concatenate([self._places, np.array([place for _, place in latest], np.uint32)])
        # Stable, so that the earliest come first; and linear, as these are two sorted runs.
        order = np.argsort(keys, kind="stable")
        self._keys, self._places, self._latest = keys[order], places[order], {}


def jaccard(one: Hashes, other: Hashes) -> float:
    """The share of what either set has that both have; 1.0 for two empty ones."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both) if len(one) or len(other) else 1.0


def _entry(id: str, text: str) -> _Entry:
    found = tokens(text)
    read = [_read(token) for token in found]
    # In every shingle, so that texts that differ in these have none in common; the line break makes it no word's hash.
    salt = _hash("\n".join(["", *(token for token, (_, decisive) in zip(found, read, strict=True) if decisive)]))
    words = np.array([hashed for hashed, _ in read], np.uint64)
    width = max(1, min(SHORT_SHINGLE if len(words) < SHORT else SHINGLE, len(words)))
    rows = len(words) - width + 1
    shingles = np.full(rows, salt, np.uint64)
    for place in range(width):
        shingles += words[place : place + rows] * FACTORS[place]
    digest = blake2b("\n".join(found).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return _Entry(id, digest, np.unique(_mixed(shingles)))


@lru_cache(maxsize=1 << 15)
def _read(token: str) -> tuple[int, bool]:
    """The hash of a word, and whether two texts that differ in it contradict each other."""
    decisive = (
        any(char.isnumeric() for char in token)
        or token in NEGATIONS
        or token in NUMERALS
        or token in OPPOSITES
        or not token[0].isalnum()
        or (len(token) == 1 and token.isascii() and token not in NO_NAMES)
        or ROMAN.fullmatch(token) is not None
        or KOREAN_NOT.search(token) is not None
    )
    return _hash(token), decisive


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _mixed(values: Hashes) -> Hashes:
    """Every bit spread over all: the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


FACTORS: Final = _mixed(np.arange(1, PERMUTATIONS + 1, dtype=np.uint64)) | np.uint64(1)


def signature(shingles: Hashes) -> Hashes:
    """MinHash, [PERMUTATIONS]: two texts agree in a share of places that estimates their Jaccard similarity."""
    least = np.full(PERMUTATIONS, np.iinfo(np.uint64).max)
    for start in range(0, len(shingles), BLOCK):
        # An odd factor makes this a permutation of the 64-bit numbers.
        least = np.minimum(least, (shingles[start : start + BLOCK, None] * FACTORS).min(axis=0))
    return least


def _bands(shingles: Hashes) -> Hashes:
    """The keys of the buckets that the text belongs to, [BANDS]."""
    rows = signature(shingles).reshape(BANDS, -1) * FACTORS.reshape(BANDS, -1)
    return _mixed(rows.sum(axis=1))
