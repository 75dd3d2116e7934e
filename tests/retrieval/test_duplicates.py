"""Duplicates: the first is kept, and what contradicts it is."""

from __future__ import annotations

import random
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.retrieval import duplicates
from council.retrieval.duplicates import Duplicates, Finding, jaccard, signature

FERRY = (
    "The ferry to Oskel leaves from the northern quay of the town every day at noon. The crossing takes two hours, and in "
    "winter, when the bay is frozen, passengers are brought over the ice by sledge instead. Tickets are sold in the harbour "
    "office, which opens an hour before the ship leaves, and on board from the purser. Children travel free of charge if an "
    "adult comes with them. Bicycles are carried on the lower deck, where they must be tied to the rail; cars have to be "
    "booked by telephone a week ahead, since there is room for only 12 of them. In a strong wind the captain may wait "
    "in the lee of the island until it drops, and then the ship comes in late."
)
CHANGES = (
    "12>21 two>three 12>12.0 12>-12 12>12% 12>$12 12>1/2 12>12\u00b2 may>may_not must>mustn't must>mustn\u2019t every>no if>unless "
    "leaves>never_leaves before>after cars>cars_B cars>cars_II"
)
LETTERS = st.text("bdefghjklnopqruwyz", min_size=2, max_size=8)
WORDS = st.lists(LETTERS, min_size=1, max_size=80)
POINTS = st.sampled_from(["", "", ",", ".", ";", "!", "?", ":", ")", "\u2026", '"'])
GAPS = st.sampled_from([" ", "  ", "\n", "\t", "\n\n"])


def dressed(words: list[str], draw: st.DrawFn) -> str:
    """The words in some case, with some points after them and gaps between them."""
    return "".join(draw(st.sampled_from([str.lower, str.upper, str.title]))(word) + draw(POINTS) + draw(GAPS) for word in words)


@st.composite
def two_dresses(draw: st.DrawFn) -> tuple[str, str]:
    words = draw(st.lists(st.one_of(LETTERS, st.integers(0, 9999).map(str)), min_size=1, max_size=30))
    return dressed(words, draw), dressed(words, draw)


@st.composite
def two_numbers(draw: st.DrawFn) -> tuple[str, str]:
    words = draw(WORDS) * 3
    place = draw(st.integers(0, len(words)))
    numbers = draw(
        st.lists(st.one_of(st.integers(-99, 99999).map(str), st.decimals(0, 99, places=2).map(str)), min_size=2, max_size=2, unique=True)
    )
    one, other = (" ".join([*words[:place], number, *words[place:]]) for number in numbers)
    return one, other


def is_duplicate(one: str, other: str) -> bool:
    found = Duplicates().add_all([("one", one), ("other", other)])[1]
    assert found.of in (None, "one")
    return found.of is not None


@given(two_dresses())
def test_case_white_space_and_punctuation_make_no_difference(texts: tuple[str, str]) -> None:
    assert Duplicates().add_all(zip("ab", texts, strict=True)) == [Finding("a"), Finding("b", "a", 1.0)]


@given(two_numbers())
def test_texts_with_different_numbers_are_never_duplicates(texts: tuple[str, str]) -> None:
    assert not is_duplicate(*texts)


@pytest.mark.parametrize("change", CHANGES.split())
def test_one_number_or_negation_in_a_long_text_makes_it_another(change: str) -> None:
    old, new = change.replace("_", " ").split(">")
    words = FERRY.split()
    place = words.index(old)
    assert is_duplicate(FERRY, " ".join([*words[:place], f"({old})", *words[place + 1 :]]))
    assert not is_duplicate(FERRY, " ".join([*words[:place], new, *words[place + 1 :]]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("水的沸点是一百度。", "水的沸点是二百度。"),
        ("这种药可以和酒一起服用。", "这种药不可以和酒一起服用。"),
        ("この薬は酒と飲める。", "この薬は酒と飲めない。"),
        ("नौका सोमवार को चलती है।", "नौका सोमवार को नहीं चलती है।"),
        ("Паром зимой ходит.", "Паром зимой не ходит."),
        ("여객선은 겨울에 다닌다.", "여객선은 겨울에 다니지 않는다."),
        ("None", "Two"),
        ("Charles I was king.", "Charles II was king."),
    ],
)
def test_short_texts_of_any_script_that_contradict_each_other_are_both_kept(one: str, other: str) -> None:
    assert not is_duplicate(one, other)
    assert is_duplicate(one, f" {one} ")


