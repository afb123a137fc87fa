"""The command line's reference, and what costs nobody a drill to check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from breakroom.cli.reference import render_reference

ROOT = Path(__file__).resolve().parents[2]


def _breakroom(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "breakroom", *arguments], capture_output=True, text=True, check=False
    )


def test_the_reference_in_the_documentation_is_current() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    assert page == render_reference(), "run: python -m breakroom.cli.reference > docs/cli.md"


def test_every_option_says_what_it_does() -> None:
    rows = [line for line in render_reference().splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if not row.split(" | ")[1].strip()] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--platform", "moon"), "--platform moon"),
        (("run", "--lang", "fr"), "--lang fr"),
        (("run", "no-such-drill"), "no-such-drill"),
        (("run", "--repeat", "0"), "--repeat"),
        (("run", "kill", "kill"), "more than once"),
        (("run", "--contender", "nobody"), "single-restart"),
        (("run", "--pace", "warp"), "warp"),
        (("schema", "cake"), "schema drill"),
        (("report", "--out", "/nonexistent"), "no run in /nonexistent"),
        (("load", "ftp://127.0.0.1/"), "ftp"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_wrong_use_is_named_and_ends_with_2(arguments: tuple[str, ...], words: str) -> None:
    ended = _breakroom(*arguments)
    assert ended.returncode == 2, ended.stderr
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_and_the_list_of_drills_load_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from breakroom.cli.main import app\n"
        "from breakroom.cli.drills import drills_command\n"
        "drills_command(lang='ko', json=False)\n"
        "heavy = {'numpy', 'plotly', 'jinja2', 'ruamel', 'psutil', 'msgspec', 'asyncio'}\n"
        "heavy |= {'importlib.resources', 'pathlib', 'rich', 'shutil', 'tempfile'}\n"
        "heavy &= set(sys.modules) - before\n"
        "sys.exit(' '.join(sorted(heavy)) or None)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
