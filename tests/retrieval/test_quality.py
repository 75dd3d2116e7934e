"""judge: what says something is never held back; what says nothing is."""

from __future__ import annotations

import base64
import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.retrieval.quality import judge

LIBRARY = Path(__file__).parents[2] / "configs/pocket/library"
PASSAGES = Path(__file__).parents[3] / "shared/data/domain_qa/passages.jsonl.gz"

GOOD = {
    "fact": "The ferry leaves at noon.",
    "fact without a capital or a full stop": "the ferry leaves at noon",
    "field": "name: Oskel",
    "amount": "Price: $5",
    "two words": "Oskel 4711",
    "question and answer": "Q: When does the ferry leave?\nA: At noon.",
    "one-word answer": "Question: Is the museum open on Mondays?\nAnswer: No.",
    "list": "- bread\n- milk\n- eggs\n- bread\n- milk",
    "numbered": "1. Open the valve.\n2. Wait.\n3. Close the valve.",
    "markdown table": "| Town | Open |\n| --- | --- |\n| Oskel | yes |\n| Marn | yes |\n| Tull | yes |",
    "drawn table": "+-------+------+\n| Oskel | 4711 |\n+-------+------+\n| Marn  | 12   |\n+-------+------+",
    "contents": "Introduction ............................ 3\nThe ferries ............................. 5",
    "csv": "town,ferries,open\nOskel,4,yes\nMarn,2,no\nTull,2,no",
    "numbers": "2019\t3.5\t4.1\t-0.2\n2020\t3.6\t4.0\t-0.3\n2021\t3.5\t4.1\t-0.2",
    "two-digit numbers": " ".join(str(number) for number in range(10, 99)),
    "timetable": "\n".join(f"The ferry to Oskel leaves from the northern quay at {hour}:00." for hour in range(6, 23)),
    "code": "def area(r: float) -> float:\n    if r < 0:\n        raise ValueError(r)\n    return 3.14159 * r ** 2",
    "braces": "for (i = 0; i < n; i++) {\n  a[i] += b[i];\n}\n});",
    "command": "$ git log --oneline --graph -n 5 | less -R",
    "shell session": "strcpy strncpy memcpy sprintf snprintf vsnprintf fscanf fgets",
    "formula": "E = m * c^2",
    "long formula": "\\sum_{i=1}^{n} x_i^2 = \\frac{n(n+1)(2n+1)}{6}",
    "operators": "\u2207\u00b7E = \u03c1/\u03b5\u2080, \u2207\u00d7B = \u03bc\u2080J + \u03bc\u2080\u03b5\u2080\u2202E/\u2202t",
    "checksum": "sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "gene": "Primer: " + "ACGTTGCA" * 40,
    "proper abbreviations": "HTNV and SFTSV replicate in HUVEC, A549 and Vero E6 cells (MOI = 1) for 24 h; see NP and GPC.",
    "German compounds": "Die Donaudampfschifffahrtsgesellschaft beschäftigte Kapitäne, Köche und Rechtsschutzversicherungsvertreter.",
    "Czech": "Vlk zmrzl, zhltl hrst zrn. Čtvrtek byl chladný a v lese ležel sníh až do března.",
    "French": "« L'été », dit-il, « a été très chaud à Évian ; où êtes-vous allés ? »",
    "Russian": "Паром отходит от северного причала в полдень и прибывает в город через два часа.",
    "Chinese": "渡轮中午从北码头出发，两小时后到达城里。冬天没有渡轮。",  # noqa: RUF001
    "short Chinese": "水是氧化物。",
    "Japanese": "フェリーは正午に北の桟橋を出て、二時間後に町に着きます。",
    "Korean": "여객선은 정오에 북쪽 부두를 떠나 두 시간 뒤에 도시에 도착합니다.",
    "Arabic": "تغادر العبارة الرصيف الشمالي عند الظهر وتصل إلى المدينة بعد ساعتين.",
    "Hindi": "नौका दोपहर को उत्तरी घाट से चलती है और दो घंटे बाद शहर पहुँचती है।",
    "Thai": "เรือข้ามฟากออกจากท่าเรือเหนือตอนเที่ยงและถึงเมืองในอีกสองชั่วโมง",
    "Greek": "Το πλοίο φεύγει το μεσημέρι από τη βόρεια προβλήτα.",  # noqa: RUF001
    "Finnish": "Lautta lähtee pohjoisesta laiturista keskipäivällä ja saapuu kaupunkiin kahden tunnin kuluttua.",
    "on cookies": "Under the ePrivacy directive a site must ask its visitors before it stores cookies that it does not need.",
    "on copyright": "The copyright of a book lasts for 70 years after its author's death. All rights reserved was once a needed phrase.",
    "policy": "Privacy policy\nWe keep the names of passengers for 30 days and then delete them.",
    "mended by reading": "The caf\u00c3\u00a9 in Oskel opens at nine and serves soup until the last ferry has left the quay.",
    "one lost letter": "The caf\ufffd in Oskel opens at nine and serves soup.",
    "cut off": "The ferry leaves at noon from the northern quay and arrives in the town after two hours, unless the",
    "refrain": "Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.\n" * 2,
    "standing there twice": "The Group's financial position remains healthy.\n\nThe Group's financial position remains healthy.",
    "names": "Anna, Bert, Clara, Dora, Emil, Frida, Gustav, Hanna, Ivo, Jana, Karl, Lena, Max, Nora, Otto, Paula",
    "emphasis": "**Never** open the valve!!!",
}
NOISE = random.Random(1).randbytes(600)
BAD = {
    "": "mostly symbols",
    " \n\t": "mostly symbols",
    "=" * 60: "mostly symbols",
    "* * * ~~~ ---": "mostly symbols",
    "@#$%^&*()_+ a !@#$%^&*() <<<>>> ~~~~ ....": "mostly symbols",
    "Background": "too short",
    "caf\u00c3\u00a9 na\u00c3\u00afve r\u00c3\u00a9sum\u00c3\u00a9 d\u00c3\u00a9j\u00c3\u00a0 vu": "mojibake",
    "Паром отходит в полдень.".encode().decode("latin-1"): "mojibake",
    "It\u00e2\u20ac\u2122s the ferry\u00e2\u20ac\u2122s \u00e2\u20ac\u0153quay\u00e2\u20ac\u009d": "mojibake",
    "\ufffd\ufffdrry l\ufffd\ufffdves at n\ufffd\ufffdn": "replacement characters",
    "Attachment:\n" + base64.encodebytes(NOISE).decode(): "encoded data",
    NOISE.hex(): "encoded data",
    NOISE.hex(" "): "encoded data",
    "We use cookies to improve your experience. Accept all cookies\nCookie settings": "boilerplate",
    "Home | About us | Contact | Log in\n© 2024 Oskel Ferries Ltd. All rights reserved.": "boilerplate",
    "Skip to main content\nHome\nProducts\nNews\nContact us\nPrivacy policy\nFollow us on Instagram": "boilerplate",
    "Wir verwenden Cookies. Impressum | Datenschutz | Kontakt": "boilerplate",
    "You must enable JavaScript to view this page.": "boilerplate",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit.": "boilerplate",
    "The ferry leaves from the quay.\n" * 5: "repeated lines",
    "the cat sat on the mat and " * 12: "repeated lines",
    "xkcd qwrtp zxcvb mnbvc plkjh gfdsq wrtyp bvcxz": "gibberish",
    "T h e f e r r y l e a v e s a t n o o n " * 3 + "f r o m q u a y": "gibberish",
    "and of the patients who were": "truncated",
    ", which was then given to the": "truncated",
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_says_something_is_never_held_back(kind: str) -> None:
    quality = judge(GOOD[kind])
    assert quality.ok, quality


@pytest.mark.parametrize(("text", "code"), BAD.items(), ids=range(len(BAD)))
def test_what_says_nothing_is_held_back_and_the_reason_named(text: str, code: str) -> None:
    quality = judge(text)
    assert code in [reason.split(":")[0] for reason in quality.reasons], quality
    assert not quality.ok


def test_flaws_that_leave_a_text_readable_are_notes() -> None:
    assert judge(GOOD["mended by reading"]).notes == ("mojibake: some letters may have been read in the wrong encoding.",)
    assert judge(GOOD["one lost letter"]).notes == ("replacement characters: some letters were lost.",)
    assert judge(GOOD["cut off"]).notes == ("truncated: it ends in the middle of a sentence.",)
    assert judge(GOOD["fact"]).notes == ()
    for kind, code in {"code": "code", "csv": "table", "numbered": "list", "long formula": "formula"}.items():
        assert any(note.startswith(code) for note in judge(GOOD[kind]).notes), kind


def test_figures_are_shares_and_means_of_the_text() -> None:
    figures = judge("The ferry leaves at noon.").figures
    assert figures["words"] == 5
    assert figures["letters"] == 20 / 21
    assert figures["word_length"] == 4
    assert figures["stop_words"] == 2 / 5
    assert figures["repeated"] == figures["boilerplate"] == figures["dumped"] == 0


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    quality = judge(text)
    assert quality.ok == (not quality.reasons)
    assert all(": " in line and line.endswith(".") for line in quality.reasons + quality.notes)
    assert all(0 <= share <= 1 for name, share in quality.figures.items() if name not in ("words", "word_length"))


@given(st.sampled_from(sorted(GOOD)), st.sampled_from(sorted(GOOD)))
def test_two_good_texts_are_a_good_text(one: str, other: str) -> None:
    quality = judge(f"{GOOD[one]}\n\n{GOOD[other]}")
    # A verse of songs that stands there four times is held back, and rightly.
    assert quality.ok or one == other, quality


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", [".", "a(", "; ", "ab ", " ", "a,", "\n", "é…", "=", "aB3", "x\t", "?! "])
def test_a_long_text_of_anything_takes_no_long_time(unit: str) -> None:
    assert judge(unit * 100_000 + "a").ok == (unit in ("a,", "x\t"))  # cells of a table, for all that is known


def test_none_of_the_library_is_held_back() -> None:
    lines = [line for path in sorted(LIBRARY.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    held = [text for text in (json.loads(line)["text"] for line in lines) if not judge(text).ok]
    assert len(lines) >= 250
    assert held == []


@pytest.mark.slow
@pytest.mark.skipif(not PASSAGES.exists(), reason="the passages of domain_qa are not here")
def test_of_real_passages_only_single_words_are_held_back() -> None:
    with gzip.open(PASSAGES, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    held = [text for text in texts if not judge(text).ok]
    assert len(held) <= 0.003 * len(texts)
    assert [text for text in held if len(text.split()) > 1] == []
