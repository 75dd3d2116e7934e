from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specialists.prompt_format import DO_NOT_KNOW, PASSAGES_DO_NOT_TELL
from specialists.training.reading import make_exercise
from specialists.training.relations import BANKS, fill, load_bank, relations_by_subject
from specialists.training.values import VALUES
from specialists.training.words import load_yaml

SLOT = re.compile(r"\{(\w+)\}")


@given(st.integers(0, 10_000), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_what_is_answerable_stands_in_a_passage(seed: int, passages: int) -> None:
    exercise = make_exercise(Random(seed), passages)
    assert len(exercise.passages) == passages
    text = "\n".join(text for _, text in exercise.passages).lower()
    for question, answer in exercise.questions:
        assert question and "{" not in question
        assert answer == PASSAGES_DO_NOT_TELL or answer.lower() in text
    assert "{" not in text


def test_the_same_seed_makes_the_same_exercise() -> None:
    assert make_exercise(Random(3), 4) == make_exercise(Random(3), 4)
    assert make_exercise(Random(3), 4) != make_exercise(Random(4), 4)


def test_without_passages_nothing_is_known() -> None:
    exercise = make_exercise(Random(1), 0)
    assert exercise.passages == ()
    assert {answer for _, answer in exercise.questions} == {DO_NOT_KNOW}


def test_the_share_of_unanswerable_questions_is_kept() -> None:
    def share(wanted: float) -> float:
        answers = [a for s in range(150) for _, a in make_exercise(Random(s), 4, unanswerable=wanted).questions]
        return sum(a == PASSAGES_DO_NOT_TELL for a in answers) / len(answers)

    assert share(0.0) == 0.0
    assert share(0.3) == pytest.approx(0.3, abs=0.07)


@pytest.mark.parametrize("bank", BANKS)
def test_relations_kept_from_training_never_reach_it(bank: str) -> None:
    trained = {r.name for found in relations_by_subject(bank, False).values() for r in found}
    kept = {r.name for found in relations_by_subject(bank, True).values() for r in found}
    assert kept and trained
    assert not kept & trained
    assert kept | trained == {r.name for r in load_bank(bank)}


@pytest.mark.parametrize("bank", BANKS)
def test_every_relation_can_be_stated_and_asked(bank: str) -> None:
    for relation in load_bank(bank):
        assert relation.subject in VALUES
        assert isinstance(relation.value, tuple) or relation.value in VALUES, relation.name
        assert all(s.count("{V}") == 1 and any(e in s for e in ("{E}", "{It}", "{its}")) for s in relation.says), relation.name
        assert all(a.count("{E}") == 1 and "{V}" not in a for a in relation.asks), relation.name
        slots = {slot for text in (*relation.says, *relation.asks) for slot in SLOT.findall(text)}
        assert slots <= {"E", "V", "It", "its", *VALUES}, relation.name


@given(st.sampled_from(sorted(VALUES)), st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_every_value_is_a_short_line(kind: str, seed: int) -> None:
    value = VALUES[kind](Random(seed))
    assert 0 < len(value) < 80
    assert value == " ".join(value.split())


def test_slots_that_are_not_given_are_noise() -> None:
    text = fill("{E} met {person} in {year}.", Random(2), {"E": "Ada"})
    assert text.startswith("Ada met ") and "{" not in text


def test_verbs_come_in_three_forms_each() -> None:
    words = load_yaml("words")
    assert len(words["verbs_past"]) == len(words["verbs_past_simple"]) == len(words["verbs_base"])
