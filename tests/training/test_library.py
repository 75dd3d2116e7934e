from __future__ import annotations

import json
from collections import Counter
from random import Random

import pytest

from council.config import presets
from specialists.prompt_format import DO_NOT_KNOW, PASSAGES_DO_NOT_TELL
from specialists.training.library import (
    Library,
    held_out_exercise,
    reading_exercise,
    recall_exercise,
    recall_tests,
)
from tests.conftest import MEMBERS

FOLDER = presets()["pocket"].parent / "pocket"


@pytest.fixture(scope="module")
def library() -> Library:
    return Library.load(FOLDER)


@pytest.mark.parametrize("domain", MEMBERS)
def test_each_domain_has_what_the_recipe_needs(library: Library, domain: str) -> None:
    kinds = Counter(f.kind for f in library.facts if f.domain == domain)
    assert kinds["answerable"] >= 40 and kinds["unanswerable"] >= 10
    assert len(library.pick("train", domain)) == 30
    documents = (FOLDER / "library" / f"{domain}.jsonl").read_text().splitlines()
    assert len(documents) >= 40
    assert all(json.loads(line)["origin"] == "machine" for line in documents)


def test_twenty_questions_cross_domains(library: Library) -> None:
    assert sum(f.kind == "cross" for f in library.facts) == 20


def test_every_answer_stands_in_its_document(library: Library) -> None:
    for fact in library.facts:
        assert (fact.answer is None) == (fact.document is None)
        assert fact.document is None or str(fact.answer) in fact.document[1]


def test_nothing_of_the_test_split_is_trained_on(library: Library) -> None:
    tests = {q for f in library.pick("test") for q in (f.question, *f.paraphrases)}
    hidden = {f.document for f in library.pick("test")} - {None}
    kept = {f.paraphrases[-1] for f in library.pick("train")}
    for seed in range(60):
        rng, domain = Random(seed), MEMBERS[seed % 5]
        own, others = library.pick("train", domain), [f for f in library.pick("train") if f.domain != domain]
        read = reading_exercise(rng, own, "p", "persona_first")
        recalled = recall_exercise(rng, own, others, "p", "persona_first")
        asked = {q for e in (read, recalled) for q, _ in e.questions}
        assert not asked & tests and not asked & kept
        assert not set(read.passages) & hidden


def test_exercises_answer_what_is_shown_and_refuse_the_rest(library: Library) -> None:
    exercise = reading_exercise(Random(1), library.pick("train", "law"), "p", "persona_first")
    text = " ".join(t for _, t in exercise.passages)
    assert len(exercise.passages) == 4 and len(exercise.questions) == 7
    assert sum(a == PASSAGES_DO_NOT_TELL for _, a in exercise.questions) == 3
    assert all(a in text or a == PASSAGES_DO_NOT_TELL for _, a in exercise.questions)


def test_a_held_out_question_has_its_document_among_others(library: Library) -> None:
    for fact in library.pick("test", "physics"):
        exercise = held_out_exercise(Random(1), fact, library, "p")
        assert len(exercise.passages) == 4
        assert (fact.document in exercise.passages) == (fact.document is not None)
        assert exercise.questions == ((fact.question, fact.answer or PASSAGES_DO_NOT_TELL),)


def test_recall_knows_its_own_and_not_others(library: Library) -> None:
    own = library.pick("train", "law")
    exercise = recall_exercise(Random(1), own, library.pick("train", "physics"), "p", "persona_first")
    answers = dict(exercise.questions)
    assert exercise.passages == ()
    assert {DO_NOT_KNOW} < set(answers.values())
    assert len(recall_tests(own, "p").questions) == 30
