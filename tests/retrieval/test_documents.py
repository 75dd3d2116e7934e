"""read_documents on real files: what is read, and what is named, skipped and counted."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from council.retrieval import documents
from council.retrieval.documents import read_documents
from council.types import Provenance


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_titles_of_markdown_and_text(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "intro\n\n## The *first* heading ##\ntext")
    write(tmp_path / "b.md", "no heading")
    write(tmp_path / "c.txt", "# not a heading")
    reading = read_documents([tmp_path])
    assert [(d.title, d.markdown) for d in reading.documents] == [
        ("The *first* heading", True), ("b", True), ("c", False),
    ]  # fmt: skip
    assert reading.skipped == ()
    assert reading.documents[2].provenance == Provenance(
        source=str(tmp_path / "c.txt"), document=hashlib.sha256(b"# not a heading").hexdigest()
    )


def test_folders_are_walked_in_order_without_hidden_and_other_files(tmp_path: Path) -> None:
    for name in ("z.txt", "a/b.txt", "a/a.TXT", ".hidden.txt", ".git/c.txt", "picture.png", "b/.d/e.txt"):
        write(tmp_path / name, name)
    reading = read_documents([tmp_path])
    assert [d.text for d in reading.documents] == ["z.txt", "a/a.TXT", "a/b.txt"]
    assert reading.skipped == ()


def test_a_record_keeps_what_it_says_of_itself(tmp_path: Path) -> None:
    record = {
        "id": 7, "title": "T", "text": "a\u2028b", "domain": "law", "source": "a book", "origin": "human",
        "provenance": {"author": "N", "year": 1900}, "other": 1,
    }  # fmt: skip
    path = write(tmp_path / "a.jsonl", "\ufeff" + json.dumps(record, ensure_ascii=False) + '\n\n{"text": "only"}\r\n')
    first, second = read_documents([path]).documents
    assert (first.title, first.text, first.domain, first.markdown) == ("T", "a\u2028b", "law", False)
    assert (first.provenance.origin, first.provenance.source) == ("human", "a book")
    assert (first.provenance.author, first.provenance.details) == ("N", {"id": 7, "year": 1900})
    assert (second.title, second.domain, second.provenance.origin) == ("", None, "unknown")
    assert second.provenance.source == f"{path}:3"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('{"text": "x", "n": ' + "1" * 5000 + "}", "it is not JSON"),
        ("3", "it is not a JSON object"),
        ("{}", "'text' is missing or empty"),
        ('{"text": " "}', "'text' is missing or empty"),
        ('{"text": 3}', "'text' must be a string"),
        ('{"text": "\\ud800"}', "half of a surrogate pair"),
        ('{"text": "x", "title": []}', "'title' must be a string"),
        ('{"text": "x", "origin": "robot"}', "'origin' must be one of human, machine, council, unknown"),
        ('{"text": "x", "origin": ["human"]}', "'origin' must be a string"),
        ('{"text": "x", "provenance": "me"}', "'provenance' must be an object"),
        ('{"text": "x", "id": "\\udfff"}', "half of a surrogate pair"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path: Path, line: str, reason: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"text": "before"}}\n{line}\n{{"text": "after"}}\n')
    reading = read_documents([path])
    assert [d.text for d in reading.documents] == ["before", "after"]
    ((where, why),) = reading.skipped
    assert where == f"{path}:2"
    assert reason in why
    assert "\n" not in why


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    good = write(tmp_path / "good.txt", "good")
    latin = write(tmp_path / "latin.txt", b"caf\xe9")
    empty = write(tmp_path / "empty.md", "\n \n")
    picture = write(tmp_path / "picture.png", "x")
    missing = tmp_path / "missing.txt"
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    loop = tmp_path / "loop.txt"
    loop.symlink_to(loop)
    memory = Path("/proc/self/mem")
    reading = read_documents([latin, empty, picture, missing, pipe, loop, memory, good])
    assert [d.text for d in reading.documents] == ["good"]
    reasons = dict(reading.skipped)
    assert "not UTF-8 (byte 3)" in reasons[str(latin)]
    assert "no text" in reasons[str(empty)]
    assert ".md, .markdown, .txt, .pdf" in reasons[str(picture)]
    assert "no such file" in reasons[str(missing)]
    assert "not a regular file" in reasons[str(pipe)]
    assert set(reasons) == {str(p) for p in (latin, empty, picture, missing, pipe, loop, memory)}


def test_globs_are_expanded_in_order_and_folders_they_match_are_walked(tmp_path: Path) -> None:
    for name in ("b/x.md", "a/deep/er/y.txt", "a/z.txt", "a/.git/no.txt", "a/.no.txt", "a/picture.png", "top.txt"):
        write(tmp_path / name, name)
    texts = {
        pattern: [d.text for d in read_documents([tmp_path / pattern]).documents] for pattern in ("*", "**/*.txt", "?/*", "[!b]/z*", "**")
    }
    assert texts["**/*.txt"] == ["a/deep/er/y.txt", "a/z.txt", "top.txt"]
    assert texts["?/*"] == ["a/deep/er/y.txt", "a/z.txt", "b/x.md"]
    assert texts["[!b]/z*"] == ["a/z.txt"]
    assert sorted(texts["*"]) == sorted(texts["**"]) == ["a/deep/er/y.txt", "a/z.txt", "b/x.md", "top.txt"]


def test_a_relative_glob_is_one_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a/b.txt", "found")
    monkeypatch.chdir(tmp_path)
    assert [d.provenance.source for d in read_documents(["*/*.txt"]).documents] == ["a/b.txt"]


def test_a_glob_that_matches_nothing_is_named(tmp_path: Path) -> None:
    write(tmp_path / "picture.png", "x")
    reasons = dict(read_documents([tmp_path / "*.md", tmp_path / "*.png", tmp_path / "**x/*.md", tmp_path / "no/*"]).skipped)
    assert len(reasons) == 4
    assert all("nothing matches" in reasons[str(tmp_path / name)] for name in ("*.md", "*.png", "no/*"))
    assert "no pattern for files" in reasons[str(tmp_path / "**x/*.md")]


def test_a_name_that_looks_like_a_glob_is_a_file_if_there_is_one(tmp_path: Path) -> None:
    write(tmp_path / "1.txt", "other")
    path = write(tmp_path / "[1].txt", "itself")
    assert [d.text for d in read_documents([path]).documents] == ["itself"]


def test_circles_of_links_end(tmp_path: Path) -> None:
    write(tmp_path / "a/x.txt", "x")
    for name in ("a/up", "a/again"):
        (tmp_path / name).symlink_to(tmp_path, target_is_directory=True)
    for path in (tmp_path, tmp_path / "**/*.txt", tmp_path / "a/up/a"):
        assert [d.text for d in read_documents([path]).documents] == ["x"]


def test_what_is_empty_huge_or_forbidden_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_BYTES", 100)
    empty, huge = write(tmp_path / "empty.txt", ""), write(tmp_path / "huge.txt", "x" * 101)
    write(tmp_path / "fits.txt", "x" * 100)
    forbidden = write(tmp_path / "forbidden.txt", "x")
    opened = Path.open

    def refuse(path: Path, mode: str) -> object:
        if path == forbidden:
            raise PermissionError(13, "Permission denied")
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no mode stops
    reading = read_documents([tmp_path])
    assert len(reading.documents) == 1
    assert dict(reading.skipped) == {
        str(empty): "it is empty", str(huge): "it is larger than 0 MiB", str(forbidden): "Permission denied",
    }  # fmt: skip


def test_a_name_that_is_not_unicode_is_shown_as_well_as_can_be(tmp_path: Path) -> None:
    for name in (b"\xff.txt", b"\xfe.pdf"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    reading = read_documents([tmp_path])
    assert [d.title for d in reading.documents] == ["\ufffd"]
    assert reading.skipped == ((f"{tmp_path}/\ufffd.pdf", "it is not a PDF"),)


def test_a_path_that_cannot_be_one_is_named() -> None:
    reading = read_documents(["a\0b.txt", "x" * 5000 + ".txt", "y" * 5000 + "*.txt", "\0*"])
    assert reading.documents == ()
    assert len(reading.skipped) == 4
