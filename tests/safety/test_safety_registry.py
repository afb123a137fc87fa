"""The registry: who is alive is told by the process and not by its number; a directory that cannot be written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from breakroom.journal.registry import (
    birth_of,
    forget,
    journal_is_open,
    note,
    register,
    registered,
    registry_directory,
)

RUN = "20260101-120000-kill-ab12"

REGISTER = """
import sys
from pathlib import Path
from breakroom.journal.registry import register
registration = register(sys.argv[1], Path(sys.argv[2]), "local")
assert not registration.problem, registration.problem
print("registered", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def _another_process(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", REGISTER, RUN, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "registered\n"
    return process


def test_a_registered_run_is_found_with_what_was_noted_and_goes_at_its_end(tmp_path: Path) -> None:
    registration = register(RUN, tmp_path, "swarm")
    assert registration.problem == ""
    registration.note(docker_host="unix:///x.sock")
    note(RUN, swarm_initialised=True)
    (run,) = registered()
    assert (run.run_id, run.pid, run.directory, run.platform) == (RUN, os.getpid(), tmp_path, "swarm")
    assert (run.docker_host, run.swarm_initialised, run.alive) == ("unix:///x.sock", True, True)
    registration.finish()
    assert registered() == []
    assert list(registry_directory().iterdir()) == []


def test_a_run_that_left_something_stays_registered(tmp_path: Path) -> None:
    register(RUN, tmp_path, "docker").finish(clean=False)
    assert [run.run_id for run in registered()] == [RUN]
    forget(RUN)
    forget(RUN)
    assert registered() == []


def test_a_killed_run_is_not_alive_even_before_its_parent_has_waited_for_it(tmp_path: Path) -> None:
    process = _another_process(tmp_path)
    (run,) = registered()
    assert [run.alive for run in registered()] == [True]
    assert run.pid == process.pid
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not run.alive, "a zombie"
    process.communicate()
    assert [run.alive for run in registered()] == [False]


def test_another_process_with_the_same_id_is_not_the_run(tmp_path: Path) -> None:
    register(RUN, tmp_path, "local")
    (path,) = registry_directory().glob("*.json")
    entry = json.loads(path.read_text())
    entry["born"] = birth_of(1)  # what a process of that id would say that began at another time
    path.write_text(json.dumps(entry))
    (run,) = registered()
    assert run.pid == os.getpid()
    assert not run.alive


def test_an_unwritable_directory_is_told_and_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    registration = register(RUN, tmp_path, "local")
    assert "file" in registration.problem
    registration.note(docker_host="x")
    registration.finish()
    assert registered() == []


def test_a_file_that_is_no_entry_is_passed_over(tmp_path: Path) -> None:
    register(RUN, tmp_path, "local")
    (registry_directory() / "torn.json").write_text('{"run_id": "x"')
    (registry_directory() / "other.json").write_text('{"something": "else"}')
    assert [run.run_id for run in registered()] == [RUN]


def test_an_open_journal_tells_that_a_run_without_an_entry_is_alive(tmp_path: Path) -> None:
    directory = tmp_path / RUN
    directory.mkdir()
    assert not journal_is_open(RUN)
    with (directory / "journal.jsonl").open("ab"):
        assert journal_is_open(RUN)
    assert not journal_is_open(RUN)
