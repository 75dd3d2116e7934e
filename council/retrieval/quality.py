"""Text -> whether it is worth indexing, and why not.

The rules are those of Gopher (Rae et al. 2021, arXiv:2112.11446, A.1.1) and C4 (Raffel et al. 2020, section 2.2), which
choose pages to train on. Here a text held back is a fact that nobody finds, so each rule is laxer than its source, and
what may be a table, a list, code or a formula is spared the rules for prose.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Final

from council.retrieval.language import STOP_WORDS, tokens
from council.retrieval.splitting import sentences
from council.types import Frozen

FEWEST_WORDS: Final = 2
"""One word says nothing of anything. Gopher asks for 50: a page's measure."""
CONTENT: Final = 0.35
"""Least share of letters, digits and mathematical signs in what isn't space; prose has 0.95, code seldom under 0.6."""
FEWEST_SIGNS: Final = 20
"""Characters, from which CONTENT is asked for: "C++ :-)" is no heap of symbols."""
WORDS: Final = 50
"""From which rules on a text's words hold; Gopher's and C4's are for pages, where that many go without saying."""
WORD_LENGTHS: Final = (1.8, 15.0)
"""Mean letters of a word. Gopher: 3 to 10, but German reaches 9, and what is full of symbols and units comes near 2."""
UNSPEAKABLE: Final = 0.5
"""Share of the words in small Latin letters, if 8 or more, that have no vowel or six consonants together."""
REPEATED: Final = 0.6
"""Share of a text in lines or sentences that stand in it already. Gopher: 0.2; but a text that stands there twice is whole."""
FEWEST_REPEATED: Final = 20
"""Characters of a line that may count as repeated; shorter ones are cells and answers."""
DISTINCT: Final = 0.3
"""Least share of different runs of 5 words. Gopher holds back from 0.85 down; the rows of a timetable reach 0.6."""
BOILERPLATE: Final = 0.6
"""Share of the characters in lines that every page of a site has. C4 drops each such line; in a document it is borne."""
DUMPED, FEWEST_DUMPED = 0.5, 200
"""Share and number of characters in base64 or hexadecimal; a checksum or a key alone is a fact."""
BROKEN: Final = 0.05
"""Letters in the wrong encoding for each word, if 3 or more; fewer can be read past."""
LOST: Final = 0.02
"""Share of replacement and control characters, if 3 or more."""
FRAGMENT: Final = 12
"""Words; a longer text that begins and ends in the middle of a sentence has enough in between."""
STRUCTURE: Final = 0.5
"""Share of the lines from which a text is code, a table or a list."""
TAIL: Final = 40
"""Characters that tell how a text ends."""
FORMULAS: Final = 0.1
"""Formulas for each word from which a text is one; a paper's prose with its p = 0.05 has 0.03."""

