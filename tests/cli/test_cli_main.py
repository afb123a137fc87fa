"""The process's end, whatever ends it: an exit code that says what it means, and output that cannot break."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from breakroom.cli import main as command_line


@pytest.mark.parametrize("ending", [click.Abort(), RuntimeError("a mistake of ours")])
def test_what_says_nothing_about_the_service_is_unknown(
    monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    def app(**_: object) -> None:
        raise ending

    monkeypatch.setattr(command_line, "app", app)
    monkeypatch.setattr(command_line, "make_output_lasting", lambda: None)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 3


def test_other_exit_codes_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def app(**_: object) -> None:
        raise SystemExit(2)

    monkeypatch.setattr(command_line, "app", app)
    monkeypatch.setattr(command_line, "make_output_lasting", lambda: None)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2


def test_a_reader_that_has_gone_does_not_change_the_exit_code() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "breakroom", "schema", "drill"],
            stdout=theirs,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(theirs)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_characters_that_the_encoding_does_not_know_do_not_end_the_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "breakroom", "drills", "--lang", "ko"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"kill" in ended.stdout
