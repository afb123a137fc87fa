"""Runs that are cut off: the machine is clean at once, and what was measured can be reported."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys

import psutil
import pytest

from end_to_end.tool import MINI_DRILL, Tool, descendants, wait_until

STEADY = '"phase":"recovering"'
RECOVERED = '"phase":"undoing"'


def _alive(processes: list[psutil.Process]) -> list[str]:
    alive = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return alive


def test_after_sigkill_no_process_of_the_run_exists_within_a_second(tool: Tool) -> None:
    tool.write("mini.yaml", MINI_DRILL)
    ended, started = tool.interrupt_at(
        RECOVERED, signal.SIGKILL, "run", "mini.yaml", "--contender", "orchestrated"
    )
    assert ended.code == -signal.SIGKILL
    # engine, ingress, probe, load and three replicas, one of which may just have been killed
    assert len(started) >= 6
    assert wait_until(lambda: not _alive(started), seconds=1.0), _alive(started)
    report = tool.run("report", "latest", "--json")
    assert report.code == 0
    results = report.json()
    assert results["outcome"] == "cut-off"
    (trial,) = results["trials"]
    assert trial["outcome"] == "cut-off"
    assert trial["fault_proved"] is True
    assert trial["availability"]["intended"] > 0
    assert results["verdict"] == "unknown"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up_and_keeps_its_results(tool: Tool, number: signal.Signals) -> None:
    tool.write("mini.yaml", MINI_DRILL)
    ended, started = tool.interrupt_at(STEADY, number, "run", "mini.yaml", "--contender", "orchestrated")
    assert ended.code == 3, ended.err
    assert not _alive(started)
    directory = tool.run_directory()
    assert (directory / "report.html").exists()
    assert tool.journal_has('"type":"CleanlinessChecked"')
    assert tool.journal_has('"outcome":"aborted"')


def test_an_interruption_while_deploying_leaves_nothing(tool: Tool) -> None:
    tool.write("mini.yaml", MINI_DRILL)
    ended, started = tool.interrupt_at('"phase":"deploying"', signal.SIGINT, "run", "mini.yaml")
    assert ended.code == 3
    assert not _alive(started)


def test_an_interruption_while_cleaning_up_stops_every_stream(tool: Tool) -> None:
    tool.write("mini.yaml", MINI_DRILL)
    ended, started = tool.interrupt_at(
        RECOVERED, signal.SIGINT, "run", "mini.yaml", "--contender", "orchestrated"
    )
    assert ended.code == 3
    assert "Event loop is closed" not in ended.err
    assert not _alive(started)
    # Both the probe and the load were closed in order, the second one too.
    assert _count(tool, '"type":"StreamClosed"') == 2


def _count(tool: Tool, text: str) -> int:
    return (tool.run_directory() / "journal.jsonl").read_text().count(text)


@pytest.mark.parametrize("room", ["engine", "ingress", "load"])
def test_a_death_among_breakrooms_own_processes_is_never_held_against_the_service(
    tool: Tool, room: str
) -> None:
    tool.write("mini.yaml", MINI_DRILL)
    process = tool.start("run", "mini.yaml", "--contender", "orchestrated", "--json")
    try:
        assert wait_until(lambda: tool.journal_has(STEADY), seconds=60)
        started = descendants(process.pid)
        victim = next(p for p in started if f"breakroom.{room}" in p.cmdline())
        victim.kill()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 3, err
    assert not _alive(started)
    assert '"verdict": "unknown"' in out
    assert tool.journal_has('"outcome":"failed"')


def test_a_closed_terminal_ends_the_run_cleanly(tool: Tool) -> None:
    tool.write("mini.yaml", MINI_DRILL)
    ours, theirs = pty.openpty()
    command = "import fcntl, sys, termios; from breakroom.cli.main import main; "
    command += "fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    command += "sys.argv = ['breakroom', 'run', 'mini.yaml', '--contender', 'orchestrated']; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command],
        cwd=tool.directory,
        env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        assert wait_until(lambda: _drained(ours) and tool.journal_has(STEADY), seconds=60)
        started = descendants(process.pid)
        os.close(ours)
        code = process.wait(60)
    finally:
        process.kill()
    assert code == 3
    assert not _alive(started)
    assert tool.journal_has('"type":"CleanlinessChecked"')
    assert tool.journal_has('"outcome":"aborted"')
    assert (tool.run_directory() / "report.html").exists()


def _drained(terminal: int) -> bool:
    """Read what the terminal shows, so that nobody waits to write to it."""
    try:
        while os.read(terminal, 1 << 16):
            pass
    except BlockingIOError:
        pass
    return True


def test_a_run_goes_on_when_nobody_reads_its_output_any_more(tool: Tool) -> None:
    tool.write("mini.yaml", MINI_DRILL)
    process = tool.start("run", "mini.yaml", "--contender", "orchestrated")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stderr.readline()
    process.stderr.close()
    process.stdout.close()
    code = process.wait(60)
    assert (tool.run_directory() / "report.html").exists()
    results = json.loads((tool.run_directory() / "results.json").read_text())
    assert results["outcome"] == "completed"
    # A machine too busy to measure makes it unknown, which is no matter here.
    assert code == {"met": 0, "unknown": 3}[results["verdict"]]


def test_nothing_is_written_outside_the_results(tool: Tool) -> None:
    tool.write("mini.yaml", MINI_DRILL)
    temporary = tool.directory / "tmp"
    temporary.mkdir()
    process = tool.start("run", "mini.yaml", "--contender", "single-restart", env={"TMPDIR": str(temporary)})
    process.communicate(timeout=60)
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tool.directory.iterdir()) == ["breakroom-results", "mini.yaml", "tmp"]
