"""A process made in advance: what it becomes, what it does when it cannot, and that it never outstays its maker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from breakroom.engine.shell.parked import Parked

SHOW = (
    "import os, sys; print(os.getpid(), os.getsid(0), os.getcwd(), dict(os.environ), os.listdir('/dev/fd'))"
)
PROGRAM = [sys.executable, "-I", "-S", "-c", SHOW]


def test_it_becomes_the_program_with_its_own_session_environment_directory_and_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    parked = Parked.make(None)
    parked.become(PROGRAM, env={"ONLY": "this", "PATH": "/bin"}, cwd=str(tmp_path), log=log)
    assert os.waitpid(parked.pid, 0)[1] == 0
    first, second = log.read_text().splitlines()
    assert first == "before"
    assert second.startswith(f"{parked.pid} {parked.pid} {tmp_path.resolve()} ")
    assert "'ONLY': 'this'" in second
    assert "HOME" not in second
    # Standard input, output, error, and the one that lists them: nothing of its maker's.
    assert second.endswith("['0', '1', '2', '3']")


def test_what_is_no_text_in_an_environment_reaches_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = os.fsdecode(b"\xff\xfe")
    monkeypatch.setenv("ODD", odd)
    parked = Parked.make(None)
    program = [sys.executable, "-I", "-S", "-c", "import os; print(os.environb[b'ODD'])"]
    parked.become(program, env=dict(os.environ), cwd="", log=tmp_path / "log")
    assert os.waitpid(parked.pid, 0)[1] == 0
    assert (tmp_path / "log").read_text() == "b'\\xff\\xfe'\n"


def test_a_program_that_is_not_there_is_an_error_and_the_process_ends(tmp_path: Path) -> None:
    parked = Parked.make(None)
    with pytest.raises(FileNotFoundError, match="No such file"):
        parked.become(["/no/such/program"], env={}, cwd="", log=tmp_path / "log")
    assert os.waitstatus_to_exitcode(os.waitpid(parked.pid, 0)[1]) == 127


def test_it_ends_when_it_is_dismissed() -> None:
    parked = Parked.make(None)
    parked.dismiss()
    assert os.waitstatus_to_exitcode(os.waitpid(parked.pid, 0)[1]) == 127


def test_a_killed_one_cannot_become_anything_and_that_is_an_error(tmp_path: Path) -> None:
    parked = Parked.make(None)
    os.kill(parked.pid, signal.SIGKILL)
    os.waitpid(parked.pid, 0)
    with pytest.raises(OSError, match=r"[Bb]roken pipe|ended"):
        parked.become(PROGRAM, env={}, cwd="", log=tmp_path / "log")


def test_it_ends_with_its_maker() -> None:
    code = (
        "import os, signal; from breakroom.engine.shell.parked import Parked;"
        "print(Parked.make(None).pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    source = str(Path(__file__).parents[2] / "src")
    # The parked process inherits the standard output, so `run` does not return before it has ended, too.
    maker = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.PIPE,
        check=False,
        timeout=20,
    )
    assert maker.returncode == -signal.SIGKILL
    assert maker.stdout.strip().isdigit()
