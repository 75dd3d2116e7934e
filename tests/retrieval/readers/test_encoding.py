"""Bytes -> text: what is marked, what is UTF-8, what can be guessed, and what is no text."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.errors import DocumentError
from council.retrieval.readers.encoding import decode

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t")).map(lambda text: text.lstrip("\ufeff"))


@given(TEXT, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_any_text_comes_back(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encodings"),
    [
        ("Die Größe der Brücke über den Fluß ist für die Bürger sehr wichtig.", ["latin-1", "cp1252", "utf-16-le", "utf-16-be"]),
        ("L'été dernier, nous avons visité le château où était né le poète.", ["latin-1"]),
        ("¿Dónde está el baño? Mañana iré a la montaña con mi compañero.", ["latin-1"]),
        ("The café is open. It\u2019s \u201cgreat\u201d and costs £5.", ["cp1252"]),
        ("Привет, как дела? Сегодня хорошая погода, и мы идём гулять.", ["cp1251", "koi8-r"]),
        ("Zażółć gęślą jaźń. Wczoraj byliśmy w Łodzi, gdzie było ładnie.", ["cp1250"]),
        ("Αυτή είναι μια πρόταση στα ελληνικά. Σήμερα είναι καλός καιρός.", ["cp1253"]),
        ("これは日本語の文章です。今日は天気がいいですね。散歩に行きましょう。", ["shift_jis", "euc_jp"]),
        ("这是一个中文句子。今天天气很好。我们去公园散步吧。", ["gb18030"]),
    ],
)
def test_older_encodings_are_guessed(text: str, encodings: list[str]) -> None:
    for encoding in encodings:
        assert decode(text.encode(encoding)) == text


def test_line_ends_are_made_one() -> None:
    assert decode(b"a\r\nb\rc\n") == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it is not text"),
        (bytes(range(256)) * 4, "it is not text"),
        (b"\x01\x02\x03\x04", "it is not text"),
        (b"\xff\xfe\x00", "it is not text"),
        (random.Random(1).randbytes(5000), "it is not text"),
        (random.Random(1).randbytes(5000).replace(b"\0", b""), "not UTF-8 (byte 0), and its encoding can't be told"),
        (b"caf\xe9", "not UTF-8 (byte 3), and its encoding can't be told"),
        ("Grüße aus München ".encode() * 9 + b"\xff", "it is UTF-8 but for byte 189"),
    ],
)
def test_what_is_no_text_or_of_no_known_encoding_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DocumentError) as caught:
        decode(data)
    assert reason in str(caught.value)


def test_without_the_library_utf8_is_read_and_the_rest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    assert decode("Größe".encode()) == "Größe"
    with pytest.raises(DocumentError, match="need the package charset-normalizer: pip install"):
        decode("Die Größe der Brücke".encode("latin-1"))


@given(st.binary())
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        assert isinstance(decode(data), str)
    except DocumentError as exc:
        assert "\n" not in str(exc)
