"""Words of an exercise exchanged for others, the same everywhere: reading must not hang on words known from training.

A reader of four thousand tokens meets words it never trained on in every real document. So in some exercises a share
of the content words is replaced, in passages, questions and answers alike: what a question and a passage have in
common, they keep in common, and nothing else tells where the answer stands. Words that begin alike ("discovered",
"discovery") are replaced alike, with their ends kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Final

from specialists.prompt_format import DO_NOT_KNOW, PASSAGES_DO_NOT_TELL
from specialists.training.documents import load_templates
from specialists.training.reading import Exercise

STEM: Final = 5
"""Letters by which words are taken for forms of one."""
KEPT: Final = frozenset(
    """
    about above after again against almost along also although always among another anything around away back because been before
    behind being below between both came cannot come could does doing done down during each either else ever every everything
    first from given have having here into itself just kind last least less like long made make many might more most much must
    name named near never next none nothing often once only other others over same second several shall should since some still
    such than that their them then there these they third this those three through thus time times today together under until upon
    very were what when where whether which while whole whom whose will with within without word would year years your according
    passages passage
    """.split()  # noqa: SIM905
)
_WORD: Final = re.compile(r"[A-Za-z]{4,}")


@cache
def replacements() -> tuple[str, ...]:
    """Every content word of the document templates, in lower case."""
    texts = (t.text for templates in load_templates().values() for t in templates)
    words = {w.lower() for text in texts for w in _WORD.findall(re.sub(r"\{\w+\}", " ", text))}
    return tuple(sorted(w for w in words if len(w) > STEM and w not in KEPT))


def rewriter(rng: Random, share: float) -> Callable[[str], str]:
    """A function that replaces about `share` of all words, each stem always by the same."""
    chosen: dict[str, str | None] = {}

    def swap(match: re.Match[str]) -> str:
        word = match.group(0)
        stem = word[: STEM if len(word) > STEM else STEM - 1].lower()  # "bonds" is a form of "bond"
        if word.lower() in KEPT:
            return word
        if stem not in chosen:
            other = rng.choice(replacements())[: len(stem)]
            chosen[stem] = other if rng.random() < share and other not in chosen.values() else None
        new = chosen[stem]
        if new is None:
            return word
        return (new.capitalize() if word[0].isupper() else new) + word[len(stem) :]

    return lambda text: _WORD.sub(swap, text)


def reword(rng: Random, exercise: Exercise, share: float) -> Exercise:
    """`exercise` with about `share` of its content words replaced; what says that nothing is told stays as it is."""
    change = rewriter(rng, share)
    passages = tuple((change(title), change(text)) for title, text in exercise.passages)
    questions = tuple(
        (change(question), answer if answer in (PASSAGES_DO_NOT_TELL, DO_NOT_KNOW) else change(answer))
        for question, answer in exercise.questions
    )
    return Exercise(exercise.persona, exercise.layout, passages, questions)
