"""The sentences of a long text, and whether rules join two of them, part them, or make them contradict each other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from council.aggregator.comparison import Reading, read, relation
from council.aggregator.figures import is_rate, with_plain_figures
from council.aggregator.normalise import fold, normalise

_THOUGHT: Final = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)|\A(?:(?!<think).)*</think(?:ing)?>", re.DOTALL)
_MARK: Final = re.compile(r"(?:(?:[-*•–+>]|\(?\d{1,2}[.)]|\(?[a-z]\)|[A-Z]\))\s+|(?:step|point)\s+\d{1,2}\s*[:.)]\s*)+", re.IGNORECASE)  # noqa: RUF001
_ENUMERATOR: Final = re.compile(r"\(?\d{1,2}\.")
_CITATION: Final = re.compile(r"\s*(?:\[\d+(?:\s*[,-]\s*\d+)*\]|\((?:passages?|see|source)\b[^()]*\))", re.IGNORECASE)
_EMPHASIS: Final = re.compile(r"\*\*|`|(?<![\w*])\*(?=[^\s*][^*\n]*\*)|(?<=[^\s*])\*(?![\w*])")
_LABEL: Final = re.compile(r"(?:final |short )?answer\s*:\s*", re.IGNORECASE)
_FILLER: Final = re.compile(
    r"(?:sure|certainly|of course|absolutely|okay|ok|great|good question|great question|thanks?(?: you)?)"
    r"(?: (?:thing|here (?:is|are)\b.*|i (?:can|will|would)\b.*))?"
    r"|here (?:is|are) (?:answer|summary|(?:brief |short )?(?:overview|explanation))"
    r"|(?:i )?hope (?:this|that) helps.*|(?:please )?let me know\b.*|feel free to\b.*|as an ai\b.*|(?:happy|glad) to help"
)
_SHORT_LINE: Final = 40
"""A line of fewer characters, without a full stop, that a capital follows is a heading or a list's item, not wrapped text."""

_LONGEST_STOP: Final = 40
"""Characters that are looked at before and after a full stop."""
_END: Final = re.compile(r"[.!?]+[\"'\u201d\u2019)\]*]*(?:\[[\d, -]+\])*(?=\s+[^a-z\s]|\s*\Z)")
_NEVER_ENDS: Final = re.compile(r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|Mt|Gen|Sen|Gov|Capt|Lt|Rev|cf|vs|viz|approx|ca|e\.\s?g|i\.\s?e))\.\Z")
_MAY_END: Final = re.compile(r"(?:\b(?:Jr|Sr|Inc|Ltd|Co|Corp|al)|(?<![^\W_])[^\W\d_])\.\Z")
_NOT_BEFORE_DIGITS: Final = re.compile(
    r"\b(?:No|Nos|Fig|Eq|Art|Sec|Vol|Ch|pp?|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.\Z", re.IGNORECASE
)
_STARTER: Final = re.compile(
    r"[\"'\u201c(]*(?:The|It|Its|In|He|She|They|This|That|These|Those|There|A|An|But|However|When|If|As|For|On|At)\b"
)

_OPENER: Final = re.compile(
    r"(?:however|therefore|thus|hence|moreover|furthermore|additionally|also|in addition|in summary|in short|overall|finally|"
    r"first|firstly|second|secondly|third|thirdly|yes|no|so|and|but|in fact|note that|"
    r"according to (?:the )?(?:passages?|sources?|text))\b,\s+(?=\S+ \S+ \S)",
    re.IGNORECASE,
)
_LOOSE_TEXT: Final = """
    a an in at by on about around approximately roughly
"""
_LOOSE: Final = frozenset(_LOOSE_TEXT.split())
"""Words that come and go as a phrase moves to the front of a sentence."""
_STOP_TEXT: Final = """
    a an the this that these those it its he she they them his her their there which who whose what and or but so as than then if while also
    of to in on at by for from with into about is are was were be been being am do does did has have had can could may might will would
    shall should must not no never none neither nor without non very
"""
_STOP: Final = frozenset(_STOP_TEXT.split())
_COPULAS: Final = frozenset(("is", "are", "was", "were"))


@dataclass(frozen=True)
class Wording:
    """A sentence as the rules see it.

    `plain`: its text with figures in one form, so that 12 km is 12,000 m; `content`: its words of meaning, numbers
    aside; `names`: those that a capital shows.
    """

    text: str
    plain: str
    reading: Reading
    content: frozenset[str]
    names: frozenset[str]
    negated: bool


