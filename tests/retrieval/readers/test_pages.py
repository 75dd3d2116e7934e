"""Pieces of a text of pages: each knows the page that it begins on."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from council.config import RetrievalConfig
from council.retrieval import Embedder
from council.retrieval.edge_store import EdgeStore
from council.retrieval.index import Index
from council.retrieval.readers.pages import first_pages, join_pages
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.splitting import split
from tests.retrieval.conftest import found_by
from tests.retrieval.readers.made import make_pdf, write


def words(text: str) -> int:
    return len(text.split())


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(4, 20), st.booleans())
def test_each_piece_begins_on_the_page_of_its_first_word(lengths: list[int], limit: int, has_overlap: bool) -> None:
    pages = [" ".join(f"p{number}w{word}{'.' if word % 7 == 0 else ''}" for word in range(n)) for number, n in enumerate(lengths, 1)]
    text, starts = join_pages(pages)
    pieces = [piece.text for piece in split(text, "", limit, limit // 2 if has_overlap else 0, words)]
    assert first_pages(text, starts, pieces) == [int(piece[1 : piece.index("w")]) for piece in pieces]


@given(st.lists(st.text("ab. \n", max_size=30), max_size=5), st.integers(2, 8))
def test_pages_of_repeated_text_never_run_backwards(pages: list[str], limit: int) -> None:
    text, starts = join_pages(pages)
    found = first_pages(text, starts, [piece.text for piece in split(text, "", limit, limit // 2, words)])
    assert found == sorted(found)
    assert set(found) <= set(range(1, len(pages) + 1))


def test_words_cut_at_the_end_of_a_line_are_joined() -> None:
    assert join_pages(["exam-\nple, well-known-\nish, state-of-\nthe-art, Anglo-\nSaxon"])[0].split() == [
        "example,", "well-known-", "ish,", "state-of-", "the-art,", "Anglo-", "Saxon",
    ]  # fmt: skip


def test_chunks_of_a_pdf_carry_their_page(tmp_path: Path, embedder: Embedder) -> None:
    pages = ["".join(f"Tide number {n} falls at {hour}.\n" for hour in range(6)) for n in range(1, 4)]
    write(tmp_path / "tides.pdf", make_pdf(pages, "/Author (N)"))
    with_pages = EdgeStore(tmp_path / "store", embedder)
    Index(RetrievalConfig(chunk_tokens=32, overlap_tokens=8), with_pages, embedder, SparseEmbedder()).add([tmp_path / "tides.pdf"])
    bm25 = SparseEmbedder()
    found = found_by(with_pages, embedder.embed(["tide"])[0], bm25.embed_query("tide"))
    assert {p.provenance.details["page"] for p in found} == {1, 2, 3}
    assert all(p.text.startswith(f"Tide number {p.provenance.details['page']}") for p in found)
    assert {p.provenance.author for p in found} == {"N"}
