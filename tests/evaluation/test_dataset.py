from __future__ import annotations

import json
from pathlib import Path

import pytest

from council.errors import DatasetError
from council.evaluation.dataset import Labelled, read_dataset


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def test_questions_are_read_with_their_answers(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl", {"question": "Who?", "answer": "Ada", "aliases": ["Ada L."], "split": "test", "domain": "law"},
        {"question": "Where?", "answer": None, "split": "train"},
    )  # fmt: skip
    first, second = read_dataset(path)
    assert (first.answers, first.domain, second.answers, second.domain) == (("Ada", "Ada L."), "law", (), "all")
    assert [q.question for q in read_dataset(path, "train")] == ["Where?"] and first.id != second.id
    with pytest.raises(DatasetError, match="no questions of the split 'dev'"):
        read_dataset(path, "dev")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "line 1: no JSON object"), ([], "a JSON object is wanted"), ({"answer": "x"}, "'question' is missing"),
        ({"question": "q"}, "'answer' must be a text, or null"),
        ({"question": "q", "answer": "a", "aliases": "b"}, "'aliases' must be a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, row: object, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        read_dataset(write(tmp_path / "q.jsonl", row))


def test_one_question_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="stands there twice"):
        read_dataset(write(tmp_path / "q.jsonl", {"question": "q", "answer": "a"}, {"question": "q", "answer": "b"}))
    with pytest.raises(DatasetError, match="can't be read"):
        read_dataset(tmp_path / "none.jsonl")


def test_what_means_the_same_is_right() -> None:
    asked = Labelled("1", "How long?", ("12 kilometres",))
    assert asked.accepts("12 km") and not asked.accepts("13 km") and not asked.accepts(None)
    nothing = Labelled("2", "Why?", ())
    assert nothing.accepts("not known") and not nothing.accepts("12 km")
