"""Two crashes of one container in one drill: Docker's growing backoff in real time, and no cause that was not one."""

from __future__ import annotations

from pathlib import Path

import pytest

from breakroom.analysis.results import RunResults
from breakroom.analysis.run import analyse
from breakroom.journal.store import read_journal
from end_to_end.tool import Tool
from truth.conftest import drill
from truth.evidence import Books, Trial, read_books, read_trials

MS = 1_000_000


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResults, Trial, dict[int, Books]]:
    """The run: the second crash comes 1.2 s after the first."""
    tool = Tool(tmp_path_factory.mktemp("faults"))
    books = tool.directory / "books"
    books.mkdir()
    steps = "timeline:\n  - {at: 0s, kill: {tasks: 1}}\n  - {at: 1200ms, kill: {tasks: 1}}\n"
    text = drill(books).replace("orchestrated.operator_acts", "single-restart.operator_acts") + steps
    tool.write("twice.yaml", text)
    ended = tool.run_undisturbed("run", "twice.yaml", "--contender", "single-restart")
    assert ended.code == 0, ended.err
    directory: Path = tool.run_directory()
    (trial,) = read_trials(directory).values()
    return analyse(read_journal(directory)), trial, read_books(books)


def test_the_second_wait_is_twice_the_first(ran: tuple[RunResults, Trial, dict[int, Books]]) -> None:
    _, trial, _ = ran
    waits = []
    died = None
    for change in trial.of("TaskChanged"):
        if change["state"] == "failed":
            died = change["t"]
        elif change["state"] == "running" and died is not None:
            waits.append(change["t"] - died)
            died = None
    # No upper bound: a busy machine may start a process late, but never early.
    assert len(waits) == 2
    assert waits[0] >= 100 * MS
    assert waits[1] >= 200 * MS


def test_the_killed_processes_are_those_of_both_steps(
    ran: tuple[RunResults, Trial, dict[int, Books]],
) -> None:
    results, trial, books = ran
    proved = trial.of("ActionChanged", by="timeline", stage="proved")
    killed = [pid for change in proved for pid in change["detail"]["pids"]]
    assert len(set(killed)) == 2
    assert set(killed) < set(books)
    assert results.trials[0].fault_proved is True


def test_the_time_between_two_faults_is_not_called_the_apps_start(
    ran: tuple[RunResults, Trial, dict[int, Books]],
) -> None:
    results, _, _ = ran
    (found,) = results.trials
    codes = [why.code for why in found.explanation]
    assert "lost.app-start" not in codes
    assert codes[0] == "lost.unexplained"


def test_both_faults_open_connections_are_counted(ran: tuple[RunResults, Trial, dict[int, Books]]) -> None:
    results, trial, _ = ran
    killed = [
        task
        for change in trial.of("ActionChanged", by="timeline", stage="proved")
        for task in change["tasks"]
    ]
    left = [r for r in trial.of("RotationChanged") if r["task"] in killed and not r.get("in_rotation")]
    assert len(left) == 2
    assert results.trials[0].cut.open_on_target == sum(r.get("open_connections", 0) for r in left)