def test_a_long_text_with_a_word_changed_is_a_near_duplicate() -> None:
    found = Duplicates().add_all([("old", FERRY), ("new", FERRY.replace("harbour", "port")), ("else", FERRY[: len(FERRY) // 2])])
    assert found[0] == Finding("old")
    assert found[1].of == "old"
    assert found[1].similarity == pytest.approx((len(FERRY.split()) - 9) / (len(FERRY.split()) + 1))
    assert found[2] == Finding("else")


@given(st.lists(st.tuples(WORDS, st.integers(1, 4)), min_size=1, max_size=6, unique_by=lambda pair: " ".join(pair[0])), st.randoms())
def test_the_first_is_kept_in_whatever_order(groups: list[tuple[list[str], int]], order: random.Random) -> None:
    texts = [(f"{group}-{copy}", " ".join(words)) for group, (words, copies) in enumerate(groups) for copy in range(copies)]
    order.shuffle(texts)
    met = Duplicates()
    found = met.add_all(texts)
    kept = {finding.id for finding in found if finding.of is None}
    assert len(met) == len(kept)
    assert found[0] == Finding(texts[0][0])
    before: list[str] = []
    for finding in found:
        assert finding.of is None or (finding.of in before and finding.of in kept and finding.similarity >= duplicates.NEAR)
        before.append(finding.id)
    # Of each group's equal texts at most the first is kept.
    assert all(sum(id.startswith(f"{group}-") for id in kept) <= 1 for group in range(len(groups)))


@given(st.lists(st.tuples(st.text(max_size=3), st.text()), max_size=8), st.lists(st.tuples(st.text(max_size=3), st.text()), max_size=8))
def test_saving_and_loading_changes_nothing(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    met = Duplicates()
    met.add_all(before)
    loaded = Duplicates.from_bytes(met.to_bytes())
    assert loaded.to_bytes() == met.to_bytes()
    assert len(loaded) == len(met)
    assert loaded.add_all(after + before) == met.add_all(after + before)


def test_what_is_no_saved_state_is_refused() -> None:
    state = Duplicates().to_bytes()
    for broken in (b"", b"PK", b"no state", state[:100], state[:-30]):
        with pytest.raises(ValueError, match="no saved state"):
            Duplicates.from_bytes(broken)


def test_a_state_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    state = Duplicates().to_bytes()
    monkeypatch.setattr(duplicates, "VERSION", [0])
    with pytest.raises(ValueError, match="another version"):
        Duplicates.from_bytes(state)


def test_the_same_id_again_is_no_duplicate_of_itself_and_its_new_text_replaces_the_old() -> None:
    met = Duplicates()
    assert met.add_all([("a", FERRY), ("a", FERRY), ("a", "Another text.")]) == [Finding("a")] * 3
    assert len(met) == 1
    assert met.add("b", FERRY) == Finding("b")
    assert met.add("a", FERRY) == Finding("a", "b", 1.0)
    assert met.add("c", "Another text.") == Finding("c")


def test_what_is_discarded_is_forgotten() -> None:
    met = Duplicates()
    met.add("a", FERRY)
    met.discard("a")
    met.discard("never met")
    assert len(met) == 0
    assert met.add("b", FERRY.replace("harbour", "port")) == Finding("b")
    assert met.add("c", FERRY).of == "b"


def test_near_duplicates_are_found_after_the_dictionary_has_been_sorted_into_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "LATEST", 40)
    met = Duplicates()
    chance = random.Random(3)
    words = ["".join(chance.choices("bdefghjklnopqruwyz", k=6)) for _ in range(500)]
    texts = [chance.choices(words, k=150) for _ in range(40)]
    assert all(finding.of is None for finding in met.add_all((str(place), " ".join(text)) for place, text in enumerate(texts)))
    changed = [" ".join([*text[:70], "changed", *text[71:]]) for text in texts]
    assert [met.add(f"{place}'", text).of for place, text in enumerate(changed)] == [str(place) for place in range(40)]


def test_thousands_of_like_texts_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(duplicates, "jaccard", lambda one, other: compared.append(1) or jaccard(one, other))  # type: ignore[func-returns-value]
    met = Duplicates()
    middle = FERRY.split()[:40]
    chance = random.Random(4)
    for place in range(300):
        met.add(str(place), " ".join([*middle, "".join(chance.choices("bdefgh", k=9)), *middle]))
    assert len(compared) <= 300 * duplicates.BUCKET


def test_a_signature_estimates_the_similarity() -> None:
    chance = np.random.default_rng(5)
    for shared in (0, 300, 700, 950):
        one, other = (np.unique(chance.integers(0, 2**64, 1000 - shared, np.uint64)) for _ in range(2))
        both = chance.integers(0, 2**64, shared, np.uint64)
        one, other = np.unique(np.append(one, both)), np.unique(np.append(other, both))
        # Four standard deviations of 128 coins.
        assert abs(float((signature(one) == signature(other)).mean()) - jaccard(one, other)) < 4 * 0.5 / 128**0.5
    assert jaccard(np.empty(0, np.uint64), np.empty(0, np.uint64)) == 1.0


def test_hashes_are_the_same_in_every_process() -> None:
    """Saved states depend on them: raise VERSION when this changes."""
    assert blake2b(duplicates._entry("", FERRY).shingles.tobytes(), digest_size=8).hexdigest() == "1d7b4142d3155a21"
