"""Runs that are cut off: the machine is clean at once, and what was measured can be reported."""

from __future__ import annotations

import signal

import psutil
import pytest

from end_to_end.tool import MINI_DRILL, Tool, wait_until

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


def test_nothing_is_written_outside_the_results(tool: Tool) -> None:
    tool.write("mini.yaml", MINI_DRILL)
    temporary = tool.directory / "tmp"
    temporary.mkdir()
    process = tool.start("run", "mini.yaml", "--contender", "single-restart", env={"TMPDIR": str(temporary)})
    process.communicate(timeout=60)
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tool.directory.iterdir()) == ["breakroom-results", "mini.yaml", "tmp"]
