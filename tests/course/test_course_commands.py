"""The course's commands, all of them, run in its order on breakroom's images; each outcome is checked.

Only in the virtual machine (`scripts/test-vm`): they start a Swarm on the machine's own Docker, need IPVS and netem,
and spoil its network interface. The log is `course.log` in the directory that BREAKROOM_VM_OUT names.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.commands import Command, course_commands
from course.runner import Runner

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(
        not os.environ.get("BREAKROOM_VM"),
        reason="changes the machine's own Docker and network: scripts/test-vm runs it",
    ),
]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A learner's directory, on a machine with breakroom's images."""
    contexts = tmp_path_factory.mktemp("course")
    only = [word for name in ("memory-leak-app", "improved-app", "health-app") for word in ("--only", name)]
    for words in (["images", *only], ["images", "--context", str(contexts), "--only", "improved-app:v2"]):
        subprocess.run([ROOT / "breakroom", *words], check=True)
    route = subprocess.run(
        ["ip", "route", "show", "default"], check=True, capture_output=True, text=True
    ).stdout
    out = Path(os.environ.get("BREAKROOM_VM_OUT") or contexts)
    runner = Runner(
        directory=contexts / "improved-app-v2",
        interface=route.split("dev ")[1].split()[0],
        log=out / "course.log",
    )
    yield runner
    runner.end()


@pytest.mark.parametrize("command", course_commands(), ids=lambda command: command.id)
def test_command_of_the_course_has_its_outcome(
    runner: Runner, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = runner.run(command)
    with capsys.disabled():  # who watches sees the log as it grows
        print(f"\n{outcome.text}", flush=True)
    assert outcome.ok, outcome.text
