"""Impaired links in the real process. Effects are shown by lower bounds and by order, which noise cannot break."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable

from ingress.ingress_kit import PATIENCE, Ingress, Task, read_exactly, read_to_end, reset, until, was_reset

MakeTask = Callable[[str], Task]
MS = 10**6


def _ready(sock: socket.socket) -> bool:
    """Whether something can be read now."""
    sock.setblocking(False)
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        sock.settimeout(PATIENCE)


def test_delay_holds_for_each_direction_and_for_connecting(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    ingress.impair("a", delay_ns=30 * MS)
    began = time.monotonic_ns()
    with ingress.connect() as client:
        client.sendall(b"?")
        with task.accept() as server:
            assert time.monotonic_ns() - began >= 30 * MS
            assert read_exactly(server, 1) == b"?"
            assert time.monotonic_ns() - began >= 90 * MS
            server.sendall(b"!")
            assert read_exactly(client, 1) == b"!"
            assert time.monotonic_ns() - began >= 120 * MS


def test_only_the_impaired_task_is_slow(ingress: Ingress, make_task: MakeTask) -> None:
    slow, quick = make_task("slow"), make_task("quick")
    ingress.enter(slow, quick)
    ingress.impair("slow", partition=True)
    with ingress.connect() as hanging, ingress.connect() as client, quick.accept() as server:
        hanging.sendall(b"?")
        client.sendall(b"?")
        assert read_exactly(server, 1) == b"?"
        assert not slow.has_visitor()


def test_a_star_impairs_every_task_and_a_task_s_own_link_goes_before_it(
    ingress: Ingress, make_task: MakeTask
) -> None:
    ingress.impair("*", partition=True)
    tasks = [make_task("a"), make_task("b")]
    ingress.enter(*tasks)
    ingress.impair("b", delay_ns=1)
    with ingress.connect(), ingress.connect(), tasks[1].accept():
        assert not tasks[0].has_visitor()


def test_a_partition_stops_both_directions_and_healing_delivers(
    ingress: Ingress, make_task: MakeTask
) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        ingress.impair("a", partition=True)
        client.sendall(b"from the client")
        server.sendall(b"from the task")
        with ingress.connect() as newcomer:
            newcomer.sendall(b"hello?")
            until(lambda: ingress.stats().tasks["a"].bytes_in == 21)
            until(lambda: ingress.stats().tasks["a"].bytes_out == 13)
            assert not _ready(client)
            assert not _ready(server)
            assert not task.has_visitor()
            ingress.impair("a")
            assert read_exactly(client, 13) == b"from the task"
            assert read_exactly(server, 15) == b"from the client"
            with task.accept() as late:
                assert read_exactly(late, 6) == b"hello?"


def test_a_client_that_gives_up_in_a_partition_is_not_connected_later(
    ingress: Ingress, make_task: MakeTask
) -> None:
    task = make_task("a")
    ingress.enter(task)
    ingress.impair("a", partition=True)
    for leave in (reset, socket.socket.close):
        client = ingress.connect()
        until(lambda: ingress.stats().tasks["a"].open == 1)
        leave(client)
        until(lambda: ingress.stats().tasks["a"].open == 0)
    ingress.impair("a")
    assert not task.has_visitor()


def test_reset_ends_existing_and_new_connections(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        ingress.impair("a", reset=True)
        assert was_reset(client)
        assert was_reset(server)
        assert ingress.resets()
    ingress.impair("a")
    with ingress.connect() as client, task.accept() as server:
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"


def test_reset_ends_connections_that_were_impaired_before(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    ingress.impair("a", partition=True)
    with ingress.connect() as client:
        until(lambda: ingress.stats().tasks["a"].open == 1)
        ingress.impair("a", reset=True)
        assert was_reset(client)
    assert ingress.stats().tasks["a"].open == 0


def test_bandwidth_is_bounded(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    ingress.impair("a", rate_bytes_per_s=1_000_000)
    with ingress.connect() as client, task.accept() as server:
        began = time.monotonic_ns()
        client.sendall(b"x" * 400_000)
        read_exactly(server, 400_000)
        assert time.monotonic_ns() - began >= 380 * MS  # 10 ms of it are the bucket's burst


def test_a_bad_link_changes_no_byte_and_buffers_within_its_window(
    ingress: Ingress, make_task: MakeTask
) -> None:
    task = make_task("a")
    ingress.enter(task)
    ingress.impair("a", delay_ns=MS, jitter_ns=MS, loss=0.0005, seed=3)
    data = os.urandom(8 << 20)
    before = ingress.stats().max_rss_bytes
    with ingress.connect() as client, task.accept() as server:

        def upload() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=upload)
        sender.start()
        received = read_to_end(server)
        sender.join(PATIENCE)
        server.sendall(b"got it")
        server.close()
        assert read_to_end(client) == b"got it"
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
    assert ingress.stats().max_rss_bytes - before < 4 << 20


def test_lost_segments_cost_a_retransmission_timeout(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        ingress.impair("a", loss=0.999, seed=1)
        began = time.monotonic_ns()
        client.sendall(b"x")
        until(lambda: ingress.stats().tasks["a"].bytes_in == 1)
        assert not _ready(server)
        ingress.impair("a", partition=True)
        ingress.impair("a")
        assert read_exactly(server, 1) == b"x"
        assert time.monotonic_ns() - began >= 200 * MS


def test_a_slow_reader_behind_a_bad_link_holds_the_sender_back(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    ingress.impair("a", delay_ns=MS)
    data = os.urandom(12 << 20)
    with ingress.connect() as client, task.accept() as server:
        client.setblocking(False)
        sent = 0
        seen = [-1]
        view = memoryview(data)

        def full() -> bool:
            nonlocal sent
            try:
                while sent < len(data):
                    sent += client.send(view[sent : sent + 65536])
            except BlockingIOError:
                pass
            now = ingress.stats().tasks["a"].bytes_in
            rests, seen[0] = now == seen[0], now
            return rests

        until(full)
        client.settimeout(PATIENCE)

        def send_the_rest() -> None:
            client.sendall(view[sent:])
            client.shutdown(socket.SHUT_WR)

        rest = threading.Thread(target=send_the_rest)
        rest.start()
        assert read_to_end(server) == data
        rest.join(PATIENCE)


def test_ends_and_resets_pass_an_impaired_link_in_order(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    ingress.impair("a", delay_ns=2 * MS)
    with ingress.connect() as client, task.accept() as server:
        client.sendall(b"all")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(server) == b"all"
        server.sendall(b"part of it")
        until(lambda: ingress.stats().tasks["a"].bytes_out == 10)
        reset(server)
        assert read_exactly(client, 10) == b"part of it"
        assert was_reset(client)
    until(lambda: ingress.stats().tasks["a"].open == 0)


def test_a_refusal_passes_an_impaired_link_as_a_reset(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    task.listener.close()
    ingress.enter(task)
    ingress.impair("a", delay_ns=20 * MS)
    began = time.monotonic_ns()
    assert ingress.resets(b"?")
    assert time.monotonic_ns() - began >= 40 * MS
    assert ingress.stats().tasks["a"].refused == 1


def test_a_cut_behind_an_impaired_link_still_delivers_the_last_words(
    ingress: Ingress, make_task: MakeTask
) -> None:
    task = make_task("a")
    ingress.enter(task)
    ingress.impair("a", delay_ns=20 * MS)
    with ingress.connect() as client, task.accept() as server:
        server.sendall(b"last words")
        server.shutdown(socket.SHUT_WR)
        ingress.cut("a")
        assert read_to_end(client) == b"last words"
        until(lambda: ingress.stats().tasks["a"].open == 0)


def test_connections_return_to_the_fast_path_with_nothing_lost(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client, task.accept() as server:
        for number in range(6):
            if number % 2:
                ingress.impair("a")
            else:
                ingress.impair("a", delay_ns=5 * MS)
            client.sendall(bytes([number]) * 1000)
            server.sendall(bytes([number]) * 1000)
        assert read_exactly(server, 6000) == b"".join(bytes([n]) * 1000 for n in range(6))
        assert read_exactly(client, 6000) == b"".join(bytes([n]) * 1000 for n in range(6))
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(server) == b""
        server.sendall(b"done")
        server.close()
        assert read_to_end(client) == b"done"
    until(lambda: ingress.stats().tasks["a"].open == 0)
