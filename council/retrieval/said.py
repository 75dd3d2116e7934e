"""What the council itself said, known again when it comes back as a document.

A model that feeds on its own output decays (Shumailov et al. 2024, "AI models collapse when trained on recursively generated
data"), and a council that reads its own verdicts agrees with itself. Long texts are known by fingerprints (Schleimer, Wilkerson
and Aiken 2003, "Winnowing: local algorithms for document fingerprinting"), short answers only beside their question. No text is
kept, but for hashes of it, which differ from tenant to tenant.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

from council.errors import StoreError
from council.retrieval.fault import one_line
from council.retrieval.language import LETTER, SPACELESS

T = TypeVar("T")

SHINGLE: Final = 8
"""Words that are hashed together: as many in the same order are seldom chance."""
WINDOW: Final = 4
"""Of so many neighbouring hashes, the least is kept."""
LONG: Final = SHINGLE + WINDOW - 1
"""Words; of a run as long that two texts share, both keep a fingerprint. A shorter answer is known by its question."""
MOST_OWN: Final = 0.5
"""The share of a text's words under fingerprints of the council's from which the text is the council's."""
OPENING: Final = 4
"""Words at the beginning of a question that it is looked for by; a shorter one ("Why?") stands in too many texts."""
APART: Final = 8
"""The most words between a question and its answer, such as "Answer (agreement 0.83, 3 of 4 members):"."""
TEXTS: Final = 256
"""Texts whose hashes are looked up at once."""
LOOKUPS: Final = 1000
"""Keys in one query of a file; SQLite takes 32,766."""
PATIENCE_S: Final = 30.0
"""How long a process waits for another one's write."""

# A question mark is a word here, or "who wrote Hamlet?" would stand in "Kyd, who wrote Hamlet before him"; a number keeps its
# sign and its decimals, or "5" would stand in "-5" and "0.5".
WORD: Final = re.compile(
    rf"[?\u061f]+|(?:(?<![\w.])-(?=\d))?{LETTER}+(?:(?<=\d)[.,:/](?=\d){LETTER}+)*|[{SPACELESS}]",
)
MARKS: Final = frozenset("?\u061f")
SPELT: Final = str.maketrans({"_": " ", "\u2212": "-", "\u00ad": None, "\u200b": None})
"""Markdown's emphasis, the minus sign, and characters that don't show."""
BREAK: Final = re.compile('[.:;!|\n"\u201c\u201d\u201e\u00ab\u00bb\u3002\u061b?\u061f]')
"""What a question without a question mark stands between: "Question: name its capital." and not "to name its capital"."""


