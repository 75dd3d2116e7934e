"""Vectors of texts that were embedded before, by the hash of the text: a changed document is embedded where it has changed."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from council.errors import EmbedderError, StoreError
from council.retrieval.fault import one_line

T = TypeVar("T")
Vectors: TypeAlias = NDArray[np.float32]

LOOKUPS: Final = 1000
"""Keys in one query; SQLite takes 32,766."""
PATIENCE_S: Final = 10.0
"""How long a process waits for another one's write; computing takes no longer."""
NO_DATABASE: Final = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
STORED: Final = np.dtype("<f4")


class VectorCache:
    """The vectors of one model in an SQLite file, or with None in memory; for any thread, and for several processes at once.

    A cache never stands in the way: a file that is no database or a damaged one is replaced, and where that or anything else
    fails, vectors are computed without it from then on, which the log says once. It grows until `forget`.
    """

    def __init__(self, path: Path | None, model: str, dimension: int) -> None:
        self._path = path.expanduser().absolute() if path is not None else None
        self._model, self._dimension = model, dimension
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        try:
            self._db = self._open()
        except (OSError, sqlite3.Error) as exc:
            self._recover(exc)

    def embed(self, texts: Sequence[str], embed: Callable[[list[str]], Vectors]) -> Vectors:
        """Rows in the order of the texts, [len(texts), dimension]. `embed` is called at most once, with each text that is not
        there, once; what it raises is raised, and EmbedderError when it gives rows of another shape."""
        keys = [self._key(text) for text in texts]
        found = self._read(list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            # Without the lock: this takes seconds, and other threads may need only what is there.
            made = np.asarray(embed(list(missing.values())), np.float32)
            if made.shape != (len(missing), self._dimension):
                raise EmbedderError(f"{self._model!r} made {made.shape} numbers of {len(missing)} texts, not {self._dimension} of each")
            found |= zip(missing, made, strict=True)
            # A vector that is not finite is an error further on; the next attempt must be free to go better.
            self._write([(key, row) for key, row in zip(missing, made, strict=True) if np.isfinite(row).all()])
        rows = np.empty((len(keys), self._dimension), np.float32)
        for place, key in enumerate(keys):
            rows[place] = found[key]
        return rows

    def forget(self, texts: Sequence[str]) -> int:
        """Remove the vectors of these texts; returns how many there were. Nothing of them is left in the file, which is
        rewritten for that.

        Raises StoreError when they can't be removed: a text may have to be forgotten by law, so this is not passed over.
        """
        keys = list(dict.fromkeys(self._key(text) for text in texts))
        if not keys:
            return 0
        with self._lock:
            try:
                # Whatever went wrong may be over; if it is not, this says what it is.
                db = self._db or self._open()
                try:
                    with db:
                        count = sum(_execute(db, "DELETE FROM vectors WHERE key IN ({})", some).rowcount for some in _parts(keys))
                    # What was deleted is overwritten, but not the copies that were left when pages were split or joined. Even
                    # where nothing is there: it may have been deleted by a call that failed here.
                    db.execute("VACUUM")
                    return count
                finally:
                    if db is not self._db:
                        db.close()
            except (OSError, sqlite3.Error) as exc:
                raise StoreError(
                    f"vectors can't be removed from {self._path or 'memory'}: {one_line(exc)}; remove the file, it is only a cache"
                ) from exc

    def close(self) -> None:
        """Let go of the file; what is embedded later is computed without it."""
        with self._lock:
            self._close()

    def _read(self, keys: list[bytes]) -> dict[bytes, Vectors]:
        def read(db: sqlite3.Connection) -> dict[bytes, Vectors]:
            query = "SELECT key, vector FROM vectors WHERE key IN ({})"
            rows = [row for some in _parts(keys) for row in _execute(db, query, some)]
            return {key: np.frombuffer(vector, STORED) for key, vector in rows if len(vector) == STORED.itemsize * self._dimension}

        return self._try(read) or {}

    def _write(self, rows: Sequence[tuple[bytes, Vectors]]) -> None:
        def write(db: sqlite3.Connection) -> None:
            with db:
                db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", ((key, row.astype(STORED).tobytes()) for key, row in rows))

        self._try(write)

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What the work gives; None when the cache fails, which is seen to."""
        with self._lock:
            if self._db is None:
                return None
            try:
                return work(self._db)
            except (OSError, sqlite3.Error) as exc:
                self._recover(exc)
                return None

    def _recover(self, exc: Exception) -> None:
        """Begin again with an empty file if this one is broken, else go on without."""
        outcome = "vectors are computed without it"
        self._close()
        # The low byte is the kind of fault, the rest says more of it.
        if self._path is not None and getattr(exc, "sqlite_errorcode", 0) & 0xFF in NO_DATABASE:
            try:
                self._path.unlink()
                self._db = self._open()
                outcome = "it was replaced by an empty one"
            except (OSError, sqlite3.Error) as again:
                exc = again
        message = "the cache of vectors %s can't be used: %s; %s"
        logging.getLogger(__name__).warning(message, self._path or "in memory", one_line(exc), outcome)

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path or ":memory:", timeout=PATIENCE_S, check_same_thread=False)
        try:
            db.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            db.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
            db.execute("SELECT key, vector FROM vectors LIMIT 1").fetchall()  # another program's table fails here, not later
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _key(self, text: str) -> bytes:
        # The name's hash, since a name could end as a text begins.
        return sha256(_digest(self._model) + text.encode("utf-8", "surrogatepass")).digest()


def _digest(name: str) -> bytes:
    return sha256(name.encode("utf-8", "surrogatepass")).digest()


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), LOOKUPS):
        yield keys[start : start + LOOKUPS]


def _execute(db: sqlite3.Connection, query: str, keys: Sequence[bytes]) -> sqlite3.Cursor:
    return db.execute(query.format(", ".join("?" * len(keys))), keys)
