"""A sample app's capacity is what it was set to: CONCURRENCY at once, the others wait, nobody is turned away."""

from __future__ import annotations

import resource
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil
import pytest

from apps.apps_kit import Running, read_to_end, running, until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def send(app: Running, count: int) -> list[socket.socket]:
    clients = [app.connect() for _ in range(count)]
    for client in clients:
        client.sendall(REQUEST)
    return clients


def finish(clients: list[socket.socket]) -> list[bytes]:
    answers = [read_to_end(client) for client in clients]
    for client in clients:
        client.close()
    return answers


def test_only_so_many_requests_are_in_service_and_the_others_wait() -> None:
    with running(CONCURRENCY="3", SERVICE_TIME_MS="600000") as app:
        clients = send(app, 10)
        until(lambda: app.stats()["waiting"] == 7, "seven in line")
        assert app.stats()["in_service"] == 3
        for client in clients:
            client.close()


def test_a_full_house_cannot_serve_faster_than_its_capacity() -> None:
    # Not a matter of the machine's speed: 3 places and 12 requests of 50 ms take 200 ms at the least.
    with running(CONCURRENCY="3", SERVICE_TIME_MS="50") as app:
        begun = time.monotonic()
        answers = finish(send(app, 12))
        assert time.monotonic() - begun >= 0.2
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        assert app.stats()["most_in_service"] == 3


def test_requests_are_served_in_the_order_they_came() -> None:
    with running(CONCURRENCY="1", SERVICE_TIME_MS="5") as app:
        clients = []
        for number in range(1, 9):
            clients += send(app, 1)
            until(partial(has_taken_in, app, number), "this one to stand in line before the next one comes")
        served = [int(answer.partition(b'"served": ')[2].partition(b",")[0]) for answer in finish(clients)]
        assert served == list(range(1, 9))


def has_taken_in(app: Running, count: int) -> bool:
    stats = app.stats()
    return bool(stats["served"] + stats["in_service"] + stats["waiting"] == count)


def test_health_is_answered_while_the_house_is_full() -> None:
    with running(CONCURRENCY="1", SERVICE_TIME_MS="600000") as app:
        clients = send(app, 5)
        until(lambda: app.stats()["waiting"] == 4, "a full house")
        assert app.ask("/health").status == 200
        for client in clients:
            client.close()


def test_every_request_of_a_crowd_is_answered() -> None:
    with running(CONCURRENCY="50", SERVICE_TIME_MS="1") as app, ThreadPoolExecutor(20) as crowd:
        statuses = list(crowd.map(lambda _: app.ask().status, range(1500)))
        assert statuses == [200] * 1500
        assert app.stats()["served"] == 1500


def test_connections_made_while_the_app_is_stopped_are_served_afterwards() -> None:
    # The kernel's queue holds them: more than the usual 128, without one being turned away.
    with running() as app:
        app.tell(signal.SIGSTOP)
        clients = send(app, 400)
        app.tell(signal.SIGCONT)
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in finish(clients))


def test_out_of_file_descriptors_clients_wait_and_are_then_served() -> None:
    if not hasattr(resource, "prlimit"):
        pytest.skip("needs prlimit(2) to take file descriptors from a running process")
    with running(CONCURRENCY="1000", SERVICE_TIME_MS="200") as app:
        resource.prlimit(app.process.pid, resource.RLIMIT_NOFILE, (24, 24))
        answers = finish(send(app, 60))
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        app.tell(signal.SIGTERM)
        assert app.exit_code() == 0
        assert "cannot accept for now" in app.rest_of_log()


def test_cpu_time_is_really_used() -> None:
    with running(CPU_TIME_MS="30") as app:
        before = cpu_seconds(app.process.pid)
        for _ in range(5):
            app.ask()
        assert cpu_seconds(app.process.pid) - before >= 0.12


def test_service_time_uses_no_cpu() -> None:
    with running(SERVICE_TIME_MS="200", CONCURRENCY="8") as app:
        before = cpu_seconds(app.process.pid)
        finish(send(app, 16))
        assert cpu_seconds(app.process.pid) - before < 0.2


def cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def test_the_time_in_line_and_in_service_is_told_to_the_client() -> None:
    with running(CONCURRENCY="1", SERVICE_TIME_MS="30") as app:
        both = finish(send(app, 2))
        waits = sorted(float(part.partition(b"queue;dur=")[2].partition(b",")[0]) for part in both)
        took = [float(part.partition(b"service;dur=")[2].partition(b"\r")[0]) for part in both]
        assert waits[0] < waits[1]
        assert all(time_ms >= 30 for time_ms in took)


def test_clients_that_say_nothing_or_half_of_it_do_not_hold_up_the_others() -> None:
    with running(CONCURRENCY="1") as app, app.connect(), app.connect() as half:
        half.sendall(b"GET / HTTP/1.1\r\nHo")
        assert app.ask().status == 200


def test_a_client_that_does_not_read_its_answers_does_not_hold_up_the_others() -> None:
    with running() as app, app.connect() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0.2)
        with pytest.raises(TimeoutError):
            send_for_ever(deaf)
        assert app.ask().status == 200


def send_for_ever(client: socket.socket) -> None:
    """Ends when a request cannot be sent any more: all buffers between here and the app's answers are full."""
    while True:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
