"""Export: which chunks become training data, when none do, and that a file is there whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.errors import ConfigError, DocumentError, StoreError
from council.retrieval.export import export_corpus
from council.retrieval.said import words
from council.retrieval.store import Chunk
from council.types import GENERATED, Origin, Provenance

ORIGINS: tuple[Origin, ...] = get_args(Origin)
KEYS = ["title", "text", "domain", "origin", "source", "author", "date", "licence", "language", "document"]


def chunk(text: str, origin: Origin = "human", held: str = "", **about: Any) -> Chunk:
    return Chunk(id=text, title="A title", text=text, domain="law", held=held, provenance=Provenance(origin=origin, **about))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


def mixed(**counts: int) -> list[Chunk]:
    """So many chunks of ten words of each origin."""
    return [chunk(f"{origin} {n} of ten words that are all alike here", origin) for origin in ORIGINS for n in range(counts.get(origin, 0))]


CHUNKS = st.lists(
    st.builds(
        chunk,
        st.lists(st.text("abcdefgh", min_size=1, max_size=5), max_size=12).map(" ".join),
        st.sampled_from(ORIGINS),
        st.sampled_from(["", "", "", "boilerplate"]),
    ),
    max_size=15,
)


@given(CHUNKS, st.floats(0, 1))
def test_a_corpus_is_what_people_and_few_machines_wrote_or_is_not_there(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[Chunk], most: float
) -> None:
    folder = tmp_path_factory.mktemp("export")
    path = folder / "corpus.jsonl"
    sizes = {o: sum(len(words(c.text)) for c in chunks if not c.held and c.provenance.origin == o) for o in ORIGINS}
    share = sum(sizes[o] for o in GENERATED) / max(1, sum(sizes.values()))
    wanted = [c for c in chunks if not c.held and c.provenance.origin != "council"]
    if share > most or not wanted:
        with pytest.raises(DocumentError):
            export_corpus(chunks, path, most)
        assert list(folder.iterdir()) == []
        return
    report = export_corpus(iter(chunks), path, most)
    assert [p.name for p in folder.iterdir()] == ["corpus.jsonl"]
    assert [(line["text"], line["origin"]) for line in lines(path)] == [(c.text, c.provenance.origin) for c in wanted]
    assert report.chunks == len(wanted) and report.words == sum(sizes.values()) - sizes["council"]
    assert report.generated == share <= most
    assert {o: count.words for o, count in report.origins.items()} == sizes
    assert sum(count.chunks for count in report.origins.values()) + report.held == len(chunks)
    assert sum(count.share for count in report.origins.values()) == pytest.approx(1 if any(sizes.values()) else 0)


def test_a_line_says_what_is_known_of_a_passage(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    about = {"source": "code.pdf", "author": "Ł. Ng", "date": "2024-05", "licence": "CC-BY-4.0", "language": "pl", "document": "d41d"}
    report = export_corpus([chunk("Zażółć\u2028„gęślą”\njaźń \ud800", "human", details={"page": 3}, **about), chunk("b")], path)
    first, second = lines(path)
    assert list(first) == KEYS
    title = {"title": "A title", "text": "Zażółć\u2028„gęślą”\njaźń \ud800", "domain": "law", "origin": "human"}
    assert first == title | about
    assert second == {key: "" for key in KEYS} | {"title": "A title", "text": "b", "domain": "law", "origin": "human"}
    assert "Zażółć" in path.read_text("utf-8")
    assert report.documents == 2


def test_chunks_of_one_document_are_one_document(tmp_path: Path) -> None:
    chunks = [chunk("one", document="a"), chunk("two", document="a"), chunk("three", document="b"), chunk("four", "council", document="c")]
    assert export_corpus(chunks, tmp_path / "corpus.jsonl", 0.5).documents == 2


def test_the_limit_itself_is_let_through_and_more_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    report = export_corpus(mixed(human=8, unknown=1, machine=1), path)
    assert report.generated == 0.1 and report.chunks == 10
    assert report.origins["unknown"].chunks == 1 and report.origins["unknown"].share == 0.1
    before = path.read_bytes()
    with pytest.raises(DocumentError) as raised:
        export_corpus(mixed(human=7, unknown=1, machine=1, council=1), path)
    assert str(raised.value) == (
        f"{path} is not written: models wrote 20.00% of the words (20 of 100; chunks by machines: 1, by the council: 1), and "
        "10.00% is the most; remove such documents, add some that people wrote, or raise most_generated"
    )
    assert path.read_bytes() == before


def test_what_the_council_said_is_left_out_whatever_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    report = export_corpus(mixed(human=5, machine=2, council=3), path, 1.0)
    assert {line["origin"] for line in lines(path)} == {"human", "machine"}
    assert report.chunks == 7 and report.words == 70
    assert report.generated == 0.5 and report.origins["council"].chunks == 3
    with pytest.raises(DocumentError, match=r"nothing to export \(chunks that are held back: 1, that the council said: 3\)"):
        export_corpus([*mixed(council=3), chunk("boilerplate", held="poor")], path, 1.0)
    assert len(lines(path)) == 7


@pytest.mark.parametrize("most", [-0.1, 1.1, float("nan")])
def test_a_limit_is_a_share(tmp_path: Path, most: float) -> None:
    with pytest.raises(ConfigError, match="most_generated"):
        export_corpus(mixed(human=1), tmp_path / "corpus.jsonl", most)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [StoreError("the store is gone"), KeyboardInterrupt()])
def test_an_export_that_is_broken_off_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text("before")

    def broken() -> Iterator[Chunk]:
        yield from mixed(human=1000)
        raise error

    with pytest.raises(type(error)) as raised:
        export_corpus(broken(), path)
    assert raised.value is error
    assert [p.name for p in tmp_path.iterdir()] == ["corpus.jsonl"]
    assert path.read_text() == "before"


def test_a_path_that_cant_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing" / "corpus.jsonl", tmp_path / "file" / "corpus.jsonl", tmp_path / "folder", Path("/")):
        with pytest.raises(DocumentError, match=r"can't be written: .*; give a path in a folder that you may write to"):
            export_corpus(mixed(human=1), path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "inner"]


def test_a_disk_without_room_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    export_corpus(mixed(human=1), path)
    before = path.read_bytes()
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from council.errors import DocumentError; from council.retrieval.export import export_corpus\n"
        "from council.retrieval.store import Chunk\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "for count in (1000, 40):\n"  # one fails on the way, the other when all that was written is flushed
        "    try: export_corpus([Chunk(id=str(n), title='', text='a text') for n in range(count)], Path(sys.argv[1]))\n"
        "    except DocumentError as exc: print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, timeout=120)
    refused = done.stdout.splitlines()
    assert len(refused) == 2 and all("can't be written" in line and "on a disk with room" in line for line in refused), done.stderr
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["corpus.jsonl"]
