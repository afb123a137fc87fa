"""What the ingress does to connections on a good link. Both ends of every connection are in the test's hand."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing

import pytest

from breakroom.ingress import messages as m
from ingress.ingress_kit import PATIENCE, Ingress, Task, read_exactly, read_to_end, reset, until, was_reset

MakeTask = Callable[[str], Task]


def _order(ingress: Ingress, tasks: list[Task], count: int) -> list[str]:
    """Which task each of `count` connections, one after the other, is given to."""
    names: list[str] = []
    for _ in range(count):
        with ingress.connect():
            before = len(names)
            until(lambda: _note_visitor(tasks, names))
            assert len(names) == before + 1
    return names


def _note_visitor(tasks: list[Task], names: list[str]) -> bool:
    visited = [task.name for task in tasks if task.has_visitor()]
    names.extend(visited)
    return bool(visited)


def test_connections_go_round_robin_in_the_order_of_entering(ingress: Ingress, make_task: MakeTask) -> None:
    tasks = [make_task(name) for name in "abc"]
    ingress.enter(*tasks)
    assert _order(ingress, tasks, 7) == list("abcabca")


def test_the_turn_of_the_others_stays_when_a_task_leaves(ingress: Ingress, make_task: MakeTask) -> None:
    tasks = [make_task(name) for name in "abc"]
    ingress.enter(*tasks)
    assert _order(ingress, tasks, 2) == list("ab")
    ingress.cut("a")
    assert _order(ingress, tasks, 3) == list("cbc")


def test_bytes_pass_both_ways(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        client.sendall(b"question")
        assert read_exactly(server, 8) == b"question"
        server.sendall(b"answer")
        assert read_exactly(client, 6) == b"answer"
    until(lambda: ingress.stats().tasks["a"].open == 0)
    assert ingress.stats().tasks["a"] == m.TaskTraffic(open=0, total=1, refused=0, bytes_in=8, bytes_out=6)


def test_a_task_may_speak_first(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        server.sendall(b"220 ready")
        assert read_exactly(client, 9) == b"220 ready"


def test_draining_keeps_existing_connections_and_gives_no_new_ones(
    ingress: Ingress, make_task: MakeTask
) -> None:
    old, new = make_task("old"), make_task("new")
    ingress.enter(old)
    with ingress.connect() as client, old.accept() as server:
        ingress.enter(new)
        left = ingress.drain("old")
        assert (left.in_rotation, left.reason) == (False, "drain")
        assert (left.open_connections, left.total_connections, left.refused_connections) == (1, 1, 0)
        assert _order(ingress, [old, new], 3) == ["new"] * 3
        client.sendall(b"still there?")
        assert read_exactly(server, 12) == b"still there?"
        server.sendall(b"yes")
        assert read_exactly(client, 3) == b"yes"


def test_a_killed_task_s_last_bytes_are_delivered_before_its_end(
    ingress: Ingress, make_task: MakeTask
) -> None:
    program = (
        "import socket,sys\n"
        "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "c, _ = s.accept(); c.sendall(b'x' * 100_000); print('sent', flush=True); c.recv(1); c.recv(1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as replica:
        assert replica.stdout is not None
        ingress.say(m.Enter(task="a", host="127.0.0.1", port=int(replica.stdout.readline())))
        ingress.hear(m.Rotation)
        with ingress.connect() as client:
            assert replica.stdout.readline() == "sent\n"
            os.kill(replica.pid, signal.SIGKILL)
            replica.wait(PATIENCE)
            left = ingress.cut("a")
            assert left.reason == "cut"
            assert len(read_to_end(client)) == 100_000


def test_an_end_passes_on_as_an_end_and_the_other_direction_lives(
    ingress: Ingress, make_task: MakeTask
) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        client.sendall(b"all I have")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(server) == b"all I have"
        server.sendall(b"thank you")
        server.close()
        assert read_to_end(client) == b"thank you"
    with ingress.connect() as client, task.accept() as server:
        server.sendall(b"bye")
        server.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"bye"
        client.sendall(b"wait")
        assert read_exactly(server, 4) == b"wait"
        assert ingress.stats().tasks["a"].open == 1


def test_cutting_ends_connections_that_the_task_has_half_closed(
    ingress: Ingress, make_task: MakeTask
) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        server.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
        assert ingress.cut("a").open_connections == 1
        until(lambda: ingress.stats().tasks["a"].open == 0)


def test_an_end_after_the_cut_ends_the_whole_connection(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        ingress.cut("a")
        assert ingress.stats().tasks["a"].open == 1
        server.sendall(b"last words")
        server.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"last words"
        until(lambda: ingress.stats().tasks["a"].open == 0)


def test_a_task_s_reset_reaches_the_client_after_its_data(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        server.sendall(b"half an ans")
        until(lambda: ingress.stats().tasks["a"].bytes_out == 11)
        reset(server)
        until(lambda: ingress.stats().tasks["a"].open == 0)
        assert read_exactly(client, 11) == b"half an ans"
        assert was_reset(client)


def test_data_a_slow_client_has_not_taken_survives_the_task_s_reset(
    native: Ingress, make_task: MakeTask
) -> None:
    task = make_task("a")
    native.enter(task)
    with native.connect() as client, task.accept() as server:
        server.sendall(b"x" * 3_000_000)
        taken = native.stats().tasks["a"].bytes_out
        reset(server)
        received = 0
        try:
            while chunk := client.recv(65536):
                received += len(chunk)
            reset_seen = False
        except ConnectionResetError:
            reset_seen = True
        assert reset_seen
        assert received >= taken


def test_a_client_s_reset_reaches_the_task(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    client = ingress.connect()
    with task.accept() as server:
        reset(client)
        assert was_reset(server)
    until(lambda: ingress.stats().tasks["a"].open == 0)


def test_a_reset_after_the_task_s_end_reaches_the_client(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client:
        task.accept().close()
        assert read_to_end(client) == b""
        client.sendall(b"too late")  # The task's kernel answers with an RST, as it would without a proxy.
        until(lambda: ingress.stats().tasks["a"].open == 0)


def test_a_refusing_task_resets_its_clients_and_no_other_task_is_tried(
    ingress: Ingress, make_task: MakeTask
) -> None:
    good, bad = make_task("good"), make_task("bad")
    bad.listener.close()
    ingress.enter(good, bad)
    outcomes = []
    for _ in range(2):
        with ingress.connect():
            until(good.has_visitor)
        outcomes.append(ingress.resets())
    assert outcomes == [True, True]
    assert not good.has_visitor()
    left = ingress.cut("bad")
    assert (left.refused_connections, left.total_connections, left.open_connections) == (2, 2, 0)
    assert ingress.stats().tasks["good"].refused == 0


def test_a_refused_client_that_already_sent_its_request_is_reset(
    ingress: Ingress, make_task: MakeTask
) -> None:
    bad = make_task("bad")
    bad.listener.close()
    ingress.enter(bad)
    os.kill(ingress.process.pid, signal.SIGSTOP)
    try:
        client = ingress.connect()
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")  # There before the ingress has accepted the client.
    finally:
        os.kill(ingress.process.pid, signal.SIGCONT)
    with client:
        assert was_reset(client)
    assert ingress.stats().tasks["bad"].refused == 1


def test_a_large_transfer_is_intact_and_not_buffered(ingress: Ingress, make_task: MakeTask) -> None:
    block = os.urandom(1 << 20)
    blocks = 50
    task = make_task("a")
    ingress.enter(task)
    before = ingress.stats().max_rss_bytes
    with ingress.connect() as client, task.accept() as server:

        def upload() -> None:
            for _ in range(blocks):
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=upload)
        sender.start()
        # The reader is not reading: the way fills up, and stays filled.
        passed = [-1]
        until(lambda: _came_to_rest(ingress, passed))
        assert 0 < passed[0] < blocks << 20
        assert ingress.stats().max_rss_bytes - before < 4 << 20
        digest = hashlib.sha256()
        while chunk := server.recv(1 << 16):
            digest.update(chunk)
        sender.join(PATIENCE)
        assert digest.digest() == hashlib.sha256(block * blocks).digest()
    assert ingress.stats().max_rss_bytes - before < 4 << 20


def _came_to_rest(ingress: Ingress, passed: list[int]) -> bool:
    now = ingress.stats().tasks["a"].bytes_in
    rests = now == passed[0] and now > 0
    passed[0] = now
    return rests


def test_bytes_behind_urgent_ones_pass(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        client.sendall(b"before")
        client.send(b"!", socket.MSG_OOB)
        client.sendall(b"behind")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(server).replace(b"!", b"") == b"beforebehind"


def test_bursts_of_any_size_pass_whole(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        for size in (1, 65535, 65536, 65537, 2 * 65536, 300_000):
            burst = os.urandom(size)
            server.sendall(burst)
            assert read_exactly(client, size) == burst
            client.sendall(burst)
            assert read_exactly(server, size) == burst


def test_a_thousand_connections_live_at_once(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    count = 1000
    with ExitStack() as stack:
        clients = [stack.enter_context(ingress.connect()) for _ in range(count)]
        servers = [stack.enter_context(task.accept()) for _ in range(count)]
        for number, client in enumerate(clients):
            client.sendall(number.to_bytes(4, "big"))
        numbers = [read_exactly(server, 4) for server in servers]
        assert sorted(int.from_bytes(each, "big") for each in numbers) == list(range(count))
        for received, server in zip(numbers, servers, strict=True):
            server.sendall(received)
        assert [read_exactly(client, 4) for client in clients] == [n.to_bytes(4, "big") for n in range(count)]
        assert ingress.stats().tasks["a"].open == count
    until(lambda: ingress.stats().tasks["a"].open == 0)


def test_without_descriptors_new_connections_wait_and_it_is_said(make_task: MakeTask) -> None:
    ingress = Ingress(shell_prefix="ulimit -n 64")
    ingress.publish()
    task = make_task("a")
    ingress.enter(task)
    with ExitStack() as stack:
        clients = [stack.enter_context(ingress.connect()) for _ in range(60)]
        assert ingress.hear(m.Error).code == "fd-exhausted"
        for client in clients:
            client.sendall(b"?")
        for client in clients:  # Each that ends makes room for one that waits.
            with closing(task.accept()) as server:
                assert read_exactly(server, 1) == b"?"
                server.sendall(b"!")
            assert read_to_end(client) == b"!"
            client.close()
    _ignore_complaints(ingress)
    ingress.end()


def _ignore_complaints(ingress: Ingress) -> None:
    ingress.say(m.Stats())
    while not isinstance(ingress.hear(object), m.StatsReport):
        pass


@pytest.mark.parametrize("by_reset", [False, True])
def test_connections_that_the_death_ended_before_the_cut_still_count_as_open(
    ingress: Ingress, make_task: MakeTask, by_reset: bool
) -> None:
    task = make_task("a")
    ingress.enter(task)
    for number in range(3):
        with ingress.connect() as client:
            client.sendall(b"request")
            server = task.accept()
            assert read_exactly(server, 7) == b"request"
            if number == 0:
                # This one was answered: its end is an ordinary one.
                server.sendall(b"answer")
                assert read_exactly(client, 6) == b"answer"
                server.close()
                assert read_to_end(client) == b""
            elif by_reset:
                reset(server)
                assert was_reset(client)
            else:
                server.close()
                assert read_to_end(client) == b""
    until(lambda: ingress.stats().tasks["a"].open == 0)
    assert ingress.cut("a").open_connections == 2


def test_a_client_that_gives_up_does_not_count_as_lost_by_its_task(
    ingress: Ingress, make_task: MakeTask
) -> None:
    task = make_task("a")
    ingress.enter(task)
    client = ingress.connect()
    client.sendall(b"request")
    with task.accept() as server:
        assert read_exactly(server, 7) == b"request"
        client.close()
        assert read_to_end(server) == b""
    until(lambda: ingress.stats().tasks["a"].open == 0)
    assert ingress.cut("a").open_connections == 0
