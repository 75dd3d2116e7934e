"""language_of: right or None; and the tokens that other modules count."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.retrieval import language
from council.retrieval.language import STOP_WORDS, language_of, tokens

LIBRARY = Path(__file__).parents[2] / "configs/pocket/library"
needs_model = pytest.mark.skipif(importlib.util.find_spec("py3langid") is None, reason="py3langid is not installed")

BY_SCRIPT = {
    "zh": "渡轮中午从北码头出发，两小时后到达城里。",  # noqa: RUF001
    "ja": "フェリーは正午に北の桟橋を出ます。",
    "ko": "여객선은 정오에 북쪽 부두를 떠납니다.",
    "el": "Το πλοίο φεύγει το μεσημέρι από τη βόρεια προβλήτα.",  # noqa: RUF001
    "th": "เรือข้ามฟากออกจากท่าเรือเหนือตอนเที่ยง",
    "ta": "படகு நண்பகலில் வடக்குத் துறையிலிருந்து புறப்படுகிறது.",
}
BY_MODEL = {
    "en": "The ferry leaves at noon from the northern quay.",
    "de": "Die Fähre fährt mittags vom nördlichen Kai ab.",
    "fr": "Le traversier part à midi du quai nord.",
    "es": "El transbordador sale al mediodía del muelle norte.",
    "it": "Il traghetto parte a mezzogiorno dal molo settentrionale.",
    "pt": "A balsa parte ao meio-dia do cais norte e não volta antes da noite.",
    "nl": "De veerboot vertrekt om twaalf uur van de noordelijke kade.",
    "ru": "Паром отходит от северного причала в полдень.",
    "uk": "Пором відходить від північного причалу опівдні.",
    "ar": "تغادر العبارة الرصيف الشمالي عند الظهر وتصل إلى المدينة بعد ساعتين.",
    "fa": "کشتی ظهر از اسکله شمالی حرکت می‌کند و دو ساعت بعد به شهر می‌رسد.",
    "hi": "नौका दोपहर को उत्तरी घाट से चलती है और दो घंटे बाद शहर पहुँचती है।",
    "pl": "Prom odpływa w południe z północnego nabrzeża.",
}


@pytest.fixture
def without_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    language._identifier.cache_clear()
    yield
    language._identifier.cache_clear()


@pytest.mark.usefixtures("without_model")
@pytest.mark.parametrize("code", BY_SCRIPT)
def test_a_script_of_its_own_is_enough(code: str) -> None:
    assert language_of(BY_SCRIPT[code]) == code
    assert language_of(f"{BY_SCRIPT[code]} (Oskel, 2024)") == code


@pytest.mark.usefixtures("without_model")
@pytest.mark.parametrize("code", BY_MODEL)
def test_without_the_model_a_shared_script_tells_nothing(code: str) -> None:
    assert language_of(BY_MODEL[code]) is None


@needs_model
@pytest.mark.parametrize("code", BY_MODEL)
def test_the_model_tells_languages_of_one_script_apart(code: str) -> None:
    assert language_of(BY_MODEL[code]) == code


@needs_model
def test_chinese_that_names_a_product_in_latin_letters_is_chinese() -> None:
    assert language_of("请先安装 Python 软件，然后重新启动电脑，再打开文件。") == "zh"  # noqa: RUF001


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "x",
        "42",
        "3.5, 4.1; -0.2",
        "ok",
        "Oskel",
        "東京",
        "2024-01-05",
        "https://example.org/the/ferry/leaves/at/noon",
        "=== --- ===",
    ],
)
def test_where_it_cannot_be_told_it_is_not(text: str) -> None:
    assert language_of(text) is None


@needs_model
@pytest.mark.parametrize(
    "text", ["Oskel Marn Tull Vessby", "a[i] += b[j]; ++i; free(p)", "aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNlNjQgZGF0YSBvbmx5"]
)
def test_names_code_and_data_have_no_language(text: str) -> None:
    assert language_of(text) is None


@needs_model
def test_the_library_is_english() -> None:
    lines = [line for path in sorted(LIBRARY.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    assert {language_of(json.loads(line)["text"]) for line in lines} == {"en"}


@given(st.text())
def test_the_answer_is_a_code_of_two_letters_or_none(text: str) -> None:
    found = language_of(text)
    assert found is None or (len(found) == 2 and found.islower())


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    assert language_of(BY_SCRIPT["ko"] * 1000 + BY_SCRIPT["el"] * 9000) == "ko"


def test_words_keep_their_vowel_signs_and_scripts_without_spaces_fall_into_characters() -> None:
    assert tokens("की का हिन्दी") == ["की", "का", "हिन्दी"]
    assert tokens("東京は") == ["東", "京", "は"]
    assert tokens("Don't stop: it CAN\u2019T.") == ["do", "not", "stop", "it", "ca", "not"]


def test_numbers_keep_what_they_depend_on() -> None:
    assert tokens("At -5 \u00b0C, 3.5% of 1,000 left (\u22122) 1990-1995; x10\u00b2, 10:30.") == (
        ["at", "-5", "\u00b0", "c", "3.5", "%", "of", "1,000", "left", "-2", "1990", "1995", "x10\u00b2", "10:30"]
    )
    assert tokens("p < .05, a*b") == ["p", "<", ".05", "a", "*", "b"]
    assert tokens("!?!") == ["!", "?", "!"]


def test_a_list_of_stop_words_holds_what_tokens_gives() -> None:
    for words in STOP_WORDS.values():
        assert all(tokens(word) == [word] for word in words)
