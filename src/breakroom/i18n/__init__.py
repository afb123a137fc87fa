"""Words in the reader's language: gettext catalogues (English in the source, Korean beside it) and number formats.

Presenters call `translator(lang)`; nothing below them knows a language. Imports no other room.
"""

from breakroom.i18n.translator import LANGUAGES, Language, Sentence, Translator, detect_language, translator

__all__ = ["LANGUAGES", "Language", "Sentence", "Translator", "detect_language", "translator"]
