"""Text -> its language, by its script or else by a model; and the words of languages that other modules count.

The model is that of the package py3langid (Lui and Baldwin 2012, "langid.py"), which may be absent.
"""

from __future__ import annotations

import importlib
import re
import unicodedata
from functools import cache
from typing import Any, Final

SPACELESS: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Inside of a character class: scripts without spaces between words (Thai to Chinese)."""

# \w knows no vowel signs: without these, Hindi words would lose theirs and many become the same.
LETTER: Final = rf"(?:[^\W{SPACELESS}]|[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0903\u093a-\u0963\u0981-\u0dff])"
TOKEN: Final = re.compile(
    # A word, or a number with its sign and decimals.
    rf"(?:(?<![\w.])-?\.?(?=\d))?{LETTER}+(?:(?<=\d)[.,:/'](?=\d){LETTER}+)*"
    # Negations of scripts without spaces; other characters of them; symbols that change what a number says.
    rf"|ない|なかっ|なく|なけ|ませ|ไม่|[{SPACELESS}]|!=|(?<=[\w)])[*/](?=[\w(])|[%‰°<>≤≥≠±\u00d7÷+^$€£¥≈¬∈∉→]"
)
NOT_CONTRACTED: Final = re.compile(r"n['\u2019]t\b")

ENOUGH: Final = 0.5
"""The model's least confidence. Of pieces of 5 English words, 7 in 10 have it, and 1 in 700 of those is called another language."""
MOST: Final = 4000
"""Characters that are looked at: more make no difference but in time."""
FEWEST: Final = 12
"""Letters of an alphabet that several languages share; on fewer the model guesses. The scripts below need 2."""
FEWEST_HAN: Final = 5
"""Chinese characters without kana; fewer may well be Japanese."""
DOMINANT: Final = 0.6
"""Share of the letters from which a script is the text's. A Russian manual's product names are Latin."""
SOME_KANA: Final = 0.1
"""Share of the Chinese and Japanese characters that are kana, from which the text is Japanese."""

HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
KANA: Final = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
SCRIPTS: Final = {
    "ko": re.compile("[\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e]"),
    "el": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "hy": re.compile("[\u0530-\u058f]"),
    "ka": re.compile("[\u10a0-\u10ff]"),
    "gu": re.compile("[\u0a80-\u0aff]"),
    "pa": re.compile("[\u0a00-\u0a7f]"),
    "ta": re.compile("[\u0b80-\u0bff]"),
    "te": re.compile("[\u0c00-\u0c7f]"),
    "kn": re.compile("[\u0c80-\u0cff]"),
    "ml": re.compile("[\u0d00-\u0d7f]"),
    "si": re.compile("[\u0d80-\u0dff]"),
    "km": re.compile("[\u1780-\u17ff]"),
    "lo": re.compile("[\u0e80-\u0eff]"),
}
"""Scripts that (nearly) one language alone is written in."""
ADDRESS: Final = re.compile(r"\b(?:https?://|www\.)\S+|\S+@\S+")
DIALECTS: Final = {"arb": "ar", "ary": "ar", "arz": "ar", "wuu": "zh", "yue": "zh"}
"""What the model keeps apart and ISO 639-1 does not."""


def language_of(text: str) -> str | None:
    """The ISO 639-1 code of the language that most of the text is in; None when that can't be told.

    Without py3langid, only languages with a script of their own are told.
    """
    text = ADDRESS.sub(" ", text[:MOST])
    letters = sum(char.isalpha() for char in text)
    if letters < 2:
        return None
    han, kana = len(HAN.findall(text)), len(KANA.findall(text))
    if han + kana >= DOMINANT * letters:
        if kana >= SOME_KANA * (han + kana):
            return "ja"
        return "zh" if han >= FEWEST_HAN else None
    for code, script in SCRIPTS.items():
        # Vowel signs are no letters to Python, so some scripts count for more than all.
        if len(script.findall(text)) >= DOMINANT * letters:
            return code
    return _guess(text) if letters >= FEWEST else None


