"""Members judge the answers by likelihood: what no habit of a member may change, and what the decision is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.aggregator.likelihood import SHARPNESS, decide_by_likelihood, supports, weigh_candidates
from council.aggregator.voting import decide
from council.config import AggregatorConfig
from council.types import NOT_KNOWN, Candidate, Likelihood, Opinion

RULES = AggregatorConfig(min_agreement=0.6)
Table = dict[str, list[float]]
VALUES = st.lists(st.floats(-20, 0), min_size=3, max_size=3)


def judged(table: Table, alone: Table | None = None) -> list[Likelihood]:
    """Of members, their judgements of the answers a, b, c, ..."""
    return [
        Likelihood(specialist=m, answer=chr(97 + i), with_passages=v, without_passages=alone[m][i] if alone else None)
        for m, values in table.items()
        for i, v in enumerate(values)
    ]


def test_the_likeliest_has_the_most_support() -> None:
    found = supports(judged({"law": [-1.0, -3.0], "art": [-0.5, -0.9]}), "ab", {"law": 1.0, "art": 1.0}, "with_passages")
    e = math.exp(2.0 * SHARPNESS)  # two candidates always lie two standard deviations apart
    assert found is not None and found == pytest.approx([e / (e + 1), 1 / (e + 1)])


@given(st.tuples(VALUES, VALUES), st.floats(0.1, 9), st.floats(-9, 9))
def test_how_sure_a_member_is_in_general_gives_it_no_more_say(values: tuple[list[float], list[float]], scale: float, shift: float) -> None:
    if max(values[1]) - min(values[1]) < 1e-3:
        return
    weights = {"law": 1.0, "art": 2.0}
    moved = [v * scale + shift for v in values[1]]
    first = supports(judged({"law": values[0], "art": values[1]}), "abc", weights, "with_passages")
    second = supports(judged({"law": values[0], "art": moved}), "abc", weights, "with_passages")
    assert first is not None and second is not None
    assert first == pytest.approx(second, abs=1e-6) and first.sum() == pytest.approx(1.0)


@given(VALUES, st.permutations(range(3)))
def test_the_order_of_members_and_answers_does_not_matter(values: list[float], order: list[int]) -> None:
    table = {"law": values, "art": [-1.0, -2.0, -4.0], "sea": [-3.0, -1.0, -2.0]}
    weights = dict.fromkeys(table, 1.0)
    members = list(table)
    turned = judged({members[i]: table[members[i]] for i in order})
    answers = ["a", "b", "c"]
    first = weigh_candidates(judged(table), answers, weights)
    second = weigh_candidates(turned, [answers[i] for i in order], weights)
    assert {c.answer: c.support for c in first} == pytest.approx({c.answer: c.support for c in second})


def test_a_member_that_did_not_judge_all_has_no_vote() -> None:
    whole = judged({"law": [-1.0, -3.0]})
    part = [Likelihood(specialist="art", answer="b", with_passages=-0.1)]
    weights = {"law": 1.0, "art": 50.0}
    assert supports([*whole, *part], "ab", weights, "with_passages") == pytest.approx(supports(whole, "ab", weights, "with_passages"))
    assert supports(part, "ab", weights, "with_passages") is None
    assert weigh_candidates(part, ["a", "b"], weights) == ()


def test_what_the_passages_did_is_told_from_what_was_believed() -> None:
    likelihoods = judged({"law": [-1.0, -1.2]}, {"law": [-0.8, -6.0]})
    best, other = weigh_candidates(likelihoods, ["a", "b"], {"law": 1.0})
    assert (best.answer, other.answer) == ("a", "b")
    assert best.by_passages == pytest.approx(-0.2) and other.by_passages == pytest.approx(4.8)
    by_passages = supports(likelihoods, "ab", {"law": 1.0}, "by_passages")
    assert by_passages is not None and by_passages[1] > by_passages[0]
    assert supports(judged({"law": [-1.0, -1.2]}), "ab", {"law": 1.0}, "without_passages") is None


def vote(*answers: str) -> list[Opinion]:
    return [Opinion(specialist=f"m{i}", answer=a, text=a, weight=1.0) for i, a in enumerate(answers)]


def shown(*supports: tuple[str, float]) -> list[Candidate]:
    """Candidates, the first of which one member finds the likeliest."""
    return [
        Candidate(answer=a, support=s, likelihoods=(Likelihood(specialist="m0", answer=a, with_passages=-float(i)),))
        for i, (a, s) in enumerate(supports)
    ]


def test_the_reason_counts_those_who_prefer_the_winner_and_a_quorum_is_wanted() -> None:
    likelihoods = judged({"a": [-1.0, -3.0], "b": [-1.0, -2.0], "c": [-4.0, -1.0]})
    candidates = weigh_candidates(likelihoods, ["a", "b"], dict.fromkeys("abc", 1.0))
    made = decide_by_likelihood(decide(vote("a", "b"), RULES), candidates, RULES)
    assert made.reason.startswith("2 of 3 members find it the likeliest of 2 answers")
    four = AggregatorConfig(min_agreement=0.5, quorum=4)
    assert decide_by_likelihood(decide(vote("a", "b", "b", "a"), four), candidates, four).status == "failed"


@pytest.mark.parametrize(
    ("candidates", "status", "answer"),
    [
        ([("y", 0.7), ("x", 0.3)], "answered", "y"),
        ([("y", 0.55), ("x", 0.45)], "abstained", None),
        ([(NOT_KNOWN, 0.9), ("x", 0.1)], "abstained", None),
        ([], "failed", None),
    ],
)
def test_likelihood_decides_in_place_of_the_vote(candidates: list[tuple[str, float]], status: str, answer: str | None) -> None:
    """Two vote for x and one for y: what the vote was is still shown."""
    before = decide(vote("x", "x", "y"), RULES)
    made = decide_by_likelihood(before, shown(*candidates), RULES)
    assert (made.status, made.answer, made.groups) == (status, answer, before.groups)
    assert made.agreement == (candidates[0][1] if candidates else None)


def test_a_tie_abstains_and_a_failed_vote_stays_failed() -> None:
    even = shown(("x", 0.5), ("y", 0.5))
    assert decide_by_likelihood(decide(vote("x", "y"), RULES), even, AggregatorConfig(min_agreement=0.0)).status == "abstained"
    failed = decide([], RULES)
    assert decide_by_likelihood(failed, [], RULES) is failed
