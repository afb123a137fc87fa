"""How a sample app starts and ends: its settings, its cold start's ingredients, its polite end."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from apps.apps_kit import APPS, PATIENCE, Running, free_port, read_to_end, running, until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
NAMES = ("improved-app", "memory-leak-app", "health-app")


def is_refused(app: Running) -> bool:
    try:
        app.connect().close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # it was still in the queue when the listener closed
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", NAMES)
def test_an_idle_app_ends_with_0_when_told_to(name: str, number: signal.Signals) -> None:
    with running(name) as app:
        app.tell(number)
        assert app.exit_code() == 0
        assert f"stopping on {number.name}" in app.rest_of_log()


def test_requests_in_service_and_in_line_are_finished_before_the_end() -> None:
    with running(CONCURRENCY="2", SERVICE_TIME_MS="60") as app:
        clients = [app.connect() for _ in range(8)]
        for client in clients:
            client.sendall(REQUEST)
        until(lambda: app.stats()["waiting"] > 0, "a line")
        app.tell(signal.SIGTERM)
        answers = [read_to_end(client) for client in clients]
        for client in clients:
            client.close()
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        assert app.exit_code() == 0
        assert "8 requests served, 0 cut" in app.rest_of_log()


def test_connections_that_wait_in_the_kernel_when_the_end_begins_are_served_too() -> None:
    with running() as app:
        app.tell(signal.SIGSTOP)
        clients = [app.connect() for _ in range(200)]
        for client in clients:
            client.sendall(REQUEST)
        app.tell(signal.SIGTERM)
        app.tell(signal.SIGCONT)
        answers = [read_to_end(client) for client in clients]
        for client in clients:
            client.close()
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        assert app.exit_code() == 0


def test_answers_given_while_ending_say_that_the_connection_closes() -> None:
    with running(SERVICE_TIME_MS="100") as app, app.connect() as client:
        client.sendall(REQUEST)
        until(lambda: app.stats()["in_service"] == 1, "the request in service")
        app.tell(signal.SIGTERM)
        assert b"Connection: close\r\n" in read_to_end(client)


def test_new_connections_are_refused_while_ending() -> None:
    with running(SERVICE_TIME_MS="600000", SHUTDOWN_TIMEOUT="600") as app, app.connect() as client:
        client.sendall(REQUEST)
        until(lambda: app.stats()["in_service"] == 1, "the request in service")
        app.tell(signal.SIGTERM)
        until(lambda: is_refused(app), "the port to be closed")
        assert app.process.poll() is None


def test_idle_kept_connections_do_not_hold_up_the_end() -> None:
    with running(SHUTDOWN_TIMEOUT="600") as app, app.connect() as client:
        client.sendall(REQUEST)
        assert client.recv(65536)
        app.tell(signal.SIGTERM)
        assert app.exit_code() == 0
        assert client.recv(1024) == b""


def test_connections_that_never_spoke_hold_up_the_end_for_a_moment_only() -> None:
    with running(SHUTDOWN_TIMEOUT="600") as app, app.connect():
        until(lambda: app.stats()["connections"] == 2, "the silent connection to be taken in")
        app.tell(signal.SIGTERM)
        assert app.exit_code() == 0


def test_what_is_not_done_in_time_is_cut_and_said() -> None:
    with running(SERVICE_TIME_MS="600000", SHUTDOWN_TIMEOUT="0.2") as app, app.connect() as client:
        client.sendall(REQUEST)
        until(lambda: app.stats()["in_service"] == 1, "the request in service")
        app.tell(signal.SIGTERM)
        assert app.exit_code() == 1
        assert "1 cut" in app.rest_of_log()
        assert client.recv(1024) == b""


def test_a_second_signal_cuts_the_end_short() -> None:
    with running(SERVICE_TIME_MS="600000", SHUTDOWN_TIMEOUT="600") as app, app.connect() as client:
        client.sendall(REQUEST)
        until(lambda: app.stats()["in_service"] == 1, "the request in service")
        app.tell(signal.SIGTERM)
        app.read_log("stopping on SIGTERM")
        app.tell(signal.SIGINT)
        assert app.exit_code() == 1


def test_an_app_that_has_not_started_yet_can_be_stopped() -> None:
    port = free_port()
    with running(listens=False, PORT=str(port), START_DELAY_MS="600000") as app:
        app.host, app.port = "127.0.0.1", port
        assert is_refused(app)
        # Its handlers are installed once the kernel shows SIGTERM as caught; before that the signal would kill it.
        until(lambda: catches_sigterm(app.process.pid), "the signal handlers")
        app.tell(signal.SIGTERM)
        assert app.exit_code() == 0
        assert "before it began to listen" in app.rest_of_log()


def catches_sigterm(pid: int) -> bool:
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    with Path(f"/proc/{pid}/status").open() as status:
        caught = next(line.split()[1] for line in status if line.startswith("SigCgt"))
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def test_a_taken_port_is_said_and_ends_the_app_with_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = start_wrongly(PORT=str(port))
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in ended.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "eighty", "PORT is 'eighty': it must be a whole number from 0 to 65535"),
        ("PORT", "70000", "PORT is '70000'"),
        ("CONCURRENCY", "0", "CONCURRENCY is '0': it must be a whole number from 1"),
        ("CONCURRENCY", "2.5", "CONCURRENCY is '2.5'"),
        ("SERVICE_TIME_MS", "-1", "SERVICE_TIME_MS is '-1': it must be a number from 0"),
        ("SERVICE_TIME_MS", "nan", "SERVICE_TIME_MS is 'nan'"),
        ("LEAK_BYTES", "1MB", "LEAK_BYTES is '1MB'"),
        ("BUG", "moth", "BUG is 'moth': it must be crash, sick, slow or errors, or empty"),
        ("BUG_AFTER_MS", "soon", "BUG_AFTER_MS is 'soon': it must be a number from 0"),
        ("BUG_SLOWER_MS", "-1", "BUG_SLOWER_MS is '-1'"),
        ("APP_VERSION", "v1\r\nX-Evil: 1", "it must be printable ASCII"),
    ],
)
def test_a_wrong_setting_is_named_and_ends_the_app_with_2(name: str, value: str, said: str) -> None:
    ended = start_wrongly(**{name: value})
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def start_wrongly(**environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(APPS / "improved_app.py")]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_an_app_imports_only_what_starts_quickly(name: str) -> None:
    # A replacement serves after the app's own start: these modules alone would double it.
    slow = {
        "asyncio",
        "http",
        "json",
        "re",
        "typing",
        "dataclasses",
        "inspect",
        "pathlib",
        "threading",
        "logging",
    }
    source = APPS.parents[1]
    module = f"breakroom.apps.{name.replace('-', '_')}"
    code = f"import sys; sys.path.insert(0, {str(source)!r}); import {module}; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert slow & set(out.stdout.split()) == set()


def test_an_app_runs_from_any_directory_and_a_copy_of_its_package(tmp_path: Path) -> None:
    copy = tmp_path / "some where" / "breakroom" / "apps"
    shutil.copytree(APPS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "improved_app.py"],
        cwd=copy,
        env={"PORT": "0"},
        text=True,
        stdout=subprocess.PIPE,
    )
    app = Running(process)
    try:
        app.wait_listening()
        assert app.ask().status == 200
        app.tell(signal.SIGTERM)
        assert app.exit_code() == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
