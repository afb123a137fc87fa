"""The control socket: what is answered, and that the process's life hangs on it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from breakroom.ingress import messages as m
from ingress.ingress_kit import PATIENCE, Ingress, Task, until

MakeTask = Callable[[str], Task]


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"[]\n",
        b'{"op":"fly"}\n',
        b'{"op":"enter","task":"a"}\n',
        b'{"op":"enter","task":"a","host":"localhost","port":1}\n',
        b'{"op":"enter","task":"*","host":"127.0.0.1","port":1}\n',
        b'{"op":"enter","task":"a","host":"127.0.0.1","port":0}\n',
        b'{"op":"leave","task":"a","how":"gently"}\n',
        b'{"op":"impair","task":"a","link":{"loss":1.5}}\n',
        b'{"op":"impair","task":"a","link":{"delay":"100ms"}}\n',
        b'{"op":"publish","port":70000}\n',
        b'{"op":"stats","extra":1}\n',
        b'{"op":"\xff\xfe"}\n',
        b"x" * (m.MAX_LINE + 1) + b"\n",
    ],
    ids=lambda line: repr(line[:40]),
)
def test_a_bad_message_is_answered_and_the_next_is_obeyed(native: Ingress, line: bytes) -> None:
    native.say_raw(line)
    assert native.hear(m.Error).code == "bad-message"
    assert native.stats().wall_ns > 0


def test_messages_may_come_in_pieces_and_together(native: Ingress) -> None:
    native.say_raw(b'{"op":"st')
    native.say_raw(b'ats"}\n\n{"op":"stats"}\n')
    assert native.hear(m.StatsReport).wall_ns <= native.hear(m.StatsReport).wall_ns


def test_a_ping_is_answered_with_its_number_and_the_moment(native: Ingress) -> None:
    before = time.monotonic_ns()
    native.say(m.Ping(number=7))
    pong = native.hear(m.Pong)
    assert pong.number == 7
    assert before <= pong.t <= time.monotonic_ns()


def test_leaving_without_having_entered_is_an_error(native: Ingress) -> None:
    native.say(m.Leave(task="ghost", how="cut"))
    error = native.hear(m.Error)
    assert error.code == "unknown-task"
    assert "ghost" in error.message


def test_entering_twice_is_an_error(native: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    native.enter(task)
    native.say(m.Enter(task="a", host="127.0.0.1", port=task.port))
    assert native.hear(m.Error).code == "already-in-rotation"


def test_a_task_that_enters_again_counts_from_zero(native: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    native.enter(task)
    native.connect().close()
    task.accept().close()
    assert native.drain("a").total_connections == 1
    native.enter(task)
    assert native.stats().tasks["a"].total == 0
    assert native.drain("a").total_connections == 0


def test_a_drained_task_can_be_cut(native: Ingress, make_task: MakeTask) -> None:
    native.enter(make_task("a"))
    assert native.drain("a").reason == "drain"
    assert native.cut("a").reason == "cut"


def test_a_rotation_event_carries_the_time_of_the_change(native: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    before = time.monotonic_ns()
    native.say(m.Enter(task="a", host="127.0.0.1", port=task.port))
    entered = native.hear(m.Rotation)
    left = native.cut("a")
    assert before <= entered.t <= left.t <= time.monotonic_ns()


def test_stats_tell_the_process_s_own_cost(native: Ingress) -> None:
    report = native.stats()
    assert report.max_rss_bytes > 1 << 20
    assert report.cpu_user_ns + report.cpu_system_ns > 0
    assert report.wall_ns > 0


def test_the_end_of_the_control_socket_ends_the_process() -> None:
    ingress = Ingress()
    ingress.publish()
    ingress.control.close()
    assert ingress.process.wait(PATIENCE) == 0


def test_an_interrupt_at_the_terminal_does_not_end_it(native: Ingress) -> None:
    native.stats()
    native.process.send_signal(signal.SIGINT)
    assert native.stats().wall_ns > 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_it_dies_with_its_parent_even_if_the_control_socket_lives() -> None:
    ours, theirs = socket.socketpair()
    program = (
        "import subprocess, sys\n"
        "fd = int(sys.argv[1])\n"
        "command = [sys.executable, '-m', 'breakroom.ingress', '--control-fd', str(fd)]\n"
        "child = subprocess.Popen(command, pass_fds=[fd])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    command = [sys.executable, "-c", program, str(theirs.fileno())]
    with (
        ours,
        theirs,
        subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE) as parent,
    ):
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        ours.settimeout(PATIENCE)
        ours.sendall(m.encode(m.Stats()))
        assert ours.recv(65536)  # It is up, and has asked the kernel to go with its parent.
        parent.kill()
        parent.wait(PATIENCE)
        until(lambda: _gone(child))


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_caller_that_does_not_read_does_not_stop_the_traffic(native: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    native.enter(task)
    asked = 3000
    native.say(*[m.Stats()] * asked)
    with native.connect() as client, task.accept() as server:
        client.sendall(b"x")
        assert server.recv(1) == b"x"
    for _ in range(asked):
        native.hear(m.StatsReport)