WORD: Final = re.compile("[a-zA-Z\u00c0-\u024f\u0370-\u052f]+")
SMALL: Final = re.compile(r"\b[a-z\u00df-\u024f]{4,}\b")
UNSPOKEN: Final = re.compile(r"[bcdfghjklmnpqrstvwxz]{6}|^[bcdfghjklmnpqrstvwxz]+$")
DUMP: Final = re.compile(r"(?:[A-Za-z0-9+/]{40,}={0,2}\s*)+|(?:\b(?:0x)?[0-9a-fA-F]{2}\b[\s,:]*){16,}|\b[0-9a-fA-F]{32,}\b")
BYTE: Final = "[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
MOJIBAKE: Final = re.compile(rf"[\u00c2-\u00df]{BYTE}|[\u00e0-\u00ef]{BYTE}{{2}}|[\u00f0-\u00f4]{BYTE}{{3}}")
"""What the bytes of a UTF-8 character are in Windows-1252."""
RULE: Final = re.compile(r"([^\w\s])\1{2,}")
"""Drawn lines, and the dots between a heading and its page; they count as one character."""
LOSS: Final = re.compile("[\ufffd\x00-\x08\x0e-\x1f\x7f\ue000-\uf8ff]")
CODE: Final = re.compile(
    r"^\s*(?:(?:def|class|import|return|function|public|private|const|let|var|SELECT|INSERT) |#include|from \S+ import |for ?\(|if ?\(|"
    r"\$ |>>> |</?\w+[ >]|@\w+$)|[;{}]$|\w\([^()]*\)$|^\s*[\w.\[\]]+ ?[-+*/]?= ?\S"
)
FORMULA: Final = re.compile(r"\\[a-zA-Z]+|[\u2200-\u22ff\u00b1\u00d7\u00f7]|[\w)] ?[=^] ?[\w(-]")
ROW: Final = re.compile(r"[|\t]|^(?:[^,;]{0,40}[,;]){2,}[^,;]{0,40}(?<![.!?])$|^[^:.!?]{1,40}: ?\S.*(?<![.!?])$")
ITEM: Final = re.compile(r"^\s*(?:[-*+\u2022\u2013\u00b7]|\(?\w{1,3}[.)])\s+\S")
ENDED: Final = re.compile(r"[.!?\u2026:\u3002\uff01\uff1f\u0964\u061f\u06d4]\W*$")
BEGUN: Final = re.compile(r"[,;)\]]|(?:and|or|of|which|that|than|by|with|from|und|oder|et|ou|y|e|o) ")
DANGLES: Final = re.compile(r"(?:[,(\u2013-]|\b(?:the|a|an|of|and|or|to|by|with|from|was|were|is|are|der|die|das|und|le|la|et|de|el|y))$")
SITE: Final = re.compile(
    r"\b(?:we|site|website|wir|seite|website|nous|sitio) (?:may )?(?:also )?(?:uses?|verwende[nt]|nutz(?:en|t)|utilis\w+|utiliza\w*) "
    r"(?:des )?cookies|\butilizamos cookies|\baccept (?:all )?cookies|\bcookie settings|by continuing to (?:use|browse)|"
    r"(?:enable|turn on|activate) javascript|javascript (?:is|must be|to be) (?:dis|en)abled|all rights reserved|"
    r"alle rechte vorbehalten|tous droits r\u00e9serv\u00e9s|todos los derechos reservados|newsletter!?$|\bfollow us on|"
    r"\bshare (?:this )?on (?:facebook|twitter|linkedin)|^\W*(?:copyright|\u00a9|\(c\)) .{0,60}\d{4}|^powered by \w+\W*$|"
    r"^page \d+ of \d+\W*$|lorem ipsum dolor|\bclick here to (?:subscribe|unsubscribe|log in|continue)",
    re.IGNORECASE,
)
NAMES: Final = (
    "home;about;about us;contact;contact us;login;log in;sign in;sign up;register;search;menu;news;blog;products;services;help;faq;"
    "careers;jobs;sitemap;press;shop;cart;my account;privacy;privacy policy;terms;terms of service;terms of use;cookie policy;"
    "cookies;next;previous;back to top;skip to content;skip to main content;read more;share;tweet;print;support;subscribe;"
    "startseite;impressum;datenschutz;kontakt;accueil;mentions l\u00e9gales;inicio;aviso legal;contacto"
)
NAVIGATION: Final = frozenset(NAMES.split(";"))
"""Lines of nothing else are a site's menu."""


class Quality(Frozen):
    """A judgement. `reasons` to hold the text back, and `notes`, begin with a code, as in "gibberish: ...".

    `figures`: words (a number), word_length (a mean); letters, content, stop_words (of the likeliest language; where a
    list exists), repeated, distinct, boilerplate and dumped (shares).
    """

    ok: bool
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    figures: dict[str, float]


def judge(text: str) -> Quality:
    """Whether a text is worth indexing; never for its language or script, and when in doubt, it is."""
    words = tokens(text)
    figures = _figures(text, words)
    notes = tuple(_notes(text, figures))
    reasons = tuple(_reasons(text, figures))
    if not any(note.startswith(("code", "table", "formula")) for note in notes):
        reasons += tuple(_prose_reasons(text, figures))
    return Quality(ok=not reasons, reasons=reasons, notes=notes, figures=figures)


def _figures(text: str, words: list[str]) -> dict[str, float]:
    plain = RULE.sub(r"\1", text)
    kinds: Counter[str] = Counter()
    for char, count in Counter(plain).items():
        kind = unicodedata.category(char)
        # Of ASCII's symbols, rules and frames are drawn.
        kinds["space" if char.isspace() else "drawn" if kind == "Sm" and char <= "~" else kind] += count
    signs = max(1, kinds.total() - kinds.pop("space", 0))
    letters = sum(count for kind, count in kinds.items() if kind[0] in "LM")
    content = letters + sum(count for kind, count in kinds.items() if kind[0] == "N" or kind in ("Sc", "So", "Sm"))
    lengths = [len(word) for word in WORD.findall(text)]
    parts = [part for line in plain.split("\n") if line.strip() for part in sentences(line)]
    size = max(1, sum(map(len, parts)))
    long = [part.casefold() for part in parts if len(part) >= FEWEST_REPEATED]
    runs = list(zip(*(words[place:] for place in range(5)), strict=False))
    return {
        "words": float(len(words)),
        "letters": letters / signs,
        "content": content / signs,
        "word_length": sum(lengths) / max(1, len(lengths)),
        "stop_words": max(sum(word in known for word in words) for known in STOP_WORDS.values()) / max(1, len(words)),
        "repeated": (sum(map(len, long)) - sum(map(len, set(long)))) / size,
        "distinct": len(set(runs)) / len(runs) if runs else 1.0,
        "boilerplate": sum(len(part) for part in parts if _is_boilerplate(part)) / size,
        "dumped": sum(len(dump) for dump in DUMP.findall(text) if _is_dump(dump)) / max(1, len(text)),
    }


