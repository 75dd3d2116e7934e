"""Of the candidates, which are shown, and what is said of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from council.config import OriginsConfig, RetrievalConfig
from council.retrieval.selection import Candidate, select
from council.retrieval.store import Chunk
from council.types import Origin, Provenance

BASE = "the quick brown fox jumps over a lazy dog while nine tired old cats watch from the garden wall"
OPEN = OriginsConfig(machine=1.0, council=1.0)


def candidate(id: str, text: str = "", score: float = 0.5, origin: Origin = "human", likeness: float = 0.5, at: int = 0) -> Candidate:
    vector = np.zeros(8, np.float32)
    vector[at % 8] = 1.0
    chunk = Chunk(id=id, title=f"title {id}", text=text or f"text {id}", provenance=Provenance(origin=origin))
    return Candidate(chunk, vector, likeness, score)


def shown(candidates: list[Candidate], wanted: int, **rules: Any) -> tuple[list[str], dict[str, str]]:
    kept, left_out = select(candidates, RetrievalConfig(**rules), wanted)
    return [c.chunk.id for c in kept], {out.id: out.why for out in left_out}


def test_of_passages_that_say_the_same_the_first_is_kept() -> None:
    same = [candidate("1", BASE), candidate("2", BASE.upper() + "!"), candidate("3", BASE + " today"), candidate("4", "other")]
    assert shown(same, 4) == (["1", "4"], {"2": "it says what 'title 1' says", "3": "it says what 'title 1' says"})


def test_passages_that_differ_in_a_number_are_both_kept() -> None:
    base = "the treaty was signed in a small town by the river after many long years of talks in"
    assert shown([candidate("1", f"{base} 1921"), candidate("2", f"{base} 1912")], 2)[0] == ["1", "2"]


def test_no_context_is_better_than_noise() -> None:
    kept, why = shown([candidate("1", likeness=0.19), candidate("2", likeness=0.2)], 2, min_likeness=0.2)
    assert kept == ["2"] and why == {"1": "its likeness to the question, 0.19, is less than 0.2"}


def test_machine_text_takes_its_share_of_places_and_what_the_council_said_none() -> None:
    origins: list[Origin] = ["machine", "council", "machine", "machine", "human", "unknown"]
    kept, why = shown([candidate(str(n), origin=origin) for n, origin in enumerate(origins)], 4)
    assert kept == ["0", "2", "4", "5"]
    assert why == {
        "1": "the council said it itself, and that may take 0 of 4 places",
        "3": "a model wrote it, and that may take 2 of 4 places",
    }
    assert shown([candidate("1", origin="council")], 2, origins=OPEN)[0] == ["1"]


def test_diversity_prefers_what_is_unlike_the_others() -> None:
    alike = [candidate("1", score=0.9, at=0), candidate("2", score=0.8, at=0), candidate("3", score=0.7, at=1)]
    assert shown(alike, 2)[0] == ["1", "2"]
    assert shown(alike, 2, diversity=0.5) == (["1", "3"], {"2": "others are less like what is shown"})


ORIGINS = st.sampled_from(["human", "machine", "council", "unknown"])


@given(
    st.lists(st.tuples(ORIGINS, st.floats(0, 1), st.integers(0, 3)), max_size=20), st.integers(1, 6),
    st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.9), st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def test_no_limit_is_exceeded_and_nothing_is_both_shown_and_left_out(
    made: list[tuple[Origin, float, int]], wanted: int, machine: float, council: float, least: float, diversity: float
) -> None:
    candidates = [candidate(str(n), f"text {at}", 1 - n / 20, origin, like, at) for n, (origin, like, at) in enumerate(made)]
    rules = RetrievalConfig(origins=OriginsConfig(machine=machine, council=council), min_likeness=least, diversity=diversity)
    kept, left_out = select(candidates, rules, wanted)
    origins = [c.chunk.provenance.origin for c in kept]
    assert len(kept) <= wanted and all(c.likeness >= least for c in kept)
    assert origins.count("council") <= council * wanted + 1e-6
    assert sum(o in ("machine", "council") for o in origins) <= machine * wanted + 1e-6
    assert len({c.chunk.text for c in kept}) == len(kept)
    ids = [c.chunk.id for c in kept]
    assert ids == sorted(ids, key=int) and not set(ids) & {out.id for out in left_out}
