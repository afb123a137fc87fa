"""Bad releases of the improved app: each bug shows where it should, and nowhere else."""

from __future__ import annotations

import socket
import time

import pytest

from apps.apps_kit import running, until


def test_a_release_that_crashes_serves_first_and_then_ends_with_1() -> None:
    with running(BUG="crash", BUG_AFTER_MS="2500", SERVICE_TIME_MS="600000", APP_VERSION="v2") as app:
        assert app.ask("/health").status == 200
        with app.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert app.exit_code() == 1
            assert _rest(client) == b""
        assert "improved-app v2 has a bug: it crashes" in app.rest_of_log()


def _rest(client: socket.socket) -> bytes:
    try:
        return client.recv(1024)
    except ConnectionResetError:
        return b""


def test_it_crashes_soon_after_its_start_if_nothing_else_is_said() -> None:
    with running(BUG="crash") as app:
        assert app.exit_code() == 1


def test_it_crashes_although_nobody_asks_it_anything_and_not_before_it_listens() -> None:
    with running(BUG="crash", BUG_AFTER_MS="0", START_DELAY_MS="200") as app:
        assert app.exit_code() == 1
        assert "listening on" in app.rest_of_log()


def test_a_release_that_is_sick_says_503_on_health_alone() -> None:
    with running(BUG="sick") as app:
        answer = app.ask("/health")
        assert (answer.status, answer.body["status"]) == (503, "sick")
        assert app.ask("/").status == 200
        assert app.ask("/stats").body["bug"] == "sick"


def test_a_release_that_is_slow_is_so_on_its_front_page_alone() -> None:
    with running(BUG="slow", BUG_SLOWER_MS="250", SERVICE_TIME_MS="50") as app:
        begun = time.monotonic()
        assert app.ask("/").status == 200
        assert time.monotonic() - begun >= 0.3
        assert app.stats()["service_time_ms"] == 300


def test_a_full_house_of_slow_requests_does_not_keep_health_from_being_answered() -> None:
    with running(BUG="slow", BUG_SLOWER_MS="600000") as app:
        clients = [app.connect() for _ in range(20)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: app.stats()["in_service"] == 16, "a full house")
        assert app.ask("/health").status == 200
        for client in clients:
            client.close()


def test_a_release_is_slower_by_a_second_and_a_half_if_nothing_else_is_said() -> None:
    with running(BUG="slow") as app:
        assert app.stats()["service_time_ms"] == 1500


def test_a_release_with_errors_says_500_on_its_front_page_alone() -> None:
    with running(BUG="errors", APP_VERSION="v2") as app:
        answer = app.ask("/")
        assert (answer.status, answer.headers["X-Version"]) == (500, "v2")
        assert "has a bug" in answer.body["error"]
        assert app.ask("/health").status == 200
        assert app.stats()["answers"]["500"] == 1


@pytest.mark.parametrize("bug", ["", "  "])
def test_a_release_without_a_bug_is_well(bug: str) -> None:
    with running(BUG=bug) as app:
        assert app.ask("/").status == 200
        assert app.ask("/health").status == 200
        assert app.stats()["bug"] == ""


@pytest.mark.parametrize("name", ["memory-leak-app", "health-app"])
def test_the_other_apps_have_no_bad_release(name: str) -> None:
    with running(name, BUG="errors") as app:
        assert app.ask("/").status == 200