def _is_boilerplate(part: str) -> bool:
    names = [name.strip(" .").casefold() for name in re.split(r"[|\u2022\u00b7\u00bb>/,]|\s{2,}", part) if name.strip(" .")]
    return SITE.search(part.strip()) is not None or (bool(names) and all(name in NAVIGATION for name in names))


def _is_dump(run: str) -> bool:
    """Letters and digits mixed: a row of numbers has no letters, and a sequence of bases or amino acids no digits."""
    letters = sum(map(str.isalpha, run))
    return any(map(str.isdigit, run)) and letters >= len(run) / 10


def _reasons(text: str, figures: dict[str, float]) -> Iterator[str]:
    if not figures["content"]:
        yield "mostly symbols: there is no letter and no digit."
    elif figures["words"] < FEWEST_WORDS:
        yield "too short: it is a single word."
    broken, lost = len(MOJIBAKE.findall(text)), len(LOSS.findall(text))
    if broken >= 3 and broken >= BROKEN * figures["words"]:
        yield "mojibake: its letters were read in the wrong encoding."
    if lost >= 3 and lost >= LOST * len(text):
        yield "replacement characters: letters were lost when it was decoded."
    if figures["dumped"] >= DUMPED and figures["dumped"] * len(text) >= FEWEST_DUMPED:
        yield "encoded data: most of it is base64 or hexadecimal."
    if figures["boilerplate"] >= BOILERPLATE:
        yield "boilerplate: most of it stands on every page of a site (menus, cookies, copyright)."
    if _dangles(text) and BEGUN.match(text.strip()) and figures["words"] < FRAGMENT:
        yield "truncated: it is a few words from the middle of a sentence."


def _prose_reasons(text: str, figures: dict[str, float]) -> Iterator[str]:
    """What doesn't hold for tables, code and formulas."""
    if 0 < figures["content"] < CONTENT and sum(not char.isspace() for char in text) >= FEWEST_SIGNS:
        yield f"mostly symbols: letters and digits are {figures['content']:.0%} of it."
    small = SMALL.findall(text)
    strange = len(small) >= 8 and sum(UNSPOKEN.search(word) is not None for word in small) >= UNSPEAKABLE * len(small)
    odd = len(WORD.findall(text)) >= WORDS and not WORD_LENGTHS[0] <= figures["word_length"] <= WORD_LENGTHS[1]
    if strange or odd:
        yield f"gibberish: its words are none that can be spoken, or have {figures['word_length']:.1f} letters on average."
    if figures["repeated"] >= REPEATED:
        yield f"repeated lines: {figures['repeated']:.0%} of it stands in it already."
    elif figures["words"] >= WORDS and figures["distinct"] < DISTINCT:
        yield "repeated lines: it is a few words over and over."


def _notes(text: str, figures: dict[str, float]) -> Iterator[str]:
    lines = [line.rstrip() for line in text.split("\n") if any(map(str.isalnum, line))]
    for note, pattern in (("code: lines of a program.", CODE), ("table: rows or fields.", ROW), ("list: items.", ITEM)):
        if lines and sum(pattern.search(line) is not None for line in lines) >= STRUCTURE * len(lines):
            yield note
    if len(FORMULA.findall(text)) >= max(1.0, FORMULAS * figures["words"]):
        yield "formula: much of it is formulas."
    if 0 < figures["boilerplate"] < BOILERPLATE:
        yield f"boilerplate: {figures['boilerplate']:.0%} of it stands on every page of a site."
    if MOJIBAKE.search(text):
        yield "mojibake: some letters may have been read in the wrong encoding."
    if LOSS.search(text):
        yield "replacement characters: some letters were lost."
    if figures["words"] >= WORDS and figures["stop_words"] == 0 and len(WORD.findall(text)) >= figures["words"] / 2:
        yield "no stop words: it may be key words, names or a language without a list."
    if _dangles(text) or (figures["words"] >= 8 and lines and len(lines[-1]) > 60 and not ENDED.search(text.rstrip()[-TAIL:])):
        yield "truncated: it ends in the middle of a sentence."


def _dangles(text: str) -> bool:
    return DANGLES.search(text.rstrip()[-TAIL:]) is not None
