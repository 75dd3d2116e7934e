"""A passage with those before and after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.retrieval.edge_store import EdgeStore
from council.retrieval.index import chunk_id
from council.retrieval.neighbours import join, join_neighbours
from council.retrieval.sparse import SparseVector
from council.retrieval.store import Chunk

from .conftest import Space

PARTS = ["one two three.", "two three. four five.", "four five. six.", "seven."]


def chunk(part: int, held: str = "", title: str = "T") -> Chunk:
    return Chunk(
        id=chunk_id("default", "f", "m", part), title=title, text=PARTS[part], file="f", mark="m", part=part, parts=len(PARTS), held=held
    )


def stored(path: Path, chunks: list[Chunk]) -> EdgeStore:
    store = EdgeStore(path, Space())
    store.upsert(chunks, np.ones((len(chunks), 8), np.float32), [SparseVector((), ())] * len(chunks))
    return store


def test_neighbours_are_joined_where_they_overlap_and_each_once(tmp_path: Path) -> None:
    chunks = [chunk(part) for part in range(4)]
    store = stored(tmp_path / "s", chunks)
    assert join_neighbours(store, "default", [chunks[1]], 0) == [PARTS[1]]
    assert join_neighbours(store, "default", [chunks[1]], 1) == ["one two three. four five. six."]
    assert join_neighbours(store, "default", [chunks[0]], 9) == ["one two three. four five. six. seven."]
    assert join_neighbours(store, "default", [chunks[0], chunks[3]], 2) == ["one two three. four five. six.", "seven."]
    assert join_neighbours(store, "default", [chunks[1], chunks[2]], 1) == ["one two three. four five.", "four five. six. seven."]
    store.close()


def test_what_is_held_back_or_of_another_heading_ends_the_reach(tmp_path: Path) -> None:
    chunks = [chunk(0), chunk(1, held="poor"), chunk(2), chunk(3, title="Another")]
    store = stored(tmp_path / "s", chunks)
    assert join_neighbours(store, "default", [chunks[2]], 2) == [PARTS[2]]
    assert join_neighbours(store, "stranger", [chunks[0]], 2) == [PARTS[0]]
    store.close()


@pytest.mark.parametrize(
    ("first", "second", "both"), [("a b", "c d", "a b c d"), ("abcd efgh", "efgh ij", "abcd efgh ij"), ("same", "same", "same")]
)
def test_pieces_are_joined(first: str, second: str, both: str) -> None:
    assert join(first, second) == both


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=3, max_size=12, unique=True), st.data())
def test_pieces_cut_from_one_text_make_it_again(words: list[str], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(words) - 1))
    begin = data.draw(st.integers(0, cut))
    whole = " ".join(words)
    made = join(" ".join(words[:cut]), " ".join(words[begin:]))
    assert made.replace(" ", "").endswith("".join(words[cut:])) and made.startswith(" ".join(words[:cut]))
    assert made == whole or begin == cut or len(" ".join(words[begin:cut])) <= 3
