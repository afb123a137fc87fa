"""Korean particles (조사) that depend on how the word before them ends.

A Korean sentence with a placeholder cannot know whether `이` or `가` follows, because the value decides. Catalogues
write both, as `{contender}(은/는)`; `attach` chooses after the values have been filled in. Called by
`i18n.translator` only. Pure.
"""

from __future__ import annotations

import re

__all__ = ["attach"]

_PARTICLES = re.compile(r"\((은/는|이/가|을/를|과/와|으로/로|이었/였|이라/라|이며/며|이고/고)\)")
_FIRST_HANGUL, _LAST_HANGUL = 0xAC00, 0xD7A3
_RIEUL = 8
"""Number of the final consonant ㄹ in Unicode's Hangul syllables; `로` follows it although it is a consonant."""

_DIGIT_FINALS = {"0": 21, "1": _RIEUL, "3": 16, "6": 1, "7": _RIEUL, "8": _RIEUL}
"""Final consonants of the digits as read: 영 일 삼 육 칠 팔; 이, 사, 오, 구 end in a vowel."""

_LATIN_ENDINGS = (
    ("le", _RIEUL),
    ("l", _RIEUL),
    ("ng", 21),
    ("m", 16),
    ("n", 4),
    ("ck", 1),
    ("ap", 17),
    ("op", 17),
    ("ic", 1),
    ("et", 19),
)
"""How an English word's written ending sounds when Koreans read it; all others end in a vowel (스, 트, 드 …)."""

_LATIN_LETTERS = {"L": _RIEUL, "M": 16, "N": 4, "R": _RIEUL}
"""Letters whose own names end in a consonant (엘, 엠, 엔, 알): the last letter of an abbreviation in capitals."""


def attach(sentence: str) -> str:
    """Replace every `(은/는)`-like pair by the particle that fits the text before it."""
    return _PARTICLES.sub(lambda match: _choose(match[1], sentence[: match.start()]), sentence)


def _choose(pair: str, before: str) -> str:
    consonant, vowel = pair.split("/")
    final = _final_of(before)
    if pair == "으로/로" and final == _RIEUL:
        return vowel
    return consonant if final else vowel


def _final_of(text: str) -> int:
    """The final consonant's number of the last sounded character; 0 where it ends in a vowel or is not known."""
    # A particle fits the word before a remark in brackets: 11.6초(96.7%)가.
    word = re.sub(r"[^0-9A-Za-z가-힣%]+$", "", re.sub(r"\([^()]*\)$", "", text))
    if not word:
        return 0
    last = word[-1]
    if _FIRST_HANGUL <= ord(last) <= _LAST_HANGUL:
        return (ord(last) - _FIRST_HANGUL) % 28
    if last in "0123456789":
        return _DIGIT_FINALS.get(last, 0)
    latin = re.search(r"[A-Za-z]*$", word)
    letters = latin[0] if latin else ""
    if re.search(r"\d(ms|s)$", word):
        return 0  # 밀리초, 초
    if letters.isupper():
        return _LATIN_LETTERS.get(last, 0)
    return next((final for ending, final in _LATIN_ENDINGS if letters.lower().endswith(ending)), 0)
