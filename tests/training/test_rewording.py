from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from specialists.prompt_format import PASSAGES_DO_NOT_TELL
from specialists.training.documents import make_document_exercise
from specialists.training.rewording import KEPT, replacements, reword, rewriter


@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_what_a_passage_tells_it_still_tells(seed: int, share: float) -> None:
    exercise = make_document_exercise(Random(seed), 2)
    changed = reword(Random(seed), exercise, share)
    text = "\n".join(text for _, text in changed.passages)
    assert len(changed.questions) == len(exercise.questions)
    for (_, before), (_, after) in zip(exercise.questions, changed.questions, strict=True):
        assert (before == PASSAGES_DO_NOT_TELL) == (after == PASSAGES_DO_NOT_TELL)
        assert after == PASSAGES_DO_NOT_TELL or after in text


def test_forms_of_a_word_stay_forms_of_one_and_words_of_grammar_stay() -> None:
    change = rewriter(Random(3), 1.0)
    verb, noun, grammar = change("Discovered discovery which").split()
    assert verb[:5].lower() == noun[:5] != "disco"
    assert verb[0].isupper() and verb.endswith("ered") and noun.endswith("ery")
    assert grammar == "which"
    assert change("discovered") == verb.lower()
    one, many = change("bond bonds").split()
    assert many == f"{one}s" != "bonds"


def test_nothing_is_replaced_by_nothing() -> None:
    exercise = make_document_exercise(Random(1), 2)
    assert reword(Random(1), exercise, 0.0) == exercise


def test_replacements_are_content_words_of_the_documents() -> None:
    words = replacements()
    assert len(words) > 2000
    assert not set(words) & KEPT
    assert all(w.isalpha() and w.islower() and len(w) > 5 for w in words)
