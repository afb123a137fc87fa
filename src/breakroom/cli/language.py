"""Which language a command speaks: `--lang`, else the locale's."""

from __future__ import annotations

import os

from breakroom.cli.exits import fail
from breakroom.i18n import LANGUAGES, Language, Translator, detect_language, translator

__all__ = ["choose_language", "choose_translator"]


def choose_language(lang: str) -> Language:
    """The language `lang` names, or the environment's where it is empty; ends the command for an unknown one."""
    if not lang:
        return detect_language(os.environ)
    for known in LANGUAGES:
        if lang == known:
            return known
    fail(f"--lang {lang}: breakroom speaks {' and '.join(LANGUAGES)}; write --lang ko or --lang en")


def choose_translator(lang: str) -> Translator:
    """The translator of `choose_language(lang)`."""
    return translator(choose_language(lang))