def split_claims(text: str) -> list[str]:
    """The sentences of a member's text that claim something, in order, repeated ones too.

    Thoughts, headings, questions, courtesies, list marks and citations are left out; nothing claimed, no sentences.
    """
    claims = []
    for sentence in split_sentences(_THOUGHT.sub("", text)):
        claim = _LABEL.sub("", sentence, count=1) if _LABEL.match(sentence) else sentence
        if claim and not claim.rstrip("\"'\u201d)").endswith((":", "?")) and not _FILLER.fullmatch(normalise(claim)):
            claims.append(claim)
    return claims


def split_sentences(text: str) -> list[str]:
    """The sentences of any text, in order, without headings, emphasis, list marks and citations."""
    found = []
    for block in _blocks(text):
        for sentence in _cut(_MARK.sub("", block, count=1) if _MARK.match(block) else block):
            sentence = _CITATION.sub("", sentence)
            sentence = _unquoted(" ".join((_MARK.sub("", sentence, count=1) if _MARK.match(sentence) else sentence).split()))
            if any(c.isalnum() for c in sentence):
                found.append(sentence)
    return found


def _blocks(text: str) -> list[str]:
    """Paragraphs and items of lists, each in one line."""
    blocks: list[str] = []
    fresh = True
    for line in (raw.strip() for raw in text.splitlines()):
        heading = line.startswith(("#", "```", "~~~")) or re.fullmatch(r"(?:\*\*|__)[^*]*[^*.!?](?:\*\*|__):?", line)
        if not line or heading:
            fresh = True
            continue
        plain = _EMPHASIS.sub("", line)
        # "1932. It was ..." can be the end of wrapped text; a mark begins an item all the same.
        wrapped = not fresh and not _MARK.match(line) and (not plain[:1].isupper() or len(blocks[-1]) >= _SHORT_LINE)
        if wrapped and not blocks[-1].endswith((".", "!", "?", ":")):
            blocks[-1] += f" {plain}"
        else:
            blocks.append(plain)
        fresh = False
    return blocks


def _cut(block: str) -> list[str]:
    block = _unquoted(block)
    quoted = block.count('"') % 2 == 0 and block.count("\u201c") == block.count("\u201d")
    found, start, seen, plain, curly = [], 0, 0, 0, 0
    for end in _END.finditer(block):
        since, seen = block[seen : end.end()], end.end()
        plain, curly = plain + since.count('"'), curly + since.count("\u201c") - since.count("\u201d")
        stop = block[max(start, seen - _LONGEST_STOP) : seen].strip()
        after = block[seen : seen + _LONGEST_STOP].lstrip()
        if not (after and ((quoted and (plain % 2 or curly > 0)) or _runs_on(stop.rstrip("\"'\u201d\u2019)"), after))):
            found.append(block[start:seen].strip())
            start = seen
    return [*found, block[start:].strip()]


def _runs_on(stop: str, after: str) -> bool:
    """Whether the full stop after the last words of `stop` ends no sentence, as one of an abbreviation or of "2." in a list."""
    if _NEVER_ENDS.search(stop) or _ENUMERATOR.fullmatch(stop):
        return True
    return bool((_MAY_END.search(stop) and not _STARTER.match(after)) or (after[0].isdigit() and _NOT_BEFORE_DIGITS.search(stop)))


def _unquoted(sentence: str) -> str:
    """The sentence out of quotes that hold all of it."""
    whole = re.fullmatch(r"\"([^\"]*)\"|\u201c([^\u201c\u201d]*)\u201d", sentence)
    return (whole[1] or whole[2] or "").strip() if whole else sentence


def read_sentence(text: str) -> Wording:
    """What tells this sentence apart from others."""
    plain = with_plain_figures(re.sub(r"\bnot only\b", " ", _OPENER.sub("", fold(text), count=1)))
    reading = read(plain)
    names = _names(plain)
    content = {_stem(w) for w in reading.words if w not in _STOP and w not in reading.numbers}
    # Against no words at all, only a negation is told apart.
    negated = relation(_only(reading.words), _only(())) is False
    return Wording(text, plain, reading, frozenset(content | {n for n in names if len(n) == 1}), names, negated)


