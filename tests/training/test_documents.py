from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specialists.prompt_format import PASSAGES_DO_NOT_TELL
from specialists.training.documents import (
    Template,
    fill_template,
    load_templates,
    make_document_exercise,
    slots,
    trained_templates,
)
from specialists.training.reading import Exercise
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


def _tells(exercise: Exercise, template: Template, question: str) -> bool:
    """Whether a question is one of a template's, asked of a subject that is shown."""
    shown = "\n".join(f"{title}\n{text}" for title, text in exercise.passages)
    for wordings, _ in template.asks:
        for wording in wordings:
            fits = re.fullmatch(re.escape(wording).replace(re.escape("{E}"), "(.+?)"), question)
            if fits and all(name in shown for name in fits.groups()):
                return True
    return False


@pytest.mark.parametrize("seed", range(150))
def test_what_is_refused_is_not_told(seed: int) -> None:
    """No question that a shown document answers is labelled as one that the passages do not tell, however it is worded."""
    exercise = make_document_exercise(Random(seed), 3, unanswerable=0.6)
    texts = [text for _, text in exercise.passages]
    templates = [t for ts in load_templates().values() for t in ts if any(_built_by(t, text) for text in texts)]
    for question, answer in exercise.questions:
        if answer == PASSAGES_DO_NOT_TELL:
            assert not any(_tells(exercise, t, question) for t in templates), question


def _built_by(template: Template, text: str) -> bool:
    """Whether a text is the template, filled."""
    fixed = [part for part in re.split(r"\{\w+\}", template.text) if len(part) > 12]
    return bool(fixed) and all(part.strip().lower() in text.lower() for part in fixed)
