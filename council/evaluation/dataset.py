"""Labelled questions: a JSON object a line, with the answers that count as right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from council.aggregator import Vote, group_answers, normalise
from council.errors import DatasetError
from council.types import NOT_KNOWN


@dataclass(frozen=True)
class Labelled:
    """A question, and the answers that count as right; none if nothing answers it, and to say so is right."""

    id: str
    question: str
    answers: tuple[str, ...]
    domain: str = "all"

    def accepts(self, answer: str | None) -> bool:
        """Whether an answer means the same as one that is right, by the rules that group answers, without likeness."""
        if answer is None:
            return False
        if not self.answers:
            return normalise(answer) == NOT_KNOWN
        return any(len(group_answers([Vote("a", answer, 1.0), Vote("b", right, 1.0)], None, 1.0)) == 1 for right in self.answers)


def read_dataset(path: Path, split: str | None = None) -> list[Labelled]:
    """`{"question", "answer": "..." or null, "aliases": [...], "domain", "id", "split"}`, a line each; only the first two are needed.

    Raises DatasetError with the number of the line that is wrong.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise DatasetError(f"{path} can't be read: {exc}") from exc
    rows = [(_parsed(line, f"{path}, line {n}"), f"{path}, line {n}") for n, line in enumerate(lines, 1) if line.strip()]
    found = [_labelled(row, where) for row, where in rows if split is None or row.get("split") == split]
    if not found:
        raise DatasetError(f"{path} has no questions" + (f" of the split {split!r}" if split else ""))
    seen: set[str] = set()
    for item in found:
        if item.id in seen:
            raise DatasetError(f"{path}: the question {item.question!r} stands there twice; give each an id of its own")
        seen.add(item.id)
    return found


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as exc:
        raise DatasetError(f"{where}: no JSON object: {exc}") from exc
    if not isinstance(row, dict):
        raise DatasetError(f"{where}: a JSON object is wanted")
    return row


def _labelled(row: dict[str, Any], where: str) -> Labelled:
    question, answer, aliases = row.get("question"), row.get("answer"), row.get("aliases", [])
    if not isinstance(question, str) or not question.strip():
        raise DatasetError(f"{where}: 'question' is missing")
    if "answer" not in row or not (answer is None or isinstance(answer, str)):
        raise DatasetError(f"{where}: 'answer' must be a text, or null where nothing answers the question")
    if not isinstance(aliases, list) or not all(isinstance(a, str) for a in aliases):
        raise DatasetError(f"{where}: 'aliases' must be a list of texts")
    answers: Sequence[str] = () if answer is None else (answer, *aliases)
    name = str(row.get("id") or hashlib.sha256(question.encode()).hexdigest()[:16])
    return Labelled(name, question, tuple(answers), str(row.get("domain") or "all"))
