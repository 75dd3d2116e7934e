"""Documents -> pieces of at most so many tokens: cut at headings, else paragraphs, else sentences, else words.

Pure functions of a token counter. White space between paragraphs, sentences and words is not kept exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

Counter: TypeAlias = Callable[[str], int]
"""Tokens of a text; more text never has fewer."""

ATX: Final = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
FENCE: Final = re.compile(r"^ {0,3}(```|~~~)")
PARAGRAPH: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
SENTENCE_END: Final = re.compile(r"[.!?]+[\"'\u201d\u2019)\]]*\s+(?=[\"'\u201c\u2018(\[]*[A-Z0-9\u00c0-\u00de\u0391-\u03a9\u0410-\u042f])")
ABBREVIATION: Final = re.compile(r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|No|vs|cf|Fig|Eq|e\.g|i\.e)|\b[A-Z])\.\s+$")
LONGEST_WORD: Final = 512
"""Characters; a longer run without white space (encoded data) is cut: some tokenizers count it as one token."""


class Piece(NamedTuple):
    """A part of a document: the title of the document with the headings above the part, and its text."""

    title: str
    text: str


class _Unit(NamedTuple):
    """What is never cut again, and what joins it to the unit before."""

    joint: str
    text: str


def split(text: str, title: str, limit: int, overlap: int, count: Counter, markdown: bool = False) -> list[Piece]:
    """Pieces in order, each of at most `limit` tokens of text; one that follows another of its section repeats up to
    `overlap` tokens of its end, in whole sentences where they fit. A text that fits stays one piece; an empty one has
    none. `overlap` is at most half of `limit`.
    """
    sections = list(_sections(text, title)) if markdown else [(title, text)]
    whole = _whole(sections, title)
    if count(whole) <= limit and not _has_giant(whole):
        return [Piece(title, whole)] if whole else []
    return [Piece(head, part) for head, body in sections for part in _pack(body, limit, overlap, count)]


def _whole(sections: Sequence[tuple[str, str]], title: str) -> str:
    """All sections as one text; their headings, but for the title, stand as lines of it."""
    parts = []
    above = title
    for head, body in sections:
        if head != above and head != title:
            parts.append(head.removeprefix(f"{title}: "))
        parts.append(body)
        above = head
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _sections(text: str, title: str) -> Iterator[tuple[str, str]]:
    """(title and headings above, body) of each section; a heading with nothing under it is its own body."""
    path: list[tuple[int, str]] = []
    body: list[str] = []
    fenced = False
    pending = False

    def joined() -> str:
        names = [name for _, name in path]
        return ": ".join([title, *(names[1:] if names[:1] == [title] else names)] if title else names)

    for line in text.split("\n"):
        if FENCE.match(line):
            fenced = not fenced
        heading = None if fenced else ATX.match(line)
        if heading is None:
            body.append(line)
            continue
        level = len(heading.group(1))
        content = "\n".join(body).strip()
        if content:
            yield joined(), content
        elif pending and path and level <= path[-1][0]:
            yield joined(), path[-1][1]
        while path and path[-1][0] >= level:
            path.pop()
        path.append((level, heading.group(2)))
        body, pending = [], True
    content = "\n".join(body).strip()
    if content or pending:
        yield joined(), content or path[-1][1]


def _pack(text: str, limit: int, overlap: int, count: Counter) -> Iterator[str]:
    """Fill pieces with units as long as they fit; each next piece opens with the end of the last."""
    piece = ""
    fresh = False
    for unit in _units(text, limit, count):
        grown = f"{piece}{unit.joint}{unit.text}" if piece else unit.text
        if count(grown) <= limit:
            piece, fresh = grown, True
            continue
        if fresh:
            yield piece
        piece = _tail(piece, min(overlap, limit - count(unit.text)), count)
        grown = f"{piece}{unit.joint}{unit.text}" if piece else unit.text
        piece, fresh = (grown if count(grown) <= limit else unit.text), True
    if fresh:
        yield piece


def _units(text: str, limit: int, count: Counter) -> Iterator[_Unit]:
    """Paragraphs that fit, else their sentences that fit, else runs of words."""
    for paragraph in PARAGRAPH.split(text.strip()):
        if not paragraph.strip():
            continue
        joint = "\n\n"
        if count(paragraph) <= limit and not _has_giant(paragraph):
            yield _Unit(joint, paragraph.strip())
            continue
        for sentence in sentences(paragraph):
            if count(sentence) <= limit and not _has_giant(sentence):
                yield _Unit(joint, sentence)
                joint = " "
                continue
            for run in _runs(sentence, limit, count):
                yield _Unit(joint, run)
                joint = " "


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph; a common abbreviation or an initial does not end one."""
    found = []
    start = 0
    for end in SENTENCE_END.finditer(text):
        sentence = text[start : end.end()]
        if ABBREVIATION.search(sentence):
            continue
        found.append(sentence.strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def _has_giant(text: str) -> bool:
    return len(text) > LONGEST_WORD and any(len(word) > LONGEST_WORD for word in text.split())


def _runs(sentence: str, limit: int, count: Counter) -> Iterator[str]:
    words: list[str] = []
    for word in sentence.split():
        if len(word) > LONGEST_WORD or count(word) > limit:
            yield from _fill(words, " ", limit, count)
            words = []
            yield from _fill([word[i : i + 1] for i in range(len(word))], "", limit, count, LONGEST_WORD)
        else:
            words.append(word)
    yield from _fill(words, " ", limit, count)


def _fill(parts: Sequence[str], joint: str, limit: int, count: Counter, most: int | None = None) -> Iterator[str]:
    """Join parts to the longest runs that fit, of at most `most` parts; a part alone is a run even if it doesn't."""
    start = 0
    while start < len(parts):
        low, high = 1, min(len(parts) - start, most or limit)
        while low < high:
            middle = (low + high + 1) // 2
            if count(joint.join(parts[start : start + middle])) <= limit:
                low = middle
            else:
                high = middle - 1
        yield joint.join(parts[start : start + low])
        start += low


def _tail(piece: str, budget: int, count: Counter) -> str:
    """The end of a piece in at most `budget` tokens: whole sentences, else the last words of the last one."""
    if budget <= 0:
        return ""
    last = sentences(piece)
    kept: list[str] = []
    while last and count(" ".join([last[-1], *kept])) <= budget:
        kept.insert(0, last.pop())
    if kept:
        return " ".join(kept) if last else ""
    words = last[-1].split() if last else []
    run: list[str] = []
    while words and count(" ".join([words[-1], *run])) <= budget:
        run.insert(0, words.pop())
    return " ".join(run)
