"""Labelled questions, with the answers that count as right: of a file, a JSON object a line, or of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

from council.aggregator import Vote, group_answers, normalise
from council.errors import DatasetError
from council.types import NOT_KNOWN

HUB: Final = "hf:"
SPLITS: Final = ("test", "validation")
"""Of a dataset of the hub, the split that is read unless one is asked for: the first of these that it has."""
LETTERS: Final = string.ascii_uppercase
DOMAINS: Final = ("domain", "subject", "category")
COLUMNS: Final = ("id", "question", "answer", "answers", "aliases", "choices", "options", "answerKey", *DOMAINS)
WANTED: Final = (
    "wanted are question and answer (and aliases); question and answers, texts or SQuAD's; or question, choices (or options), texts "
    "or ARC's, and answerKey or answer"
)
Reader: TypeAlias = Callable[[Mapping[str, Any], str], dict[str, Any]]


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


def read_questions(name: str, split: str | None = None) -> list[Labelled]:
    """Of a file (`read_dataset`), or of the hub: `hf:ORG/NAME[/CONFIG]` (`read_hub`). Raises DatasetError."""
    return read_hub(name, split) if name.startswith(HUB) else read_dataset(Path(name), split)


def title_of(name: str) -> str:
    """A dataset's name as reports give it: a file's without its folder, the hub's whole."""
    return name if name.startswith(HUB) else Path(name).name


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


def read_hub(name: str, split: str | None = None) -> list[Labelled]:
    """Of `hf:ORG/NAME[/CONFIG]`, by the package datasets, from the hub or from its cache on this machine; `split` None: SPLITS.

    Raises DatasetError if the package isn't installed, or what it can't load, or for columns that `label_rows` can't read.
    """
    try:
        library = import_module("datasets")
    except ImportError as exc:
        raise DatasetError(f"{name} needs the package datasets: pip install datasets") from exc
    parts = name.removeprefix(HUB).split("/")
    if not (len(parts) in (2, 3) and all(parts)):
        raise DatasetError(f"{name}: a dataset of the hub is named hf:ORG/NAME, or hf:ORG/NAME/CONFIG")
    path, config = "/".join(parts[:2]), parts[2] if len(parts) == 3 else None
    try:
        there = list(library.get_dataset_split_names(path, config))
        chosen = split or next((s for s in SPLITS if s in there), None)
        if chosen not in there:
            raise DatasetError(f"{name} has no split {chosen or ' or '.join(SPLITS)}; choose a --split of {', '.join(there)}")
        table = library.load_dataset(path, config, split=chosen)
    except DatasetError:
        raise
    except Exception as exc:  # the network's, the hub's, the file formats'
        raise DatasetError(f"{name} can't be loaded: {' '.join(str(exc).split())[:400] or type(exc).__name__}") from exc
    columns = list(table.column_names)
    read = table.select_columns([c for c in columns if c in COLUMNS])  # images and the like are not decoded
    return label_rows(read, columns, f"{name}, split {chosen}")


def label_rows(rows: Iterable[Mapping[str, Any]], columns: Collection[str], name: str) -> list[Labelled]:
    """Questions from the rows of a table, in the forms that WANTED tells of. Of choices, a question shows them with letters, and
    the right one's letter and its text both count; without any answers, nothing answers the question.

    A row that repeats an earlier one is left out, so that none is both fitted and measured on; an id that stands there twice is
    given the row's number. Raises DatasetError, naming the row, from 0 as the hub counts.
    """
    reader = _reader(columns)
    if reader is None:
        raise DatasetError(f"{name} has the columns {', '.join(columns)}; {WANTED}")
    found: dict[str, Labelled] = {}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for number, row in enumerate(rows):
        where = f"{name}, row {number}"
        if not isinstance(row["question"], str) or not row["question"].strip():
            raise DatasetError(f"{where}: 'question' is missing")
        domain = next((str(row[c]) for c in DOMAINS if row.get(c) not in (None, "")), None)
        own = None if row.get("id") in (None, "") else str(row["id"])
        made = _labelled({**reader(row, where), "id": own, "domain": domain}, where)
        if (made.question, made.answers) not in seen:
            seen.add((made.question, made.answers))
            while made.id in found:
                made = replace(made, id=f"{made.id}-{number}")
            found[made.id] = made
    if not found:
        raise DatasetError(f"{name} has no questions")
    if not any(item.answers for item in found.values()):
        raise DatasetError(f"{name} has no answer to any question: it hides them; choose another --split")
    return list(found.values())


def _reader(columns: Collection[str]) -> Reader | None:
    if "question" not in columns:
        return None
    choices = next((c for c in ("choices", "options") if c in columns), None)
    key = next((c for c in ("answerKey", "answer") if c in columns), None)
    if choices is not None and key is not None:
        return lambda row, where: _of_choices(row, choices, key, where)
    answer = next((c for c in ("answer", "answers") if c in columns), None)
    return None if answer is None else lambda row, where: _of_texts(row, answer, where)


def _of_texts(row: Mapping[str, Any], column: str, where: str) -> dict[str, Any]:
    """A row with a text, a list of texts or SQuAD's {"text": [...]}, as one of a file."""
    said, aliases = row[column], row.get("aliases") or []
    if isinstance(said, Mapping):
        said = said.get("text", said)
    texts = [] if said is None else said if isinstance(said, list) else [said]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise DatasetError(f"{where}: {column!r} must be a text, or a list of texts; if this split hides them, choose another --split")
    if not isinstance(aliases, list) or not all(isinstance(text, str) for text in aliases):
        raise DatasetError(f"{where}: 'aliases' must be a list of texts")
    right = [text for text in dict.fromkeys([*texts, *aliases]) if text.strip()]
    return {"question": row["question"], "answer": right[0] if texts else None, "aliases": right[1:]}


def _of_choices(row: Mapping[str, Any], column: str, key: str, where: str) -> dict[str, Any]:
    """A row with choices, and which is right as a number from 0, a letter or ARC's label, as one of a file."""
    choices, right = row[column], row[key]
    texts = choices.get("text") if isinstance(choices, Mapping) else choices
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts) or not 2 <= len(texts) <= len(LETTERS):
        raise DatasetError(f"{where}: {column!r} must be 2 to {len(LETTERS)} texts")
    letters = list(LETTERS[: len(texts)])
    labels = choices.get("label") or letters if isinstance(choices, Mapping) else letters
    at = right if isinstance(right, int) else labels.index(right) if right in labels else -1
    if not 0 <= at < len(texts):
        raise DatasetError(f"{where}: {key} {right!r} is none of the {len(texts)} choices; if this split hides it, choose another --split")
    shown = " ".join(f"({letter}) {text}" for letter, text in zip(letters, texts, strict=True))
    also = [] if texts[at].strip().upper() in letters else [texts[at]]  # a text such as "B" would pass for another's letter
    return {"question": f"{row['question']} {shown}", "answer": letters[at], "aliases": also}


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
