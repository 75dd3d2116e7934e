"""Scores fused, aged, and made diverse."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.config import OriginsConfig, RecencyConfig
from council.retrieval.fusion import by_age, by_origin, diversify, fuse

TODAY = date(2026, 1, 1)


def test_words_count_by_how_much_of_the_query_they_are() -> None:
    cosines = np.array([[0.5, 0.6, 0.1]], np.float32)
    best = [int(np.argmax(fuse(cosines, np.array([bm25], np.float32), [1.0]))) for bm25 in ([3.0, 1.0, 2.5], [0.3, 0.1, 0.25], [0, 0, 0])]
    assert best == [0, 1, 1]  # much of it; a word of many; none
    assert fuse(np.zeros((1, 0), np.float32), np.zeros((1, 0), np.float32), [1.0]).shape == (0,)


@given(st.lists(st.tuples(st.floats(-1, 1, width=32), st.floats(0, 10, width=32)), min_size=1, max_size=8), st.integers(1, 3))
def test_a_fused_score_grows_with_either_and_does_not_depend_on_other_candidates(pairs: list[tuple[float, float]], queries: int) -> None:
    cosines = np.array([[c for c, _ in pairs]] * queries, np.float32)
    bm25 = np.array([[b for _, b in pairs]] * queries, np.float32)
    scores = fuse(cosines, bm25, [1.0] * queries)
    assert (scores >= 0).all()
    assert scores == pytest.approx(fuse(cosines[:1], bm25[:1], [2.0]), abs=1e-5)  # the same query again changes nothing
    assert scores[:1] == pytest.approx(fuse(cosines[:, :1], bm25[:, :1], [1.0] * queries), abs=1e-5)
    higher, wordier = cosines.copy(), bm25.copy()
    higher[:, 0], wordier[:, 0] = 1.0, 10.0
    assert fuse(higher, bm25, [1.0] * queries)[0] >= scores[0] - 1e-5
    assert fuse(cosines, wordier, [1.0] * queries)[0] >= scores[0] - 1e-5


def test_the_first_query_weighs_more_than_a_further_one() -> None:
    cosines = np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)
    first, second = fuse(cosines, np.zeros_like(cosines), [1.0, 0.5])
    assert first > second


def test_generated_text_loses_by_its_preference() -> None:
    rules = OriginsConfig(preference=0.2)
    assert [by_origin(o, rules) for o in ("human", "unknown", "machine", "council")] == [1.0, 1.0, 0.8, 0.8]


@pytest.mark.parametrize(
    ("dated", "factor"),
    [("2026-01-01", 1.0), ("2025-12-22", 0.75), ("2025-12-12T10:00:00Z", 0.625), ("1900", 0.5), ("2030-05", 1.0), ("", 0.75),
     ("yesterday", 0.75), ("2025-13-40", 0.75)],
)  # fmt: skip
def test_age_halves_what_recency_gives(dated: str, factor: float) -> None:
    assert by_age(dated, RecencyConfig(half_life_days=10, weight=0.5), TODAY) == pytest.approx(factor)


def test_of_two_alike_the_second_makes_room() -> None:
    vectors = np.array([[1, 0], [1, 0.01], [0, 1]], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert diversify([0.9, 0.89, 0.5], vectors, 0.5, 2) == [0, 2]
    assert diversify([0.9, 0.89, 0.5], vectors, 0.0, 2) == [0, 1]
    assert diversify([0.1], vectors[:1], 0.5, 3) == [0]
