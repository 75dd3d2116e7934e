"""Bytes -> text: by their mark, as UTF-8, as they declare, else by the best guess if it is a good one."""

from __future__ import annotations

import codecs
import re
from typing import Final

from council.errors import DocumentError
from council.retrieval.readers.document import CONTROL, missing

MARKS: Final = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BYTEWISE: Final = (
    "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "mac_roman",
)  # fmt: skip
MULTIBYTE: Final = ("cp932", "euc_jp", "cp949", "gb18030", "big5")
COMMON: Final = BYTEWISE + MULTIBYTE
"""Guesses are of these, the most used first: where two explain a text equally well, the first is taken."""
WIDE: Final = ("utf_16_le", "utf_16_be")
"""UTF-16 without its mark; the only text in which bytes are 0."""
SHORTEST_GUESS: Final = 16
"""Bytes. Less tells nothing of the encoding."""
MOST_MESS: Final = 0.1
"""charset-normalizer's share of characters that look out of place."""
LEAST_COHERENCE: Final = 0.2
"""Its likeness to a language. Few letters outside ASCII are read without it: they are likely accents."""
FEW: Final = 0.2
MOST_CONTROL: Final = 0.1
"""Of a text's characters; logs have some."""
MULTIBYTE_CHARACTER: Final = re.compile("[\x80-\ufffc\ufffe-\U0010ffff]")


def decode(data: bytes, declared: str | None = None) -> str:
    """Text with its lines ended by \\n. Raises DocumentError for what is no text, or in an encoding that can't be told."""
    text = _decode(data, declared)
    if len(CONTROL.findall(text)) > MOST_CONTROL * len(text):
        raise DocumentError("it is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes, declared: str | None) -> str:
    for mark, name in MARKS:
        if data.startswith(mark):
            try:
                return data.decode(name)
            except UnicodeDecodeError as exc:
                raise DocumentError(f"it is not text: it begins as {name.upper()} and breaks off at byte {exc.start}") from exc
    if b"\0" in data:
        text = _guess(data, WIDE)
        if text is None:
            raise DocumentError("it is not text")
        return text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        start = exc.start
    text = _as_declared(data, declared)
    if text is not None:
        return text
    _check_not_broken(data, start)
    text = _guess(data, COMMON)
    if text is None:
        raise DocumentError(f"it is not UTF-8 (byte {start}), and its encoding can't be told: save it as UTF-8")
    return text


def _as_declared(data: bytes, declared: str | None) -> str | None:
    try:
        name = codecs.lookup(declared or "").name.replace("-", "_")
        if name in ("iso8859_1", "ascii"):
            name = "cp1252"  # what browsers take them for
        known = name in COMMON or name.startswith(("iso8859_", "cp", "koi8_", "gb", "shift_jis", "euc_"))
        return data.decode(name) if known else None
    except (LookupError, UnicodeDecodeError):
        return None


def _check_not_broken(data: bytes, start: int) -> None:
    """UTF-8 with a few bad bytes would be guessed to be another encoding, and read as gibberish."""
    text = data.decode("utf-8", "replace")
    if len(MULTIBYTE_CHARACTER.findall(text)) >= 4 * text.count("\ufffd"):
        raise DocumentError(f"it is UTF-8 but for byte {start}")


def _guess(data: bytes, candidates: tuple[str, ...]) -> str | None:
    if len(data) < SHORTEST_GUESS:
        return None
    try:
        from charset_normalizer import from_bytes
    except ImportError as exc:
        raise missing("texts that are not UTF-8", "charset-normalizer") from exc
    found = from_bytes(data, cp_isolation=list(candidates), enable_fallback=False)
    best = found.best()
    if best is None or best.chaos > MOST_MESS:
        return None
    equal = {name for m in found if m.chaos <= best.chaos and m.coherence >= best.coherence for name in m.could_be_from_charset}
    few = sum(byte > 127 for byte in data[: 2**20]) <= FEW * len(data[: 2**20])
    for name in sorted(equal & set(candidates), key=candidates.index):
        if best.coherence < LEAST_COHERENCE and name not in MULTIBYTE and (name in WIDE or not few):
            continue
        try:
            return data.decode(name)
        except UnicodeDecodeError:  # the guess is made from samples
            continue
    return None
