from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from council.errors import DatasetError
from council.evaluation.dataset import Labelled, label_rows, read_dataset, read_questions, title_of


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


def label(*rows: dict[str, Any]) -> list[Labelled]:
    return label_rows(rows, list(rows[0]), "hf:o/n, split test")


def test_texts_and_their_aliases_are_read_from_rows() -> None:
    first, second = label(
        {"id": 0, "question": "Who?", "answer": "Ada", "aliases": ["Ada L.", "", "Ada"], "subject": "law", "image": b""},
        {"id": 1, "question": "Why?", "answer": None, "aliases": None, "subject": ""},
    )
    assert first == Labelled("0", "Who?", ("Ada", "Ada L."), "law") and second == Labelled("1", "Why?", (), "all")
    assert [q.answers for q in label({"question": "Who?", "answers": ["Ada", "Bo"]})] == [("Ada", "Bo")]


def test_squad_s_answers_are_read_from_rows() -> None:
    said = label(
        {"id": "a", "context": "c", "question": "Who?", "answers": {"text": ["Ada", "Ada", "Bo"], "answer_start": [1, 1, 9]}},
        {"id": "b", "context": "c", "question": "Why?", "answers": {"text": [], "answer_start": []}},
    )
    assert said == [Labelled("a", "Who?", ("Ada", "Bo")), Labelled("b", "Why?", ())]


@pytest.mark.parametrize(
    "row",
    [
        {"choices": {"text": ["ice", "sun"], "label": ["A", "B"]}, "answerKey": "B"},
        {"choices": {"text": ["ice", "sun"], "label": ["1", "2"]}, "answerKey": "2"},
        {"choices": ["ice", "sun"], "answer": 1}, {"options": ["ice", "sun"], "answer": "B", "answer_index": 1},
    ],
)  # fmt: skip
def test_choices_are_shown_with_letters_and_letter_and_text_are_right(row: dict[str, Any]) -> None:
    (made,) = label({"question": "What is hot?", **row})
    assert (made.question, made.answers) == ("What is hot? (A) ice (B) sun", ("B", "sun"))
    assert made.accepts("b") and made.accepts("Sun") and not made.accepts("A")


def test_a_choice_that_reads_like_a_letter_is_right_by_its_letter_alone() -> None:
    (made,) = label({"question": "Which vitamin?", "choices": ["B", "A", "D"], "answer": 0})
    assert made.answers == ("A",)


def test_a_repeated_row_is_left_out_and_a_repeated_id_numbered() -> None:
    same = {"question": "Who?", "answer": "Ada"}
    first, second = label(same, same, {"question": "Who?", "answer": "Bo"})
    assert (first.answers, second.answers, second.id) == (("Ada",), ("Bo",), f"{first.id}-2")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "q", "label": 1}, "the columns text, label; wanted are question and answer"),
        ({"question": "q", "label": 1}, "the columns question, label; wanted are question and answer"),
        ({"question": "", "answer": "a"}, "row 0: 'question' is missing"),
        ({"question": "q", "answer": 4}, "row 0: 'answer' must be a text"),
        ({"question": "q", "answer": ""}, "row 0: 'answer' must be a text, or a list of texts; if this split hides them"),
        ({"question": "q", "answers": {"spans": []}}, "row 0: 'answers' must be a text"),
        ({"question": "q", "answer": "a", "aliases": "b"}, "row 0: 'aliases' must be a list"),
        ({"question": "q", "answers": {"text": []}}, "no answer to any question: it hides them"),
        ({"question": "q", "choices": ["a", "b"], "answer": -1}, "row 0: answer -1 is none of the 2 choices; if this split hides it"),
        ({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": ""}, "row 0: answerKey '' is none of the 2"),
        ({"question": "q", "choices": "ab", "answer": 0}, "row 0: 'choices' must be 2 to 26 texts"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_told(row: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetError, match=f"hf:o/n, split test.* {said}"):
        label(row)


class Table(list[dict[str, Any]]):
    column_names = ("question", "answer", "split")

    def select_columns(self, names: list[str]) -> list[dict[str, Any]]:
        return [{name: row[name] for name in names} for row in self]


def fake_library(*splits: str) -> SimpleNamespace:
    """What is used of the package datasets, on a hub with one dataset whose only answer is what was asked for."""

    def load_dataset(path: str, config: str | None, split: str) -> Table:
        return Table([{"question": "q", "answer": f"{path} {config} {split}", "split": b""}])

    def get_dataset_split_names(path: str, config: str | None) -> list[str]:
        if path != "o/n":
            raise ConnectionError(f"Couldn't reach\n{path!r} on the Hub")
        return list(splits)

    return SimpleNamespace(load_dataset=load_dataset, get_dataset_split_names=get_dataset_split_names)


def test_a_dataset_of_the_hub_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", fake_library("train", "validation", "test"))
    assert read_questions("hf:o/n")[0].answers == ("o/n None test",)
    assert read_questions("hf:o/n/c", "train")[0].answers == ("o/n c train",)
    monkeypatch.setitem(sys.modules, "datasets", fake_library("train", "validation"))
    assert read_questions("hf:o/n")[0].answers == ("o/n None validation",)
    with pytest.raises(DatasetError, match=r"^hf:o/n has no split dev; choose a --split of train, validation$"):
        read_questions("hf:o/n", "dev")
    with pytest.raises(DatasetError, match=r"^hf:o/m can't be loaded: Couldn't reach 'o/m' on the Hub$"):
        read_questions("hf:o/m")
    for name in ("hf:squad", "hf:", "hf:o/n/c/d", "hf:o//c"):
        with pytest.raises(DatasetError, match="is named hf:ORG/NAME, or hf:ORG/NAME/CONFIG"):
            read_questions(name)
    monkeypatch.setitem(sys.modules, "datasets", fake_library("train"))
    with pytest.raises(DatasetError, match=r"^hf:o/n has no split test or validation; choose a --split of train$"):
        read_questions("hf:o/n")


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DatasetError, match=r"^hf:o/n needs the package datasets: pip install datasets$"):
        read_questions("hf:o/n")


def test_other_names_are_files(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", {"question": "Who?", "answer": "Ada"})
    assert read_questions(str(path)) == read_dataset(path)
    assert (title_of(str(path)), title_of("hf:o/n/c")) == ("q.jsonl", "hf:o/n/c")
