from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.sentences import sentence_ends


def cut(text: str) -> list[str]:
    ends = sentence_ends(text)
    return [text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize(
    "text",
    [
        "Ada kept it.|Bo did not!|Did Cy?|No one knows",
        "Dr. Lee met Prof. Hall in St. Ives.|They spoke.",
        "It is 3.14 km long, see Fig. 2 on p. 7.|Version 2.0 is longer.",
        "J. K. Hall lived in the U.S. Army camp.|He left in 1932.|2,000 stayed.",
        "It needs vitamin C. Ada said so.",  # an initial, for all that can be seen
        "It lives in the U.S.|The rest is in Peru.",
        "1. Boil it.|2. Wait for approx. 3 min.|3. Serve.",
        "Some, e.g. Ada, i.e. the first, etc. were there vs. none.|But Bo was not.",
        "He said: \u201cStop.\u201d|\u201cWhy?\u201d she asked.|(It was late.)|Then all went.",
        "It was found in 1901.[3]|Others doubt it.[4, 5]|So it is.",
        "Wait... for it.|Well...|It came\u2026|At last.",
        "It is in python.org.|The code is free.",
        "\u6c34\u306f\u6d41\u308c\u308b\u3002|\u706b\u306f\u71c3\u3048\u308b\uff01|\u571f",
        "\u00bfQui\u00e9n es?|\u00a1Ada!|\u00c9l no.|\u042d\u0442\u043e \u0434\u043e\u043c.|\u0414\u0430.",
    ],
)
def test_a_text_is_cut_where_sentences_end(text: str) -> None:
    assert cut(text.replace("|", "" if "\u3002" in text else " ")) == text.split("|")


@given(st.text(alphabet="aA1.!?\u3002\u2026\"') [\n", max_size=40))
def test_ends_grow_to_the_end_of_the_text(text: str) -> None:
    ends = sentence_ends(text)
    assert ends == sorted(set(ends))
    assert ends[-1:] == ([len(text.rstrip())] if text.strip() else [])


@pytest.mark.parametrize("unit", [".", ".)", "?\"'", "A. ", "...", ". [1", "\u3002", " "])
def test_odd_texts_take_no_longer(unit: str) -> None:
    began = time.monotonic()
    sentence_ends(unit * (200_000 // len(unit)) + "x")
    assert time.monotonic() - began < 2