def same(a: Wording, b: Wording) -> bool | None:
    """True: the same by a rule; False: told apart by one, or by names or the order of words; None: similarity may decide."""
    ruled = relation(a.reading, b.reading)
    return False if ruled is None and (_other_names(a, b) or _reordered(a, b)) else ruled


def contradict(a: Wording, b: Wording, similar: bool, together: bool) -> bool:
    """Whether two sentences say one thing with other figures, one negation more, or its words in another order.

    `similar`: their similarity reaches the threshold. `together`: one text says both. Then they may speak of two things,
    and contradict only where their words are the same and, of several figures, some too: "Stage 1 lasts 3 days" and
    "Stage 2 lasts 5 days" don't.
    """
    if relation(a.reading, b.reading) is True:
        return False
    only_a, only_b = a.content - b.content, b.content - a.content
    told_a, told_b = (frozenset(w.reading.words) - _STOP - w.reading.numbers for w in (a, b))
    opposed = relation(_only(told_a - told_b), _only(told_b - told_a)) is False
    words = not (only_a or only_b) or (opposed and len(only_a) == len(only_b) == 1) or a.reading.kind == b.reading.kind == "yes or no"
    if not words and (together or not similar or _other_names(a, b)):
        return False
    ours, theirs = a.reading.numbers, b.reading.numbers
    # The figures of one among the other's: that says more, not otherwise.
    figures = bool(ours - theirs and theirs - ours)
    if together and figures and min(len(ours), len(theirs)) > 1 and not ours & theirs:
        return False
    # "not lawful" and "unlawful" are two negations.
    return figures or (a.negated != b.negated) != opposed or _reordered(a, b) or a.reading.kind == b.reading.kind == "yes or no"


def contains(a: Wording, b: Wording) -> bool:
    """Whether `a` has all the words, names and numbers of `b`, of which there are two or more, and its negation."""
    sought = b.content | b.reading.numbers
    return len(sought) > 1 and sought <= a.content | a.reading.numbers and a.negated == b.negated and not _reordered(a, b)


def _names(text: str) -> frozenset[str]:
    """Capitalised words, but for a first one that no other follows; single letters as in "hepatitis B"."""
    words = re.findall(r"[^\W\d_][\w'-]+|\b[A-Z]\b(?!\.\s*\S)", text)
    found = set()
    for n, (word, after) in enumerate(pairwise([*words, ""])):
        plain = normalise(word) or word.casefold()
        letter = len(word) == 1 and word != "I" and n > 0
        if letter or (word[0].isupper() and (n > 0 or after[:1].isupper()) and plain not in _STOP):
            found.add(plain)
    return frozenset(found)


def _other_names(a: Wording, b: Wording) -> bool:
    """Whether each has a name that the other lacks."""

    def lacking(ours: Wording, theirs: Wording) -> bool:
        words = {w for w in theirs.reading.words if len(w) > 1} | theirs.names
        return any(not set(name.split()) <= words for name in ours.names)

    return lacking(a, b) and lacking(b, a)


def _reordered(a: Wording, b: Wording) -> bool:
    """Whether the same words stand in an order that may change who does what: "Rome beat Carthage", "Carthage beat Rome".

    A phrase moved to the front, the sides of an "and" or an "is", and a number moved past words are no other order.
    """
    sides = []
    for wording in (a, b):
        words = [w for w in wording.reading.words if w not in _LOOSE]
        text = [w for w in words if w not in wording.reading.numbers]
        for n in range(1, len(text) - 1):
            if text[n] in ("and", "or"):
                text[n - 1], text[n + 1] = sorted((text[n - 1], text[n + 1]))
        sides.append((text, [w for w in words if w in wording.reading.numbers and not is_rate(w)]))
    (first, ours), (second, theirs) = sides
    if sorted(first) != sorted(second) or sorted(ours) != sorted(theirs):
        return False
    turns = [first, *(first[n:] + first[:n] for n in range(len(first)))]
    turns += [[*first[n + 1 :], word, *first[:n]] for n, word in enumerate(first) if word in _COPULAS]
    return ours != theirs or second not in turns


def _only(words: frozenset[str] | tuple[str, ...]) -> Reading:
    """A reading of nothing but these words, the same as no other."""
    return Reading("text", ("only", object()), tuple(words))


def _stem(word: str) -> str:
    """Without a plural's ending."""
    if re.fullmatch(r".{2,}(?:s|x|z|ch|sh)es", word):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
