from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from council.aggregator import Vote, VoteGroup, group_answers
from council.aggregator.comparison import ambiguous, read, relation
from council.errors import CouncilError
from tests.aggregator.test_comparison import ANSWERS

TEXTS = [f"{colour} {thing}" for colour in ("pale", "bright", "dull") for thing in ("cloth", "paint", "glass")]
votes_of_rules = st.lists(st.builds(Vote, st.sampled_from("abcdefgh"), st.sampled_from(ANSWERS), st.integers(0, 5).map(float)), max_size=12)
votes_of_texts = st.lists(
    st.builds(Vote, st.sampled_from("abcdefgh"), st.sampled_from(TEXTS + ANSWERS), st.integers(0, 5).map(float)),
    max_size=12,
)


class Cosines:
    """A fixed random similarity of each two texts, and what it was asked about."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.asked: list[str] = []

    def of(self, a: str, b: str) -> float:
        rng = np.random.default_rng([self.seed, *sorted((hash_of(a), hash_of(b)))])
        return 1.0 if a == b else float(rng.uniform(0.5, 1.0))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        self.asked += texts
        return np.array([[self.of(a, b) for b in texts] for a in texts])


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode(), "big") % (1 << 32)


def votes_for(*answers: str) -> list[Vote]:
    return [Vote(f"m{n}", answer, 1.0) for n, answer in enumerate(answers)]


def wordings(groups: Sequence[VoteGroup]) -> set[frozenset[str]]:
    return {frozenset(v.answer for v in g.votes) for g in groups}


def test_no_votes_are_no_groups() -> None:
    assert group_answers([], Cosines(0), 0.9) == []


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("Chadwick|James Chadwick|chadwick|Rutherford", "Chadwick,James Chadwick,chadwick|Rutherford"),
        ("Curie|Marie Curie|Pierre Curie", "Curie|Marie Curie|Pierre Curie"),
        ("Bush|George W. Bush|George H. W. Bush", "Bush|George W. Bush|George H. W. Bush"),
        ("New York|York", "New York|York"),
        ("12 km|12000 m|12 metres", "12 km,12000 m|12 metres"),
        ("12 MW|12 mW", "12 MW|12 mW"),
        ("not known|no|yes|Yes", "not known|no|yes,Yes"),
    ],
)
def test_exact_rules(answers: str, expected: str) -> None:
    groups = group_answers(votes_for(*answers.split("|")), None, 0.9)
    assert wordings(groups) == {frozenset(group.split(",")) for group in expected.split("|")}


def test_similarity_is_asked_about_the_residue_alone() -> None:
    cosines = Cosines(1)
    group_answers(votes_for("12", "13", "yes", "Paris", "paris", "the capital of France", "not known"), cosines, 0.9)
    assert cosines.asked == ["Paris", "the capital of France"]


def test_near_matches_do_not_chain() -> None:
    def chain(texts: Sequence[str]) -> NDArray[np.float64]:
        n = np.arange(len(texts))
        return np.where(abs(n[:, None] - n) <= 1, 0.95, 0.3)

    groups = group_answers(votes_for("alpha ray", "beta ray", "gamma ray"), chain, 0.9)
    assert wordings(groups) == {frozenset({"alpha ray", "beta ray"}), frozenset({"gamma ray"})}


def test_similarity_at_the_threshold_joins_and_nan_does_not() -> None:
    votes = votes_for("alpha ray", "beta ray")
    assert len(group_answers(votes, lambda t: np.full((2, 2), 0.9), 0.9)) == 1
    assert len(group_answers(votes, lambda t: np.full((2, 2), np.nan), 0.9)) == 2


def test_the_answer_is_the_heaviest_wording() -> None:
    votes = [Vote("a", "James Chadwick", 1.0), Vote("b", "Chadwick", 0.6), Vote("c", "James Chadwick", 0.1)]
    assert group_answers(votes, None, 0.9)[0].answer == "James Chadwick"
    tied = [Vote("a", "James Chadwick", 1.0), Vote("b", "chadwick", 1.0), Vote("c", "Chadwick", 1.0)]
    assert group_answers(tied, None, 0.9)[0].answer == "Chadwick"


def test_zero_weights_count_alike() -> None:
    votes = [Vote("a", "Paris", 0.0), Vote("b", "Paris", 0.0), Vote("c", "Rome", 0.0)]
    assert [g.share for g in group_answers(votes, None, 0.9)] == pytest.approx([2 / 3, 1 / 3])


def test_huge_and_tiny_weights_have_shares() -> None:
    for weight in (1.7e308, 5e-324):
        votes = [Vote("a", "Paris", weight), Vote("b", "Rome", weight), Vote("c", "Paris", weight)]
        assert group_answers(votes, None, 0.9)[0].share == pytest.approx(2 / 3)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(CouncilError, match="'physics' votes with weight"):
        Vote("physics", "Paris", weight)


def test_a_similarity_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(CouncilError, match=r"similarity of 2 answers has the shape \(1, 2\)"):
        group_answers(votes_for("alpha ray", "beta ray"), lambda t: np.ones((1, 2)), 0.9)


@given(votes_of_texts, st.integers(0, 20), st.randoms())
def test_order_does_not_matter(votes: list[Vote], seed: int, random: object) -> None:
    shuffled = sorted(votes, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert group_answers(shuffled, Cosines(seed), 0.8) == group_answers(votes, Cosines(seed), 0.8)


@given(votes_of_texts, st.integers(0, 20))
def test_each_vote_in_one_group_and_shares_sum_to_one(votes: list[Vote], seed: int) -> None:
    groups = group_answers(votes, Cosines(seed), 0.8)
    grouped = [v for g in groups for v in g.votes]
    assert sorted(map(repr, grouped)) == sorted(map(repr, votes))
    assert not votes or math.isclose(sum(g.share for g in groups), 1.0, abs_tol=1e-12)


@given(votes_of_texts, st.integers(0, 20))
def test_complete_link_holds(votes: list[Vote], seed: int) -> None:
    cosines = Cosines(seed)
    for group in group_answers(votes, cosines, 0.8):
        answers = sorted({v.answer for v in group.votes})
        for one in answers:
            for other in answers:
                same = relation(read(one), read(other))
                # A wording in capitals stands for its lower-case form: a rule may hold of it alone.
                shown = {one, other} & {"chadwick"}
                assert same is True or shown or (same is None and cosines.of(one, other) >= 0.8)


@given(votes_of_rules)
def test_rules_keep_answers_apart_however_similar(votes: list[Vote]) -> None:
    for group in group_answers(votes, lambda texts: np.ones((len(texts), len(texts))), 0.9):
        answers = {v.answer for v in group.votes}
        assert all(relation(read(a), read(b)) is not False for a in answers for b in answers)


def test_an_ambiguous_surname_joins_neither_however_similar() -> None:
    answers = ("Curie", "Marie Curie", "Pierre Curie")
    assert ambiguous(read("Curie"), [read(a) for a in answers])
    groups = group_answers(votes_for(*answers), lambda texts: np.ones((len(texts), len(texts))), 0.9)
    assert frozenset({"Curie"}) in wordings(groups)
