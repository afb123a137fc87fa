"""health-app falls ill in each of its ways, visibly, and recovers where it can."""

from __future__ import annotations

import http.client
import signal
import socket

import pytest

from apps.apps_kit import Running, running, until


def fail(app: Running, query: str) -> tuple[int, dict[str, object]]:
    answer = app.ask(f"/fail?{query}", "POST")
    return answer.status, answer.body


def test_a_sick_app_says_503_on_health_alone_until_it_recovers() -> None:
    with running("health-app") as app:
        assert fail(app, "mode=sick") == (200, {"mode": "sick"})
        assert app.ask("/health").status == 503
        assert app.ask("/").status == 200
        assert app.stats()["mode"] == "sick"
        assert app.ask("/recover").status == 200
        assert app.ask("/health").status == 200


def test_a_slow_app_answers_nothing_sooner_than_it_was_told_to() -> None:
    import time

    with running("health-app") as app:
        fail(app, "mode=slow&ms=150")
        for path in ("/", "/health"):
            begun = time.monotonic()
            assert app.ask(path).status == 200
            assert time.monotonic() - begun >= 0.15
        app.ask("/recover")
        assert app.stats()["service_time_ms"] == 0


def test_recovering_serves_a_long_line_at_once_without_exhausting_the_stack() -> None:
    with running("health-app", CONCURRENCY="1") as app:
        fail(app, "mode=slow&ms=300")
        clients = [app.connect() for _ in range(1100)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        until(lambda: app.stats()["waiting"] > 1000, "a long line")
        app.ask("/recover")
        assert all(client.recv(65536).startswith(b"HTTP/1.1 200") for client in clients)
        for client in clients:
            client.close()


def test_a_hanging_app_lives_accepts_and_answers_nothing() -> None:
    with running("health-app") as app:
        assert fail(app, "mode=hang")[0] == 200
        app.read_log("hangs, for ever")
        with app.connect() as client:
            client.settimeout(0.3)
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(socket.timeout):
                client.recv(1)
        app.tell(signal.SIGTERM)  # it does not hear this either
        assert app.process.poll() is None


def test_a_hang_for_a_time_ends_by_itself() -> None:
    with running("health-app") as app:
        fail(app, "mode=hang&seconds=1")
        assert app.ask("/health").status == 200


def test_an_app_told_to_exit_does_so_with_that_code_in_the_middle_of_everything() -> None:
    with running("health-app", SERVICE_TIME_MS="600000") as app, app.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: app.stats()["in_service"] == 1, "the request in service")
        assert fail(app, "mode=exit&code=7")[0] == 200
        assert app.exit_code() == 7
        assert client.recv(1024) == b""


@pytest.mark.parametrize(
    "query", ["mode=tired", "mode=exit&code=999", "mode=slow&ms=-1", "mode=hang&seconds=1.5"]
)
def test_a_wrong_illness_is_refused_and_changes_nothing(query: str) -> None:
    with running("health-app") as app:
        status, body = fail(app, query)
        assert status == 400
        assert "must be" in str(body["error"])
        assert app.ask("/health").status == 200


def test_falling_ill_takes_a_post() -> None:
    with running("health-app") as app:
        answer = app.ask("/fail?mode=exit")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert app.ask("/health").status == 200


def test_the_other_apps_cannot_be_told_to_fail() -> None:
    with running("improved-app") as app:
        assert fail(app, "mode=exit")[0] == 404


def test_head_of_health_has_the_sick_status_too() -> None:
    with running("health-app") as app:
        fail(app, "mode=sick")
        client = http.client.HTTPConnection(app.host, app.port, timeout=20)
        client.request("HEAD", "/health")
        assert client.getresponse().status == 503
        client.close()
