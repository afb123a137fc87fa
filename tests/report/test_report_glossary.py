"""The report's words stand in both glossaries, in the same form."""

from __future__ import annotations

from pathlib import Path

import pytest

from breakroom.i18n import Language, translator
from breakroom.report.glossary import glossary

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(("lang", "name"), [("en", "glossary.md"), ("ko", "glossary.ko.md")])
def test_every_word_of_the_report_is_in_the_glossary(lang: Language, name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert [term.word for term in glossary(translator(lang)) if f"**{term.word}**" not in text] == []


def test_both_glossaries_explain_the_same_number_of_words() -> None:
    rows = [
        (DOCS / name).read_text(encoding="utf-8").count("\n| **")
        for name in ("glossary.md", "glossary.ko.md")
    ]
    assert rows[0] == rows[1] > 30
