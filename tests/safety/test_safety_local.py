"""What is left on the machine itself: only what bears our mark and whose maker is dead goes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from breakroom.engine.shell.cgroups import find_controller
from breakroom.journal.records import UndoDone, UndoPlanned, encode
from breakroom.journal.store import read_journal
from safety.world import Machine

RUN = "20260101-120000-kill-ab12"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def dead() -> int:
    """The id of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def sleeper(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"], env={**os.environ, **environment})


@pytest.fixture
def sleepers(
    dead: int,
) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Processes whose maker is dead, lives, and is nobody of ours."""
    three = (
        sleeper(BREAKROOM_MARKER=f"{dead}-aa"),
        sleeper(BREAKROOM_MARKER=f"{os.getpid()}-bb"),
        sleeper(BREAKROOM_MARKER_X=f"{dead}-cc"),
    )
    yield three
    for process in three:
        process.kill()
        process.wait()


def test_processes_of_a_dead_maker_are_ended_and_no_others(
    machine: Machine, sleepers: tuple[subprocess.Popen[bytes], ...]
) -> None:
    orphan, child, stranger = sleepers
    dry = machine.cleanup("--dry-run")
    assert f"{orphan.pid} (sleep 1000)" in {name for thing, name in dry.deeds("would") if thing == "process"}
    assert orphan.poll() is None
    ended = machine.cleanup()
    assert ended.code == 0, ended.out
    told = {name.partition(" ")[0] for thing, name in ended.deeds("ended") if thing == "process"}
    assert str(orphan.pid) in told
    assert not told & {str(child.pid), str(stranger.pid)}
    assert orphan.wait(10) == -9
    assert child.poll() is None
    assert stranger.poll() is None


def test_a_dead_makers_control_group_goes_with_what_is_in_it(machine: Machine, dead: int) -> None:
    controller = find_controller()
    if controller is None:
        pytest.skip("no control group can be made here")
    theirs = controller.directory / f"breakroom-{os.getpid()}-x"
    ours = controller.directory / f"breakroom-{dead}-x"
    process = sleeper()
    try:
        for group in (ours, theirs):
            group.mkdir()
        (ours / "cgroup.procs").write_text(str(process.pid))
        ended = machine.cleanup()
        assert ended.code == 0, ended.out
        assert ("cgroup", str(ours)) in ended.deeds("removed")
        assert not ours.exists()
        assert theirs.exists()
        assert process.wait(10) == -9
    finally:
        process.kill()
        process.wait()
        for group in (ours, theirs):
            if group.exists():
                group.rmdir()


def test_a_dead_loads_directory_goes_and_a_living_ones_stays(machine: Machine, dead: int) -> None:
    machine.extra["TMPDIR"] = str(machine.directory)
    left = Path(tempfile.mkdtemp(prefix=f"breakroom-load-{dead}-", dir=machine.directory))
    (left / "samples").mkdir()
    used = Path(tempfile.mkdtemp(prefix=f"breakroom-load-{os.getpid()}-", dir=machine.directory))
    named = Path(tempfile.mkdtemp(prefix="breakroom-load-mine", dir=machine.directory))
    ended = machine.cleanup()
    assert ended.code == 0, ended.out
    assert ("directory", str(left)) in ended.deeds("removed")
    assert not left.exists()
    assert used.exists()
    assert named.exists()


def test_a_pending_undo_is_closed_in_the_journal_of_the_run(machine: Machine) -> None:
    directory = machine.cut_off_run(RUN, platform="local")
    planned = UndoPlanned(t=10, trial="d/c/1", undo="step-1", kind="unpause", args={"task": "x"})
    closed = UndoPlanned(t=11, trial="d/c/1", undo="step-2", kind="none")
    done = UndoDone(t=12, trial="d/c/1", undo="step-2", ok=True)
    lines = b"".join(encode(record) for record in (planned, closed, done))
    (directory / "journal.jsonl").write_bytes(lines + b'{"type":"PhaseSt')  # torn by the kill
    assert machine.cleanup("--dry-run").deeds("would") == {("undo", "d/c/1 step-1: unpause (x)")}
    ended = machine.cleanup()
    assert ended.code == 0, ended.out
    journal = read_journal(directory)
    last = journal.records[-1]
    assert isinstance(last, UndoDone)
    assert (last.undo, last.ok, journal.torn_lines) == ("step-1", True, 1)
    assert last.t > 12
    assert machine.registered == set()


def test_a_killed_command_is_cleaned_up_as_a_user_sees_it(machine: Machine, dead: int) -> None:
    process = sleeper(BREAKROOM_MARKER=f"{dead}-dd")
    try:
        ended = machine.breakroom("cleanup")
        assert ended.code == 0, ended.err
        assert f"process {process.pid} (sleep 1000)" in ended.out
    finally:
        process.kill()
        process.wait()
