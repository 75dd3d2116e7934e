from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.aggregator.comparison import ambiguous, read, relation

ANSWERS = [
    "Chadwick", "James Chadwick", "chadwick", "12", "12 km", "12,000 m", "14 March 1962", "1962", "yes", "No", "A",
    "(b)",
    "not known", "World War II", "not lawful", "lawful",
    "unlawful", "north", "south", "the apostles", "12 apostles of Leonardo",
]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Chadwick", "James Chadwick"),
        ("J. Chadwick", "Sir James Chadwick"),
        ("J.R.R. Tolkien", "John Ronald Reuel Tolkien"),
        ("da Vinci", "Leonardo da Vinci"),
        ("Yes.", "yes"),
        ("C", "(c)"),
        ("12 km", "12,000 metres"),
        ("14 March 1962", "1962-03-14"),
        ("1962", "1,962"),
        ("World War II", "World War 2"),
        ("third", "3rd"),
    ],
)
def test_joined(one: str, other: str) -> None:
    assert relation(read(one), read(other)) is True


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12", "13"),
        ("1962", "1963"),
        ("14 March 1962", "15 March 1962"),
        ("A", "B"),
        ("yes", "no"),
        ("yes", "maybe"),
        ("not known", "Paris"),
        ("not known", "no"),
        ("Model 12", "Model 13"),
        ("World War I", "World War II"),
        ("Henry V", "Henry VIII"),
        ("first degree murder", "second degree murder"),
        ("the act is lawful", "the act is not lawful"),
        ("lawful", "unlawful"),
        ("possible", "impossible"),
        ("north of the river", "south of the river"),
        ("the rate increases", "the rate decreases"),
        ("3 am", "3 pm"),
        ("12 MW", "12 mW"),
        ("James Chadwick", "1932"),
    ],
)
def test_told_apart(one: str, other: str) -> None:
    assert relation(read(one), read(other)) is False


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("New York", "York"),
        ("Lady Macbeth", "Macbeth"),
        ("Involuntary Manslaughter", "Manslaughter"),
        ("Supreme Court", "Court"),
        ("South Carolina", "Carolina"),
        ("Igneous Rock", "Rock"),
        ("George W. Bush", "George H. W. Bush"),
        ("Marie Curie", "Pierre Curie"),
        ("Paris", "the capital of France"),
        ("1962", "14 March 1962"),
        ("!", "?"),
    ],
)
def test_left_to_similarity(one: str, other: str) -> None:
    assert relation(read(one), read(other)) is None


def test_a_surname_of_two_people_is_ambiguous() -> None:
    curie, marie, pierre, madame = (read(a) for a in ("Curie", "Marie Curie", "Pierre Curie", "M. Curie"))
    assert ambiguous(curie, [curie, marie, pierre])
    assert not ambiguous(curie, [curie, marie, madame])
    assert not ambiguous(marie, [curie, marie, pierre])


@given(st.sampled_from(ANSWERS) | st.text(max_size=30), st.sampled_from(ANSWERS) | st.text(max_size=30))
def test_symmetric_and_reflexive(one: str, other: str) -> None:
    assert relation(read(one), read(other)) == relation(read(other), read(one))
    assert relation(read(one), read(one)) is True