class Keys(Protocol):
    """Bytes under keys of 16 bytes (such as a UUID has), each tenant's by themselves. Any thread may call, and several processes
    may share what is kept. Every method may raise StoreError. Said keeps blank values: that a key is there is all it asks."""

    def add(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        """Keep the values, durably and all or none; one whose key is there already is replaced."""
        ...

    def get(self, tenant: str, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Those of the keys that are there, with their values."""
        ...

    def close(self) -> None:
        """Let go of files and connections; a second call does nothing."""
        ...


class KeyFile:
    """Keys in an SQLite file, which is made when it is missing, or with None in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path.expanduser().absolute() if path is not None else None
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        try:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path or ":memory:", timeout=PATIENCE_S, check_same_thread=False)
        except (OSError, sqlite3.Error) as exc:
            raise self._fault("opened", exc) from exc
        try:
            self._call("opened", _make_table)
        except StoreError:
            self.close()
            raise

    def add(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        """See Keys."""
        name = _name(tenant)

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.executemany("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", ((name, *item) for item in sorted(values.items())))

        self._call("written", write)

    def get(self, tenant: str, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """See Keys."""
        # Sorted, so that neighbours are read from the same page.
        name, wanted = _name(tenant), sorted(set(keys))

        def read(db: sqlite3.Connection) -> dict[bytes, bytes]:
            found: dict[bytes, bytes] = {}
            for start in range(0, len(wanted), LOOKUPS):
                some = wanted[start : start + LOOKUPS]
                query = f"SELECT key, value FROM keys WHERE tenant = ? AND key IN ({', '.join('?' * len(some))})"
                found.update(db.execute(query, [name, *some]))
            return found

        return self._call("read", read)

    def close(self) -> None:
        """See Keys."""
        with self._lock:
            db, self._db = self._db, None
            if db is not None:
                db.close()

    def _call(self, done: str, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            if self._db is None:
                raise StoreError(f"the record of what the council said in {self._path or 'memory'} is closed: open it again")
            try:
                return work(self._db)
            except sqlite3.Error as exc:
                raise self._fault(done, exc) from exc

    def _fault(self, done: str, exc: Exception) -> StoreError:
        # The low byte is the kind of fault, the rest says more of it.
        advice = ADVICE.get(getattr(exc, "sqlite_errorcode", 0) & 0xFF, "see that its folder can be written to")
        return StoreError(f"the record of what the council said in {self._path or 'memory'} can't be {done}: {one_line(exc)}; {advice}")


BROKEN: Final = "move the file away; what the council said before is then no longer known, so add no such documents"
ADVICE: Final = {
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_IOERR: "see that its disk works and has room",
    sqlite3.SQLITE_BUSY: "another process is writing to it, so try again",
    sqlite3.SQLITE_NOTADB: BROKEN,
    sqlite3.SQLITE_CORRUPT: BROKEN,
    sqlite3.SQLITE_ERROR: BROKEN,
}


def _make_table(db: sqlite3.Connection) -> None:
    # A log beside the file: one write a question, without waiting for the disk. A crash of the machine may cost the last of them.
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    with db:
        db.execute("CREATE TABLE IF NOT EXISTS keys (tenant BLOB, key BLOB, value BLOB NOT NULL, PRIMARY KEY (tenant, key)) WITHOUT ROWID")
    db.execute("SELECT tenant, key, value FROM keys LIMIT 1").fetchall()  # another program's table fails here, not later


def _name(tenant: str) -> bytes:
    if not tenant:
        raise StoreError("every read and write names its tenant, and this one has no name")
    return tenant.encode("utf-8", "surrogatepass")


class _Match(NamedTuple):
    """Where a recorded question may stand: in which text, and from which word to before which."""

    text: int
    start: int
    end: int


class Said:
    """What the council said, by tenant. Kept are hashes, about 40 for a hundred words of a long answer and 3 for a short one."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def record(self, tenant: str, question: str, answers: Sequence[str], passages: Sequence[str]) -> None:
        """Keep what was said to a question by those who were shown the passages (each with its title).

        What stands in a passage or in the question stays theirs who wrote it: of a long answer only the rest is kept, and a
        short one not at all where a passage holds the question and the answer, as an FAQ does. A question of fewer words than
        an opening keeps no short answers.
        """
        asked, read = words(question), [words(passage) for passage in passages]
        shown = {key for text in (asked, *read) for key in shingles(text, tenant)}
        said: set[bytes] = set()
        for answer in map(words, answers):
            if len(answer) >= LONG:
                said.update(key for _, key in fingerprints(answer, tenant) if key not in shown)
            elif answer and len(asked) >= OPENING and not any(_tells(text, asked, answer) for text in read):
                said |= {
                    _hash(tenant, "opening", asked[:OPENING]),
                    _hash(tenant, "question", asked),
                    _hash(tenant, "answer", [*asked, "", *answer]),
                }
        if said:
            self._keys.add(tenant, dict.fromkeys({*said, _hash(tenant, "any", ())}, b""))

    def recognise(self, tenant: str, texts: Sequence[str]) -> list[bool]:
        """Whether each text (a chunk with its title) is the council's own: half of its words are, or it holds a recorded question
        word for word and next to it, at most APART words away, the recorded answer.

        Three lookups for each TEXTS texts: all fingerprints and all runs of OPENING words; where such a run opens a recorded
        question, the runs from there of any length; and around what is a question, the short runs of words. The first has
        about 1.4 keys a word and the others next to none: from a file, a chunk of 75 words takes 0.7 ms.
        """
        if not self._keys.get(tenant, [_hash(tenant, "any", ())]):  # most tenants index first and ask later
            return [False] * len(texts)
        return [own for start in range(0, len(texts), TEXTS) for own in self._recognise(tenant, texts[start : start + TEXTS])]

    def close(self) -> None:
        """Let go of the keys' files and connections."""
        self._keys.close()

    def _recognise(self, tenant: str, texts: Sequence[str]) -> list[bool]:
        read = [words(text) for text in texts]
        prints = [fingerprints(text, tenant) for text in read]
        openings = {
            (place, start): _hash(tenant, "opening", text[start : start + OPENING])
            for place, text in enumerate(read)
            for start in range(len(text) - OPENING + 1)
        }
        known = self._keys.get(tenant, {*openings.values(), *(key for some in prints for _, key in some)})
        own = [_is_covered(len(text), [at for at, key in some if key in known]) for text, some in zip(read, prints, strict=True)]
        opened = [at for at, key in openings.items() if key in known and not own[at[0]]]
        for place in self._answered(tenant, texts, read, opened):
            own[place] = True
        return own

    def _answered(self, tenant: str, texts: Sequence[str], read: Sequence[list[str]], opened: Iterable[tuple[int, int]]) -> set[int]:
        """Which of the texts hold a question and its answer, of those with an opening of one at (text, word)."""
        runs = {_Match(place, start, end): key for place, start in opened for end, key in _longer(read[place], start, tenant)}
        asked = self._keys.get(tenant, runs.values()) if runs else {}
        found = [match for match, key in runs.items() if key in asked and _stands(texts[match.text], read[match.text], match)]
        beside = {match: _pairs(read[match.text], match, tenant) for match in found}
        told = self._keys.get(tenant, {key for keys in beside.values() for key in keys}) if beside else {}
        return {match.text for match, keys in beside.items() if not keys.isdisjoint(told)}


def words(text: str) -> list[str]:
    """The words of a text without case; each character of a script without spaces is one, and a question mark is."""
    return ["?" if word[0] in MARKS else word for word in WORD.findall(_plain(text))]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().translate(SPELT)


def shingles(text: Sequence[str], tenant: str) -> list[bytes]:
    """The hashes of all runs of SHINGLE words."""
    return [_hash(tenant, "shingle", text[start : start + SHINGLE]) for start in range(len(text) - SHINGLE + 1)]


def fingerprints(text: Sequence[str], tenant: str) -> list[tuple[int, bytes]]:
    """Of each WINDOW neighbouring shingles the one of least hash, the last of equals; with the place of its first word."""
    hashes = shingles(text, tenant)
    chosen: dict[int, bytes] = {}
    for start in range(max(1, len(hashes) - WINDOW + 1) if hashes else 0):
        window = hashes[start : start + WINDOW]
        least = min(window)
        chosen[start + len(window) - 1 - window[::-1].index(least)] = least
    return list(chosen.items())


def _hash(tenant: str, kind: str, text: Sequence[str]) -> bytes:
    hasher = _hasher(tenant, kind).copy()
    # A line break is no part of a word, so that no two lists of words are hashed as the same.
    hasher.update("".join([f"{word}\n" for word in text]).encode())
    return hasher.digest()


@lru_cache(maxsize=1024)
def _hasher(tenant: str, kind: str) -> blake2b:
    """To be copied."""
    # Hashed itself, since a key has at most 64 bytes.
    key = blake2b(_name(tenant), digest_size=32).digest()
    return blake2b(digest_size=16, key=key, person=kind.encode())


def _longer(text: Sequence[str], start: int, tenant: str) -> Iterator[tuple[int, bytes]]:
    """The end and the hash, as a question, of each run from `start` that is at least as long as an opening."""
    hasher = _hasher(tenant, "question").copy()
    for end, word in enumerate(text[start:], start + 1):
        hasher.update(f"{word}\n".encode())
        if end - start >= OPENING:
            yield end, hasher.copy().digest()


def _pairs(text: Sequence[str], match: _Match, tenant: str) -> set[bytes]:
    """The hashes of the question there with each run of words that may be its answer: short, and not far from it.

    An answer in front counts only with a question mark, or "Tribonian: author of the Code." would answer "author of the Code".
    """
    asked = list(text[match.start : match.end])
    others = _without(text, asked)
    after = others[match.end : match.end + APART + LONG - 1]
    before = others[max(0, match.start - APART - LONG + 1) : match.start] if asked[-1] == "?" else []
    runs = [after[at : at + size] for size in range(1, LONG) for at in range(min(APART, len(after) - size) + 1)]
    before.reverse()
    runs += [before[at : at + size][::-1] for size in range(1, LONG) for at in range(min(APART, len(before) - size) + 1)]
    return {_hash(tenant, "answer", [*asked, "", *run]) for run in runs}


def _without(text: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The words, with blanks where the question stands: one that is asked twice is not answered by its own words."""
    left, size = list(text), len(asked)
    for start in range(len(text) - size + 1):
        if text[start : start + size] == asked:
            left[start : start + size] = [""] * size
    return left


def _stands(text: str, read: Sequence[str], match: _Match) -> bool:
    """Whether the words there are a question, and not a part of a sentence that happens to have the same."""
    if read[match.end - 1] == "?":
        return True
    plain = _plain(text)
    found = list(WORD.finditer(plain))
    before = plain[found[match.start - 1].end() : found[match.start].start()] if match.start else "\n"
    after = plain[found[match.end - 1].end() : found[match.end].end()] if match.end < len(found) else "\n"
    return BREAK.search(before) is not None and BREAK.search(after) is not None


def _is_covered(length: int, starts: Iterable[int]) -> bool:
    covered = {place for start in starts for place in range(start, start + SHINGLE)}
    return bool(covered) and len(covered) >= MOST_OWN * length


def _tells(text: Sequence[str], question: Sequence[str], answer: Sequence[str]) -> bool:
    """Whether the question stands in the text, and the answer before or after it."""
    whole, asked, told = ("\n".join(["", *part, ""]) for part in (text, question, answer))
    at = whole.find(asked)
    while at >= 0:
        # The line breaks at either end belong to the neighbours too.
        if told in whole[: at + 1] or told in whole[at + len(asked) - 1 :]:
            return True
        at = whole.find(asked, at + 1)
    return False
