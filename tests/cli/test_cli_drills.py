"""The list of drills: its columns, in both languages."""

from __future__ import annotations

import json
import subprocess
import sys
from unicodedata import east_asian_width

import pytest

from breakroom.cli.drills import wrapped
from breakroom.spec.loader import builtin_drills


def _listed(*words: str) -> str:
    command = [sys.executable, "-m", "breakroom", "drills", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_drill_is_listed_within_the_terminals_width(lang: str) -> None:
    lines = _listed("--lang", lang).splitlines()
    for drill in builtin_drills():
        assert any(line.startswith(f"{drill.name} ") and "quick" in line for line in lines)
    cells = [sum(2 if east_asian_width(char) in "WF" else 1 for char in line) for line in lines]
    assert max(cells) <= 80


def test_the_json_is_what_the_files_say() -> None:
    listed = json.loads(_listed("--json"))
    assert [(each["name"], each["title"], tuple(each["paces"])) for each in listed] == [
        (drill.name, drill.title, drill.paces) for drill in builtin_drills()
    ]


def test_text_is_broken_at_blanks_and_a_long_word_stands_alone() -> None:
    assert list(wrapped("ab cd\nefghijk l", 5)) == ["ab cd", "efghijk", "l"]
    assert list(wrapped("가나 다라", 5)) == ["가나", "다라"]
