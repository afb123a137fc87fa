"""A task whose process ends leaves rotation by the kernel's notice, before anybody says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from breakroom.ingress import messages as m
from ingress.ingress_kit import Ingress, Task, read_exactly

MakeTask = Callable[[str], Task]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfd is Linux's")


def _idle() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"])


def _enter(ingress: Ingress, task: Task, pid: int) -> None:
    ingress.say(m.Enter(task=task.name, host="127.0.0.1", port=task.port, pid=pid))
    assert ingress.hear(m.Rotation).in_rotation


def test_the_end_of_its_process_cuts_a_task_and_a_late_leave_says_nothing(
    native: Ingress, make_task: MakeTask
) -> None:
    process = _idle()
    _enter(native, make_task("a"), process.pid)
    process.kill()
    process.wait()
    left = native.hear(m.Rotation)
    assert (left.task, left.in_rotation, left.reason) == ("a", False, "cut")
    native.say(m.Leave(task="a", how="cut"))
    assert (
        native.stats().tasks["a"].open == 0
    )  # the next thing heard is the answer to this, not a second rotation


def test_the_others_serve_on_after_a_death(native: Ingress, make_task: MakeTask) -> None:
    process = _idle()
    dead, alive = make_task("a"), make_task("b")
    _enter(native, dead, process.pid)
    native.enter(alive)
    process.kill()
    process.wait()
    assert native.hear(m.Rotation).task == "a"
    for _ in range(3):
        with native.connect() as client, alive.accept() as server:
            server.sendall(b"b")
            assert read_exactly(client, 1) == b"b"


def test_a_drained_task_is_not_cut_when_it_ends(native: Ingress, make_task: MakeTask) -> None:
    process = _idle()
    _enter(native, make_task("a"), process.pid)
    assert native.drain("a").reason == "drain"
    process.kill()
    process.wait()
    native.stats()  # heard next: no rotation came between


def test_a_process_that_has_ended_before_it_entered_is_cut_by_message_only(
    native: Ingress, make_task: MakeTask
) -> None:
    process = _idle()
    process.kill()
    process.wait()
    _enter(native, make_task("a"), process.pid)
    assert native.cut("a").reason == "cut"
