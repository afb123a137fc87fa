"""`breakroom run --platform docker` as a user types it, on a host of its own, held against what Docker says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from breakroom.journal.records import (
    ActionChanged,
    CleanlinessChecked,
    Problem,
    Record,
    RotationChanged,
    RunStarted,
    TaskChanged,
    TrialEnded,
    decode,
)
from docker_lab.lab import Host
from end_to_end.tool import MINI_DRILL, TOO_BUSY

SECOND = 1_000_000_000


def _start(host: Host, directory: Path, *arguments: str) -> subprocess.Popen[str]:
    (directory / "mini.yaml").write_text(MINI_DRILL)
    words = [sys.executable, "-m", "breakroom", "run", "mini.yaml", "--platform", "docker", *arguments]
    return subprocess.Popen(
        host.command(*words),
        cwd=directory,
        env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run_directory(directory: Path) -> Path:
    (found,) = [path for path in (directory / "breakroom-results").iterdir() if not path.is_symlink()]
    return found


def _records(directory: Path) -> list[Record]:
    return [decode(line) for line in (_run_directory(directory) / "journal.jsonl").read_bytes().splitlines()]


class Finished:
    """A run that ended, and Docker's own events of its time."""

    def __init__(self, host: Host, directory: Path) -> None:
        began = time.time()
        process = _start(host, directory)
        self.out, self.err = process.communicate(timeout=150)
        self.code = process.returncode
        until = f"{time.time():.9f}"
        events = host.docker("events", "--since", f"{began:.9f}", "--until", until, "--format", "{{json .}}")
        self.events = [json.loads(line) for line in events.splitlines()]
        self.records = _records(directory)
        self.results: dict[str, Any] = json.loads((_run_directory(directory) / "results.json").read_text())

    def of(self, trial: str, kind: type[Any]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind) and record.trial == trial]

    @property
    def busy(self) -> bool:
        return any(code in json.dumps(self.results) for code in TOO_BUSY)


