"""The written form of an answer, without what doesn't change its meaning."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SPELT: Final = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"',
        "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": ", ",
        "\u00d7": "x", "\u2044": "/", "\u2248": "~", "\u00ba": "\u00b0", "\u03bc": "\u00b5",
        "\u00f8": "o", "\u00d8": "O", "\u0142": "l", "\u0141": "L", "\u0111": "d", "\u0110": "D",
        "\u00e6": "ae", "\u00c6": "Ae", "\u0153": "oe", "\u0152": "Oe",
    }
)  # fmt: skip
_ACCENTS: Final = re.compile(r"(?<=[A-Za-zα-ωΑ-Ω])[\u0300-\u036f]+")  # noqa: RUF001
_SUPERSCRIPTS: Final = re.compile("[⁺⁻⁰¹²³⁴-⁹]+")
_VULGAR: Final = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")

_CONTRACTED: Final = (
    ("can't", "cannot"), ("cannot", "can not"), ("won't", "will not"), ("n't", " not"), ("&", " and ")
)  # fmt: skip
_INITIALS: Final = re.compile(r"(?<![\w.])[^\W\d_]\.(?: ?[^\W\d_]\.)*(?:[^\W\d_](?!\w))?")
_THOUSANDS: Final = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_OPENING: Final = re.compile(r"^(?:(?:in|at|by|on|about|around|approximately|roughly|circa|ca\.?|an|a|the)\s+(?=\S)|(?:c\.\s*|~\s*)(?=\d))")
_QUOTES: Final = "\"'„«»`([{* "
_PUNCTUATION: Final = re.compile(
    r"(?<!\d)[.,:]|[.,:](?!\d)"  # a decimal point, a clock time and a ratio keep theirs
    r"|(?<=\w)-(?=[^\W\d])|(?<=[^\W\d])-(?=\d)"  # a hyphen; not a minus sign or a range
    r"|[\"“”„«»`!?;()\[\]{}_…·•]"
)


def fold(text: str) -> str:
    """`text` with one form for each character: no accents, plain dashes and quotes, `10⁸` as `10^8`, `3½` as `3 1/2`.

    Case stays, since it tells mW from MW. White space becomes single spaces.
    """
    text = _SUPERSCRIPTS.sub(lambda m: "^" + unicodedata.normalize("NFKC", m[0]), _VULGAR.sub(" ", text))
    decomposed = unicodedata.normalize("NFKD", text.translate(_SPELT))
    composed = unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed))
    return " ".join(composed.translate(_SPELT).split())


def normalise(text: str) -> str:
    """`text` without case, accents, articles, punctuation, possessives and leading prepositions.

    Keeps what tells answers apart: numbers, negation, signs and operators. Empty only where nothing but white space
    and punctuation was given.
    """
    text = fold(text).casefold().lstrip(_QUOTES)
    for short, full in _CONTRACTED:
        text = text.replace(short, full)
    text = re.sub(r"\bthe (?=\S)", "", re.sub(r"(?<=\w)'s\b|'", "", text))
    shorter = _OPENING.sub("", text)
    while shorter and shorter != text:
        text, shorter = shorter, _OPENING.sub("", shorter)
    text = _INITIALS.sub(lambda m: re.sub(r"[. ]", "", m[0]), text)
    text = _THOUSANDS.sub(lambda m: m[0].replace(",", ""), text)
    return " ".join(_PUNCTUATION.sub(" ", text).split())