def tokens(text: str) -> list[str]:
    """The words of a text, and the symbols that numbers depend on; a text without any has its characters instead."""
    text = unicodedata.normalize("NFC", text.casefold())
    text = NOT_CONTRACTED.sub(" not", text.replace("\u2212", "-").replace("\u2013", "-"))
    return TOKEN.findall(text) or [char for char in text if not char.isspace()]


def _guess(text: str) -> str | None:
    identifier = _identifier()
    if identifier is None:
        return None
    shares: dict[str, float] = {}
    for code, share in identifier.rank(text):
        code = DIALECTS.get(code, code)
        shares[code] = shares.get(code, 0.0) + share
    best = max(shares, key=shares.__getitem__)
    # Codes of three letters: languages that ISO 639-1 lacks, and what is no language.
    return best if len(best) == 2 and shares[best] >= ENOUGH else None


@cache
def _identifier() -> Any:
    """The model; None without the package. It takes 1.6 s and 100 MiB to load, so only the first text that needs it does."""
    try:
        module = importlib.import_module("py3langid.langid")
    except ImportError:
        return None
    return module.LanguageIdentifier.from_model_file(module.MODEL_FILE, norm_probs=True)


def _words(*lists: str) -> frozenset[str]:
    return frozenset(word for words in lists for word in words.split())


STOP_WORDS: Final = {
    "en": _words(
        "the be to of and that have with a in is are was were for on it as by at from this an or which not but they has had its can"
    ),
    "de": _words("der die das und ist in den von zu mit sich des auf für nicht ein eine als auch es an werden aus er hat dass sie nach"),
    "fr": _words("le la les de des et est en un une du que qui dans pour sur par au avec ne pas il elle se ce sont plus aux ont"),
    "es": _words("el la los las de y es en un una que por con para del se no su al lo como más son fue ha sus pero entre"),
    "it": _words("il lo la gli le di e è in un una che per con del della non si da dei sono nel al come più anche ha alla"),
    "pt": _words("o a os as de e é em um uma que por com para do da dos das não se no na ao como mais foi são pelo sua"),
    "nl": _words("de het een en van is in op te dat die voor met zijn niet aan er om ook als bij door naar uit worden deze wordt"),
    "ru": _words("и в не на что с он по это из к как за от у о для его но она они был была было так же все или бы"),  # noqa: RUF001
    "hi": _words("है के का की में और से को पर हैं यह ने कि एक लिए था थी थे इस वह नहीं भी तो कर हो"),
    "ar": _words("في من على إلى أن هذا هذه التي الذي عن مع كان كانت ما لا هو هي بعد قد كل أو ذلك بين"),
}
"""Words that nearly every sentence has some of. No lists for scripts without spaces."""
NEGATIONS: Final = _words(
    "not no never none nor neither nothing nobody without cannot except unless hardly",
    "nicht kein keine keinen keinem keiner keines nie niemals ohne ne n pas jamais sans aucun aucune non nunca sin ni jamás",
    "ningún ninguna mai senza né nessun nessuna não sem nem nenhum niet geen nooit zonder не нет ни никогда без нельзя",
    "لا لم لن ليس ليست غير بدون دون नहीं मत न बिना ना 不 没 沒 無 无 未 非 否 别 勿 ない なかっ なく なけ ませ ไม่",
)
NUMERALS: Final = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen",
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion trillion first second",
    "third fourth fifth half quarter once twice thrice double triple dozen both",
    "null ein eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig hundert tausend halb doppelt zweite dritte",
    "deux trois quatre cinq sept huit neuf dix onze douze vingt cent mille demi dos tres cuatro cinco seis siete ocho nueve diez",
    "once doce veinte cien mil due tre quattro cinque sei sette otto nove dieci venti cento dois duas três quatro sete oito dez",
    "vinte cem een twee drie vijf zes zeven negen tien twaalf один два три четыре пять шесть семь восемь девять десять сто тысяча",
    "एक दो तीन चार पाँच पांच छह सात आठ नौ दस सौ हज़ार واحد اثنان اثنين ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة مئة ألف",
)
"""The commonest; Chinese and Japanese ones are numeric characters."""
OPPOSITES: Final = _words(
    "yes more less most least increase increases increased decrease decreases decreased higher lower before after above below",
    "positive negative true false always only all some may must",
)
"""One of these changed turns an English statement round as a negation does."""
