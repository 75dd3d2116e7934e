"""Recorded votes on multiple-choice questions, a JSON object a line, as ballots."""

from __future__ import annotations

import gzip
import hashlib
import json
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from council.aggregator.ballots import NONE, Ballots
from council.errors import DatasetError

LETTERS = string.ascii_uppercase


@dataclass(frozen=True)
class Recorded:
    """Ballots, with the identity and the text of each question."""

    ids: tuple[str, ...]
    questions: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    """The texts of each question's options."""
    ballots: Ballots


def read_votes(path: Path) -> Recorded:
    """`{"id", "domain", "question", "options": [...], "answer": "C", "answers": {"member": "C" or null}}`, a line each.

    The members are all that any line names, in the order of their first appearance. A member that a line leaves out
    cast no vote there, nor did one that named an option which isn't there. Raises DatasetError with the line's number.
    """
    rows = [(_checked(row, f"{path}, line {number}"), number) for number, row in _lines(path)]
    if not rows:
        raise DatasetError(f"{path} has no votes in it")
    members = tuple(dict.fromkeys(name for row, _ in rows for name in row["answers"]))
    place = {name: i for i, name in enumerate(members)}
    choices = np.full((len(rows), len(members)), NONE, np.int64)
    for i, (row, number) in enumerate(rows):
        for name, letter in row["answers"].items():
            if letter is not None:
                option = _option(letter, f"{path}, line {number}, member {name!r}")
                choices[i, place[name]] = option if option < len(row["options"]) else NONE
    gold = [_gold(row, f"{path}, line {number}") for row, number in rows]
    options = np.array([len(row["options"]) for row, _ in rows], np.int64)
    domains = tuple(str(row.get("domain") or "all") for row, _ in rows)
    ids = tuple(str(row.get("id") or _content(row)) for row, _ in rows)
    if len(set(ids)) < len(ids):
        raise DatasetError(
            f"{path}: two lines have the id {next(i for i in ids if ids.count(i) > 1)!r}; each question may stand there once"
        )
    ballots = Ballots(members, choices, options, np.array(gold, np.int64), domains)
    return Recorded(
        ids, tuple(str(row.get("question", "")) for row, _ in rows), tuple(tuple(map(str, r["options"])) for r, _ in rows), ballots
    )


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield number, json.loads(line)
                    except ValueError as exc:
                        raise DatasetError(f"{path}, line {number}: no JSON object: {exc}") from exc
    except (OSError, EOFError, UnicodeDecodeError) as exc:
        raise DatasetError(f"{path} can't be read: {exc}") from exc


def _checked(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise DatasetError(f"{where}: a JSON object is wanted, with options, answer and answers")
    for key, kind in (("options", list), ("answers", Mapping), ("answer", str)):
        if not isinstance(row.get(key), kind):
            raise DatasetError(f"{where}: {key!r} is missing or of the wrong form")
    if not 1 <= len(row["options"]) <= len(LETTERS):
        raise DatasetError(f"{where}: there must be 1 to {len(LETTERS)} options")
    return dict(row)


def _content(row: Mapping[str, Any]) -> str:
    """An identity for a question without an id: the same wherever it stands."""
    return hashlib.sha256(json.dumps([row.get("question"), row["options"]]).encode()).hexdigest()[:16]


def _option(letter: Any, where: str) -> int:
    found = LETTERS.find(letter) if isinstance(letter, str) and len(letter) == 1 else -1
    if found < 0:
        raise DatasetError(f"{where}: {letter!r} is no letter from A to Z")
    return found


def _gold(row: Mapping[str, Any], where: str) -> int:
    found = _option(row["answer"], f"{where}, answer")
    if found >= len(row["options"]):
        raise DatasetError(f"{where}: the answer {row['answer']} is none of the {len(row['options'])} options")
    return found
