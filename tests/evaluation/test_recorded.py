from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from council.errors import DatasetError
from council.evaluation.recorded import read_votes

ROW = {"id": "1", "domain": "law", "question": "Who?", "options": ["a", "b"], "answer": "B", "answers": {"x": "B", "y": None}}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def test_votes_are_read_and_what_names_no_option_is_no_vote(tmp_path: Path) -> None:
    second = {**ROW, "id": "2", "answers": {"x": "F", "z": "A"}}
    read = read_votes(write(tmp_path / "v.jsonl", ROW, second))
    assert read.ballots.members == ("x", "y", "z") and read.ids == ("1", "2")
    assert read.ballots.choices.tolist() == [[1, -1, -1], [-1, -1, 0]] and read.ballots.gold.tolist() == [1, 1]
    packed = tmp_path / "v.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "v.jsonl").read_bytes()))
    assert (read_votes(packed).ballots.choices == read.ballots.choices).all()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((), "has no votes in it"),
        (("{",), "line 1: no JSON object"),
        (("[]",), "line 1: a JSON object is wanted"),
        ((ROW, {**ROW, "id": "2", "answer": "C"}), "line 2: the answer C is none of the 2 options"),
        (({**ROW, "answers": {"x": "yes"}},), "line 1, member 'x': 'yes' is no letter"),
        (({**ROW, "options": []},), "there must be 1 to 26 options"),
        (({k: v for k, v in ROW.items() if k != "answers"},), "'answers' is missing"),
        ((ROW, ROW), "two lines have the id '1'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, rows: tuple[object, ...], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        read_votes(write(tmp_path / "v.jsonl", *rows))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="can't be read"):
        read_votes(tmp_path / "none.jsonl")
    (tmp_path / "bad.jsonl.gz").write_bytes(b"\x1f\x8bno")
    with pytest.raises(DatasetError, match="can't be read"):
        read_votes(tmp_path / "bad.jsonl.gz")
