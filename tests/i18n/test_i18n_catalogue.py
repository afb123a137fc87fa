"""The Korean catalogue: complete, current, and with the same placeholders as the English texts."""

from __future__ import annotations

import ast
from string import Formatter

import pytest

from breakroom.i18n import build

catalogue = build.read("ko")


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _needed(text: str) -> set[str]:
    """Placeholders that a translation must have: all but those that only choose an English plural."""
    return {
        name
        for _, name, spec, _ in Formatter().parse(text)
        if name and not (spec or "").startswith("plural:")
    }


def test_no_text_of_the_source_lacks_a_korean_translation() -> None:
    known = {message.id for message in catalogue if message.id}
    missing = [key for key, _ in build.extract() if key not in known]
    assert missing == [], "run `python -m breakroom.i18n.build` and translate what it lists"


def test_no_text_hides_from_extraction_inside_an_f_string() -> None:
    hidden = [
        f"{path.relative_to(build.PACKAGE)}:{node.lineno}"
        for path in sorted(build.PACKAGE.rglob("*.py"))
        for text in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(text, ast.JoinedStr)
        for node in ast.walk(text)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in build.KEYWORDS
    ]
    assert hidden == [], "put the translated text into a variable first"


def test_no_translation_is_empty_or_fuzzy() -> None:
    assert build.untranslated(catalogue) == []


def test_no_translation_stands_for_a_text_that_is_gone() -> None:
    keys = {key for key, _ in build.extract()}
    assert [message.id for message in catalogue if message.id and message.id not in keys] == []


@pytest.mark.parametrize(
    "message", [m for m in catalogue if isinstance(m.id, str) and "{" in m.id], ids=lambda m: m.id[:40]
)
def test_placeholders_are_those_of_the_english_text(message: object) -> None:
    english, korean = str(getattr(message, "id", "")), str(getattr(message, "string", ""))
    assert _names(korean) <= _names(english)
    assert _needed(english) <= _names(korean)


def test_the_compiled_catalogue_is_current() -> None:
    path = build.catalogue_path("ko").with_suffix(".mo")
    assert path.read_bytes() == build.compiled(catalogue), "run `python -m breakroom.i18n.build`"


def test_translations_are_in_korean() -> None:
    """Sentences, that is, texts that end with a full stop, hold Hangul and end politely."""
    sentences = [
        str(message.string)
        for message in catalogue
        if str(message.id).endswith(".") and " " in str(message.id)
    ]
    assert len(sentences) > 60
    assert [text for text in sentences if not any("가" <= letter <= "힣" for letter in text)] == []
    plain = [
        text for text in sentences if text.rstrip().endswith("다.") and not text.rstrip().endswith(("니다.",))
    ]
    assert plain == []
