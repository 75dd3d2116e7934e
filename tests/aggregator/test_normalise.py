from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.aggregator import normalise
from council.aggregator.normalise import fold


@pytest.mark.parametrize(
    ("written", "also"),
    [
        ("The Nile.", "nile"),
        ("“Marie Curie”", "Marie Curie"),
        ("café CRÈME", "cafe creme"),
        ("Łódź", "lodz"),
        ("Newton's laws", "the Newton laws"),
        ("U.S.", "US"),
        ("J.R.R. Tolkien", "J. R. R. Tolkien"),
        ("in the Netherlands", "Netherlands"),
        ("by about 12", "approximately 12"),
        ("~12", "12"),
        ("well-known", "well known"),
        ("Covid-19", "covid 19"),
        ("1,240 people", "1240 people"),
        ("H₂O", "H2O"),
        ("10⁸ m²", "10^8 m^2"),
        ("isn't lawful", "is not lawful"),
        ("can't", "cannot"),
        ("salt & water", "salt and water"),
        ("−5", "-5"),  # noqa: RUF001
        ("10–20", "10-20"),  # noqa: RUF001
        ("Paris — the capital", "Paris, capital"),
    ],
)
def test_one_meaning_has_one_form(written: str, also: str) -> None:
    assert normalise(written) == normalise(also) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5", "-5"),
        ("1.5", "15"),
        ("10⁸", "108"),
        ("3½", "31/2"),
        ("2x - 1", "2x + 1"),
        ("lawful", "not lawful"),
        ("is lawful", "isn't lawful"),
        ("A. Einstein", "Einstein"),
        ("vitamin A", "vitamin"),
        ("C", "C++"),
        ("12%", "12"),
        ("15:30", "1530"),
        ("мой", "мои"),
        ("10-20", "10 20"),
    ],
)
def test_what_tells_answers_apart_stays(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize("word", ["the", "A", "in", "by"])
def test_a_lone_article_or_preposition_is_kept(word: str) -> None:
    assert normalise(word) == word.lower()


def test_nothing_but_punctuation_is_empty() -> None:
    assert normalise(" ...!? ") == "" == normalise("")


@given(st.text())
def test_white_space_and_final_stop_never_matter(text: str) -> None:
    assert normalise(f"  {text} ") == normalise(text)
    assert normalise(text) == " ".join(normalise(text).split())


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)
