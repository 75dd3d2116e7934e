from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specialists.prompt_format import PASSAGES_DO_NOT_TELL
from specialists.training.documents import (
    fill_template,
    load_templates,
    make_document_exercise,
    slots,
    trained_templates,
)
from specialists.training.values import VALUES

ALL = [(name, i) for name, templates in load_templates().items() for i in range(len(templates))]


@pytest.mark.parametrize(("name", "number"), ALL)
def test_every_template_answers_its_questions(name: str, number: int) -> None:
    template = load_templates()[name][number]
    for slot in slots(template):
        bare = slot.strip("{}")
        assert bare == "E" or bare in template.choices or bare.rstrip("0123456789") in VALUES, slot
    assert template.subject in VALUES
    filled = fill_template(Random(number), template)
    text = filled.render(template.text).lower()
    for wordings, answer in template.asks:
        assert filled.render(answer).lower() in text, answer
        assert wordings and all("{" not in filled.render(q) for q in wordings)


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_what_is_answerable_stands_in_a_passage(seed: int, passages: int) -> None:
    exercise = make_document_exercise(Random(seed), passages)
    text = "\n".join(text for _, text in exercise.passages)
    assert len(exercise.passages) == passages
    assert all(answer == PASSAGES_DO_NOT_TELL or answer in text for _, answer in exercise.questions)


def test_templates_kept_from_training_never_reach_it() -> None:
    for name in load_templates():
        kept, trained = set(trained_templates(name, True)), set(trained_templates(name, False))
        assert not kept & trained and len(kept | trained) == len(load_templates()[name])
