"""A real run killed with faults in force: `breakroom cleanup` brings the host back to what it was."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from breakroom.journal.records import ActionChanged, Record, TrialEnded, UndoDone, UndoPlanned
from breakroom.journal.store import JournalError, read_journal
from docker_lab.base_image import BASE_IMAGE
from docker_lab.lab import Host
from safety.world import Machine, make_theirs, remove_theirs, world

_DRILL = f"""\
name: mid
service:
  image: {BASE_IMAGE}
  command: [python3, -m, http.server, "3000"]
  ports: ["3000"]
  healthcheck:
    test: [CMD-SHELL, "curl -fs http://localhost:3000/"]
    interval: 1s
    start_period: 20s
    start_interval: 200ms
  stop_grace_period: 1s
  deploy: {{replicas: 2}}
probe: {{rate: 10/s, timeout: 2s}}
steady_state: {{duration: 1s, within: 60s, availability: 50%}}
recovered: {{stable: 1s, within: 120s}}
contenders:
  single: {{runs_as: container, restart: "no"}}
  orchestrated: {{runs_as: service}}
timeline:
"""
_STEPS = {
    "docker": ("partition: {tasks: 1, for: 100s}", "pause: {tasks: 1, for: 100s}"),
    "swarm": (
        "partition: {tasks: 1, for: 100s}",
        "pause: {tasks: 1, for: 100s}",
        "drain: {node: any, for: 100s}",
    ),
}
_CONTENDERS = {"docker": "single", "swarm": "orchestrated"}
_WITHIN = 120.0
_SETTLED = 30.0


def _records(machine: Machine) -> list[Record]:
    for directory in machine.directory.glob("breakroom-results/2*"):
        try:
            return list(read_journal(directory).records)
        except JournalError:
            return []
    return []


def _in_force(records: list[Record]) -> set[str]:
    """The kinds of faults that were done and not taken back."""
    kinds: set[str] = set()
    for record in records:
        if isinstance(record, ActionChanged) and record.by == "timeline":
            if record.stage == "done":
                kinds.add(record.kind)
            if record.stage == "undone":
                kinds.discard(record.kind)
    return kinds


def _of_others(found: dict[str, Any]) -> dict[str, Any]:
    """A host's state without what Swarm itself makes anew of a service."""
    return {**found, "containers": [], "services": []}


def _kill_in_mid_fault(machine: Machine, host: Host, platform: str) -> None:
    """Start a run and end it with SIGKILL when all of its faults are in force."""
    wanted = {step.partition(":")[0] for step in _STEPS[platform]}
    lines = [f"  - {{at: {number}s, {step}}}\n" for number, step in enumerate(_STEPS[platform])]
    (machine.directory / "mid.yaml").write_text(_DRILL + "".join(lines))
    words = [sys.executable, "-m", "breakroom", "run", "mid.yaml", "--platform", platform]
    if platform == "swarm":
        words.append("--use-swarm")
    with (machine.directory / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            host.command(*words, "--contender", _CONTENDERS[platform]),
            env=machine.environment,
            cwd=machine.directory,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + _WITHIN
        while (found := _in_force(_records(machine))) < wanted:
            ended = process.poll() is not None or any(isinstance(r, TrialEnded) for r in _records(machine))
            said = (machine.directory / "output.txt").read_text()[-3000:]
            assert not ended, f"the run ended with {found} in force; it said: {said}"
            assert time.monotonic() < deadline, f"only {found} in force; it said: {said}"
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("platform", ["docker", "swarm"])
def test_a_run_killed_with_faults_in_force_is_undone_and_nothing_else_is(
    request: pytest.FixtureRequest, tmp_path: Path, platform: str
) -> None:
    host: Host = request.getfixturevalue("in_swarm" if platform == "swarm" else "plain")
    machine = Machine(tmp_path, host=host)
    make_theirs(host)
    try:
        before: dict[str, Any] = world(host)
        _kill_in_mid_fault(machine, host, platform)
        (run,) = machine.registered
        after = world(host)
        assert after != before, "the killed run has left something"
        if platform == "docker":
            assert any("paused" in line for line in after["containers"] if run[-4:] in line)
        else:
            assert after["nodes"][0][0] == "drain"

        ended = machine.cleanup()
        assert ended.code == 0, ended.out
        if platform == "swarm":
            # Swarm itself stopped the other project's task when the node was drained, and starts another one: its
            # container is new, and its links come and go for a while.
            deadline = time.monotonic() + _SETTLED
            while (left := _of_others(world(host))) != _of_others(before) and time.monotonic() < deadline:
                time.sleep(0.2)
            assert left == _of_others(before)
        else:
            assert world(host) == before
        assert machine.registered == set()
        records = _records(machine)
        planned = {record.undo for record in records if isinstance(record, UndoPlanned)}
        done = {record.undo for record in records if isinstance(record, UndoDone) and record.ok}
        assert len(planned) == len(_STEPS[platform])
        assert done == planned
    finally:
        machine.cleanup()
        remove_theirs(host)
