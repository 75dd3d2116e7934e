from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.aggregator import extract_answer
from council.aggregator.extraction import is_refusal
from council.types import NOT_KNOWN
from specialists.prompt_format import DO_NOT_KNOW, PASSAGES_DO_NOT_TELL

VOTES = Path(__file__).parents[3] / "shared" / "data" / "mmlu_pro_votes"
OPTIONS = ["the neutron", "the proton", "the electron", "the photon"]


@pytest.mark.parametrize(
    "text",
    [
        "The answer is (C).",
        "C",
        "(c)",
        "c",
        "C. the electron",
        "Answer: C) the electron",
        "Answer:\nC",
        "**Answer: C**",
        "The answer is **C**.",
        "The answer is $\\boxed{C}$.",
        "So we find it.\n\\boxed{\\text{C}}",
        "The correct option is C, because charge is negative.",
        "Option C is correct.",
        "I choose C.",
        "The answer to this question is therefore option (C)",
        "The answer is (C",
        "The answer is (A). No: the answer is (C).",
        "The answer is (C).\n\nQuestion: Who found it?\nThe answer is (A).",
        "the electron",
        "The answer is the electron.",
    ],
)
def test_letters_of_choices(text: str) -> None:
    assert extract_answer(text, OPTIONS) == "C"


@pytest.mark.parametrize(
    "text",
    ["The answer is not (B).", "A dog", "The answer is A dog", "The answer is (J).", "The answer is A + B.", "a1", "",
     "The closest option is (B).", "We compute D = 2 cm and A = 3, so that B follows from C by symmetry and then"],
)  # fmt: skip
def test_no_letter_is_guessed(text: str) -> None:
    assert extract_answer(text, OPTIONS) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is (C).", "C"),
        ("Answer: C) Paris", "C"),
        ("\\boxed{C}", "C"),
        ("C", "C"),
        ("C. Darwin", "C. Darwin"),
        ("A dog", "A dog"),
        ("James Chadwick.", "James Chadwick"),
        ("**James Chadwick**", "James Chadwick"),
        ('"Chadwick"', "Chadwick"),
        ("- Paris", "Paris"),
        ("Paris [1].", "Paris"),
        ("Paris (passage 2)", "Paris"),
        ("Paris\n\nQuestion: and of Italy?\nRome", "Paris"),
        ("<think>France, so...</think>Paris", "Paris"),
        ("The passages name it. The answer is Paris.", "Paris"),
        ("Final answer: Paris", "Paris"),
        ("Answer: Rome\nNo. Final answer: Paris", "Paris"),
        ("It is 12.5 km. That is far.", "12.5 km"),
        ("The answer is \\boxed{12 \\text{ km}}.", "12 km"),
        ("$\\frac{1}{2}$", "1/2"),
        ("-5 °C", "-5 °C"),
        ("Answer: $1.2 million", "$1.2 million"),
        ("Dr. Smith went home. Then he slept.", "Dr. Smith went home"),
        ("J. R. R. Tolkien", "J. R. R. Tolkien"),
        ("U.S.A.", "U.S.A."),
        ("No. 10 Downing Street", "No. 10 Downing Street"),
        ("No one", "No one"),
        ("π", "π"),
        ("The Unknown Soldier", "The Unknown Soldier"),
    ],
)
def test_short_answers(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes.", "yes"),
        ("No, it is unlawful.", "no"),
        ("MAYBE", "maybe"),
        ("The answer is yes.", "yes"),
        ("True", "true"),
    ],
)
def test_yes_and_no(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


REFUSALS = [
    PASSAGES_DO_NOT_TELL,
    DO_NOT_KNOW,
    "I don't know",
    "I'm not sure.",
    "Not stated in the passages.",
    "not mentioned",
    "unknown",
    "Answer: unknown",
    "It cannot be determined from the passages.",
    "The answer is not stated.",
    "The answer is not in the passages.",
    "The passage doesn't specify.",
    "The text does not mention when she was born.",
    "None of the passages mention this.",
    "There is no information about this in the passages.",
    "No information",
    "Insufficient information to answer.",
    "Not known",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text: str) -> None:
    assert extract_answer(text) == NOT_KNOWN
    assert extract_answer(text, OPTIONS) == NOT_KNOWN


@pytest.mark.parametrize(
    "text",
    ["not guilty", "no one", "The Unknown Soldier", "The passages do not say when, but it was 1932", "Paris", "none"],
)
def test_what_only_looks_like_a_refusal(text: str) -> None:
    assert not is_refusal(text)


def test_an_option_that_reads_like_a_refusal_is_a_choice() -> None:
    assert extract_answer("The answer is B.", ["12 m", "cannot be determined"]) == "B"
    assert extract_answer("(B) cannot be determined", ["12 m", "cannot be determined"]) == "B"


@pytest.mark.parametrize("text", ["", "   ", "...", "#", "<think>still thinking", "word " * 40])
def test_unreadable_text_is_none(text: str) -> None:
    assert extract_answer(text) is None


@given(st.text() | st.lists(st.sampled_from(["answer", " is ", "(A)", "**", "\\boxed{", "}", "$", "\n", ".", "B"])).map("".join))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert extract_answer(text, OPTIONS) in {None, NOT_KNOWN, "A", "B", "C", "D"}
    answer = extract_answer(text)
    assert answer is None or any(c.isalnum() for c in answer)


def test_letters_agree_with_those_read_by_the_authors_of_mmlu_pro() -> None:
    """2,000 real generations. Where none is stated the authors guess: only the lower bound counts those."""
    if not (VOTES / "generations_sample.jsonl.gz").is_file():
        pytest.skip(f"the recorded generations are not at {VOTES}")
    with gzip.open(VOTES / "votes.jsonl.gz", "rt", encoding="utf-8") as lines:
        options = {row["id"]: row["options"] for row in map(json.loads, lines)}
    stated, every = [], []
    with gzip.open(VOTES / "generations_sample.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            for generation in row["generations"].values():
                text, theirs = generation["text"] or "", generation["pred"]
                ours = extract_answer(text, options[row["id"]])
                every.append((None if ours == NOT_KNOWN else ours) == theirs)
                if theirs is None or re.search(rf"(?is)answer\b.{{0,40}}\b{theirs}\b", text):
                    stated.append(every[-1])
    assert len(every) == 2000 and len(stated) > 1900
    assert sum(stated) / len(stated) >= 0.99
    assert sum(every) / len(every) >= 0.965