@pytest.fixture(scope="module")
def docker_run(docker_host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """One run; again where the machine was too busy to measure, which rightly makes a run *unknown*."""
    found = Finished(docker_host, tmp_path_factory.mktemp("run"))
    for _ in range(2):
        if not found.busy:
            break
        found = Finished(docker_host, tmp_path_factory.mktemp("again"))
    yield found
    assert docker_host.docker("ps", "-aq", "--filter", "label=breakroom") == ""


def test_docker_run_is_met(docker_run: Finished) -> None:
    if docker_run.busy:
        assert (docker_run.code, docker_run.results["verdict"]) == (3, "unknown")
        pytest.skip("this machine was too busy to measure, three times; the run said so")
    assert docker_run.code == 0, docker_run.err
    assert docker_run.results["verdict"] == "met"
    assert "contender orchestrated is left out" in docker_run.err
    ends = [record for record in docker_run.records if isinstance(record, TrialEnded)]
    assert {end.trial for end in ends} == {"mini/single/1", "mini/single-restart/1"}
    assert {end.outcome for end in ends} == {"completed"}


def test_docker_run_leaves_nothing(docker_run: Finished) -> None:
    checked = [record for record in docker_run.records if isinstance(record, CleanlinessChecked)]
    assert len(checked) >= 2
    assert [record.left for record in checked if record.left] == []


@pytest.mark.parametrize("trial", ["mini/single/1", "mini/single-restart/1"])
def test_docker_run_tells_times_as_docker_does(docker_run: Finished, trial: str) -> None:
    started = next(record for record in docker_run.records if isinstance(record, RunStarted))
    offset = started.unix_ns - started.t
    changes = docker_run.of(trial, TaskChanged)
    container = changes[0].task
    told = [
        (event["Action"], event["timeNano"])
        for event in docker_run.events
        if event["Type"] == "container" and event["Actor"]["ID"].startswith(container)
    ]
    ends = [change for change in changes if change.exit_code is not None]
    begins = {change.task: change for change in reversed(changes) if change.state == "running"}
    died = [at for action, at in told if action == "die"]
    began = [at for action, at in told if action == "start"]
    assert len(ends) == len(died) == 2
    assert sorted(begins) == [container, f"{container}.2"]
    # Docker's events come after what they tell of: by how much is Docker's affair, seconds on a busy machine.
    for end, at in zip(ends, died, strict=True):
        assert 0 <= at - end.platform_unix_ns < 5 * SECOND
        assert abs(end.t + offset - end.platform_unix_ns) < SECOND // 10
    for begin, at in zip(
        begins.values(), sorted(began, reverse=next(iter(begins)) != container), strict=True
    ):
        assert abs(at - begin.platform_unix_ns) < 5 * SECOND


@pytest.mark.parametrize("trial", ["mini/single/1", "mini/single-restart/1"])
def test_docker_run_proves_the_fault(docker_run: Finished, trial: str) -> None:
    kill = [record for record in docker_run.of(trial, ActionChanged) if record.kind == "kill"]
    assert [record.stage for record in kill] == ["intended", "done", "proved"]
    end = next(record for record in docker_run.of(trial, TaskChanged) if record.exit_code is not None)
    assert (end.signal, end.exit_code) == (9, 137)
    assert kill[0].t <= kill[-1].proved_t <= end.t
    cut = next(record for record in docker_run.of(trial, RotationChanged) if not record.in_rotation)
    # The ingress has the kernel's notice of the very process; Docker's comes later.
    assert (cut.task, cut.reason) == (end.task, "cut")
    assert kill[0].t <= cut.t <= end.t + SECOND


def test_docker_run_finds_users_outage_between_death_and_return(docker_run: Finished) -> None:
    for trial in docker_run.results["trials"]:
        end = next(
            record for record in docker_run.of(trial["id"], TaskChanged) if record.exit_code is not None
        )
        back = docker_run.of(trial["id"], RotationChanged)[2]
        assert back.in_rotation
        gap = (back.t - end.t) / SECOND
        longest = trial["longest_outage_s"]
        # Users are without the service from its death until its next start listens: that much later than it is begun.
        assert gap - 0.2 <= longest <= gap + 3


def test_daemon_stopped_in_mid_run(docker_host: Host, tmp_path: Path) -> None:
    process = _start(docker_host, tmp_path, "--contender", "single")
    try:
        deadline = time.monotonic() + 60
        while not any(record.phase == "steadying" for record in _phases(tmp_path)):
            assert process.poll() is None
            assert time.monotonic() < deadline
        docker_host.stop_daemon()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        docker_host.start_daemon(tied=True)
        for container in docker_host.docker("ps", "-aq", "--filter", "label=breakroom").split():
            docker_host.docker("rm", "-f", container)
    assert process.returncode == 3, err
    assert "hung up" in out + err
    records = _records(tmp_path)
    problems = [record.code for record in records if isinstance(record, Problem)]
    assert "engine-died" in problems
    (end,) = [record for record in records if isinstance(record, TrialEnded)]
    assert end.outcome == "failed"
    left = [what for record in records if isinstance(record, CleanlinessChecked) for what in record.left]
    assert any("not looked at, because Docker does not answer" in what for what in left)
    results = json.loads((_run_directory(tmp_path) / "results.json").read_text())
    assert results["verdict"] == "unknown"


def test_platform_that_there_is_not(docker_host: Host, tmp_path: Path) -> None:
    words = docker_host.command(sys.executable, "-m", "breakroom", "run", "kill", "--platform", "podman")
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "local, docker, swarm" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_docker_without_a_daemon_is_wrong_use(docker_host: Host, tmp_path: Path) -> None:
    words = docker_host.command(
        "env", "DOCKER_HOST=unix:///run/no-such-docker.sock", sys.executable, "-m", "breakroom", "run", "kill",
        "--platform", "docker",
    )  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "no Docker daemon answers at unix:///run/no-such-docker.sock" in done.stderr
    assert "--platform local" in done.stderr
    assert list(tmp_path.iterdir()) == []


def _phases(directory: Path) -> list[Any]:
    try:
        records = _records(directory)
    except (OSError, ValueError):
        return []
    return [record for record in records if hasattr(record, "phase")]


def test_a_second_interrupt_says_how_the_rest_is_taken_away(docker_host: Host, tmp_path: Path) -> None:
    process = _start(docker_host, tmp_path, "--contender", "single-restart")
    assert process.stderr is not None
    shown = ""
    for line in process.stderr:
        shown += line
        if "waiting for steady state" in line:
            process.send_signal(signal.SIGINT)
        if "stopping: cleaning up" in line:
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    # On an idle machine the run may be cleaned up before the second one comes; then it has ended in order.
    stopped = "`breakroom cleanup` takes away what is left" in err
    assert stopped or "Report:" in out, shown + err
    assert process.returncode == 3
    run = _run_directory(tmp_path).resolve().name
    command = docker_host.command(sys.executable, "-m", "breakroom", "cleanup", "--run", run)
    subprocess.run(command, check=True, capture_output=True)
    assert docker_host.docker("ps", "-aq", "--filter", f"label=breakroom.run={run}") == ""
