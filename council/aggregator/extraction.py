"""The short answer in what a member wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from council.aggregator.normalise import normalise
from council.types import NOT_KNOWN

_LONGEST_WORDS: Final = 20
"""A longer sentence is reasoning, not an answer."""
_LONGEST_TEXT: Final = 20_000
"""Of a longer text, the end is read."""

_THOUGHT: Final = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_ANSWER_TAG: Final = re.compile(r"<answer>\s*(?=\S)(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_CONTINUED: Final = re.compile(r"(?<=\S)\s*\n\s*(?:Question|Q|Human|User|Passages?|\[1\])\s?:", re.IGNORECASE)
_BOXED: Final = re.compile(r"\$*\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}\$*")
_LATEX: Final = (
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|operatorname)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\(?:times|cdot)\b"), "x"),
    (re.compile(r"\^\s*\{?\\circ\}?"), "°"),
    (re.compile(r"\\[,;:! ]|~(?=\\)"), " "),
    (re.compile(r"\\([%$&#_])"), r"\1"),
    (re.compile(r"\\[()\[\]]"), ""),
)
_EMPHASIS: Final = re.compile(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1|(?<![\w*])([*_])(?=[^\s*_])([^*_\n]*[^\s*_])\3(?![\w*])")

_CUE: Final = (
    r"(?i:\b(?:I (?:choose|pick|select)|answer\s*(?=\()|"
    r"(?:answer|(?:correct|best|right)\s+(?:option|choice))(?:\s+(?:to|for)\s+(?:the|this)\s+question)?"
    r"\s*(?:(?:is|was|must be|should be|would be)\b|:|=)\s*:?)\s*"
    r"(?:(?:therefore|thus|clearly|most likely|likely|probably)\b,?\s*)?(?:the\s+)?(?:(?:option|choice|letter)\s*)?)"
)
_STATED: Final = re.compile(
    r"\banswer(?:\s+(?:to|for)\s+(?:the|this)\s+question)?\s*(?:(?:is|was|must be|should be|would be)\b|[:=])"
    r"\s*:?[ \t]*(?:\n\s*)?(?P<said>[^\n]+)",
    re.IGNORECASE,
)
_BARE_END: Final = r"(?![\w'’°^]|\s*[-+*/=]|\s+(?!because\b|since\b|as\b|which\b|and it\b)[a-z\d])"  # noqa: RUF001
_SENTENCE_END: Final = re.compile(
    r"(?<!\b[A-Z])(?<!\b(?:Dr|Mr|Ms|St|Mt|No|vs|Jr|Sr|ca|al))(?<!\bMrs)(?<!\b(?:Prof))[.!?](?=[\"”')\]]*(?:\s+[^a-z\s]|\s*\Z))"
)
_LEAD: Final = re.compile(
    r"^(?:so|therefore|thus|hence|ok|okay|well)?,?\s*(?:it|this|that|they|he|she)(?:'s|\s+(?:is|was|are|were))\s+(?=\S)",
    re.IGNORECASE,
)
_YES_NO: Final = re.compile(r"(yes|no|maybe|true|false)(?=\s*(?:\Z|[,;:!\n(]|\.(?!\s*\d)|\s[-–—]))", re.IGNORECASE)  # noqa: RUF001

_LACKING: Final = (
    r"(?:not|never|n't) (?:\w+ )?(?:tell|say|state|mention|specif|provide|contain|give|include|indicate|reveal|discuss|"
    r"address|explain|answer|describe|identify|disclose)"
)
_SOURCE: Final = r"(?:passages?|texts?|contexts?|documents?|sources?|articles?|excerpts?|information|question)"
_UNSTATED: Final = (
    r"(?:stated|mentioned|known|given|specified|provided|available|told|answered|said|clear|listed|disclosed|determined|"
    r"indicated|answerable|found|determinable|enough information|possible to (?:determine|tell|say|know|answer))"
)
_WHERE: Final = r"(?: (?:in|by|from|within|here)\b.*| based on .*| with .*given.*| explicitly.*|$)"
_IT: Final = r"(?:it|this|that|answer)? ?(?:is |was )?"
_REFUSALS: Final = tuple(
    re.compile(form)
    for form in (
        rf"(?:according to the {_SOURCE} )?(?:given |provided )?{_SOURCE} (?:\w+ ){{0,4}}(?:do|does|did) {_LACKING}.*",
        rf"{_IT}(?:explicitly |currently )?not (?:explicitly |directly |specifically )?{_UNSTATED}{_WHERE}",
        rf"{_IT}(?:can|could) not be (?:\w+ )?(?:determined|answered|known|inferred|established|found){_WHERE}",
        r"(?:i (?:do|can|am|could)|im) not (?:really )?(?:know|tell|answer|sure|determine|find|say|able to)\b.*",
        r"(?:there is |there was )?(?:no|not enough|insufficient) (?:\w+ )?"
        r"(?:information|mention|evidence|data|details?|answer)"
        r"(?: (?:about|on|regarding|in|of|to|is|was|from|given|provided|available|for|that)\b.*|$)",
        rf"(?:no|none of|neither of) {_SOURCE} (?:\w+ )?"
        r"(?:tells?|says?|states?|mentions?|provides?|answers?|contains?)\b.*",
        rf"{_IT}not (?:there )?in (?:\w+ )?{_SOURCE}",
        rf"{_IT}(?:unknown|unclear|unanswerable|undetermined|indeterminate|unspecified|undisclosed|unstated){_WHERE}",
        r"n/a|no idea|not sure|not applicable|i have no idea\b.*",
    )
)


def extract_answer(text: str, choices: Sequence[str] = ()) -> str | None:
    """The short answer that `text` gives; NOT_KNOWN where it says that the passages do not tell; None: unreadable.

    `choices` are the options' texts, lettered from A: the answer is then the letter of one of them, of the last that
    the text states. A yes, no, maybe, true or false is given in lower case. Reasoning that nowhere states its answer
    is unreadable.
    """
    body = _tidy(text[-_LONGEST_TEXT:])
    if not any(c.isalnum() for c in body):
        return None
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(choices)]
    letter = _letter(body, letters) if letters else _plain_letter(body)
    if letter:
        return letter
    short = _short_answer(body)
    if not letters:
        return short
    options = [normalise(c) for c in choices]
    named = [n for n, option in enumerate(options) if short is not None and option == normalise(short)]
    if len(named) == 1 and named[0] < len(letters):
        return letters[named[0]]
    return NOT_KNOWN if short == NOT_KNOWN else None


def is_refusal(text: str) -> bool:
    """Whether a sentence says that the answer is not known, or not in the passages."""
    plain = normalise(text)
    # "..., but it was 1932" goes on to answer.
    return not re.search(r"\b(?:but|however|although)\b", plain) and any(form.fullmatch(plain) for form in _REFUSALS)


def without_thoughts(text: str) -> str:
    """What a member wrote, but for what it thought aloud."""
    return _THOUGHT.sub("", text[-_LONGEST_TEXT:]).strip()


def _tidy(text: str) -> str:
    """`text` without thoughts, an invented next question, LaTeX and emphasis; a boxed answer becomes a stated one."""
    text = without_thoughts(text)
    if answers := _ANSWER_TAG.findall(text):
        text = f"Answer: {answers[-1].strip()}"
    if continued := _CONTINUED.search(text):
        text = text[: continued.start()]
    pieces, end = [], 0
    for m in _BOXED.finditer(text):
        before = text[end : m.start()]
        stated = re.search(r"answer\s*(?:is|:|=)\s*:?\s*[*$(]*\s*$", before, re.IGNORECASE)
        pieces += [before, m[1] if stated else f"\nAnswer: {m[1]}\n"]
        end = m.end()
    text = "".join((*pieces, text[end:]))
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    return _EMPHASIS.sub(lambda m: m[2] or m[4], text).replace("**", "").strip()


def _letter(body: str, letters: str) -> str | None:
    """The last of `letters` that the text states, or the one that it begins with or is."""
    one, any_case = f"([{letters}])", f"([{letters}{letters.lower()}])"
    said = rf"{_CUE}(?:\(\s*{any_case}\s*(?:\)|\Z)|[\"'$]?{one}\)?{_BARE_END})"
    called = rf"(?i:\b(?:option|choice)\s+)?(?:\({one}\)|\b{one})\s+is\s+(?:the\s+)?(?:correct|right|best)\b"
    found = list(re.finditer(f"{said}|{called}", body))
    begun = re.match(rf"(?:\({any_case}\)|{any_case}(?:[.):]|\s*\Z))(?=\s|\Z|[.,])", body)
    if not found and len(body.split()) <= _LONGEST_WORDS and begun:
        found = [begun]
    return next(g for g in found[-1].groups() if g).upper() if found else None


def _plain_letter(body: str) -> str | None:
    """A letter that can only be a choice, though no choices are known: "The answer is (C)", "C) Paris", "Answer: C"."""
    found = re.findall(rf"{_CUE}(?:\(([A-Z])\)|([A-Z])\)|([A-Z])(?=\.?\s*(?:\n|\Z)))", body)
    whole = re.match(r"\(([A-Z])\)(?=\s|\Z|[.,])|([A-Z])\)(?=\s|\Z)|([A-Z])\.?\s*\Z", body)
    groups = found[-1] if found else whole.groups() if whole else ()
    return next((g for g in groups if g), None)


def _short_answer(body: str) -> str | None:
    statements = [_clean(m["said"]) for m in _STATED.finditer(body)]
    stated = next((s for s in reversed(statements) if any(c.isalnum() for c in s)), None)
    candidate = stated or _clean(body)
    if is_refusal(candidate):
        return NOT_KNOWN
    if yes_no := _YES_NO.match(candidate if stated else body):
        return yes_no[1].lower()
    return candidate if candidate and len(candidate.split()) <= _LONGEST_WORDS else None


def _clean(said: str) -> str:
    """The first sentence of the first line, without bullets, quotes, citations and trailing punctuation."""
    line = next((ln for ln in said.splitlines() if any(c.isalnum() for c in ln)), "").strip()
    line = re.sub(r"^(?:#+|>|[-*•](?=\s))\s*", "", line)
    line = re.sub(r"\s*(?:\[\d+\]|\((?:passages?|see)[^()]*\))(?=[.\s]*)", "", line, flags=re.IGNORECASE)
    if end := _SENTENCE_END.search(line):
        line = line[: end.start()]
    line = _LEAD.sub("", line.strip(" \t\"'“”‘’«»`.,;:!?")).strip(" \t\"'“”‘’«»`")  # noqa: RUF001
    if re.fullmatch(r"\$[^$]*\$", line):
        line = line[1:-1]
    line = " ".join(line.split())
    return f"{line}." if re.search(r"\b(?:[A-Z]\.)+[A-Z]$", line) else line
