"""What the sample apps answer, and what they do not put up with."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator

import pytest

from apps.apps_kit import Running, read_to_end, running, until

APP_NAMES = ("improved-app", "memory-leak-app", "health-app")


@pytest.fixture(scope="module")
def app() -> Iterator[Running]:
    with running() as one:
        yield one


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("name", APP_NAMES)
def test_the_front_page_says_who_answered(name: str) -> None:
    with running(name, BREAKROOM_TASK_ID="web.2.abc", APP_VERSION="v7") as app:
        first, second = app.ask(), app.ask()
        assert first.status == 200
        assert first.headers["X-Task-Id"] == first.body["task"] == "web.2.abc"
        assert first.headers["X-Version"] == first.body["version"] == "v7"
        assert first.headers["Content-Type"] == "application/json"
        assert first.body["app"] == name
        assert first.body["pid"] == app.process.pid
        assert first.body["host"] == os.uname().nodename
        assert (first.body["served"], second.body["served"]) == (1, 2)


@pytest.mark.parametrize("name", APP_NAMES)
def test_every_app_has_a_health_page(name: str) -> None:
    with running(name) as app:
        answer = app.ask("/health")
        assert (answer.status, answer.body["status"]) == (200, "ok")


def test_without_a_task_id_the_hostname_variable_names_the_task() -> None:
    with running(BREAKROOM_TASK_ID="", HOSTNAME="f00dfeed") as app:
        assert app.ask().headers["X-Task-Id"] == "f00dfeed"


def test_without_any_name_the_host_names_the_task_and_v1_is_the_version() -> None:
    with running(BREAKROOM_TASK_ID="") as app:
        answer = app.ask()
        assert answer.headers["X-Task-Id"] == os.uname().nodename
        assert answer.headers["X-Version"] == "v1"


def test_release_two_of_the_improved_app_answers_visibly_differently() -> None:
    with running(APP_VERSION="v1") as old, running(APP_VERSION="v2") as new:
        before, after = old.ask().body, new.ask().body
        assert before["message"] != after["message"]
        assert "v2" in after["message"]
        assert after.keys() - before.keys() == {"new"}


def test_bodies_have_one_length_though_their_counters_grow(app: Running) -> None:
    # `ab` counts every answer of another length than the first one's as failed.
    lengths = {app.ask().headers["Content-Length"] for _ in range(12)}
    assert len(lengths) == 1


def test_head_has_the_headers_of_get_and_no_body(app: Running) -> None:
    head, get = app.ask("/health", "HEAD"), app.ask("/health")
    assert head.raw == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.raw))


def test_an_unknown_page_is_404_and_names_the_known_ones(app: Running) -> None:
    answer = app.ask("/nowhere")
    assert answer.status == 404
    assert {"/", "/health", "/stats"} <= set(answer.body["pages"])


@pytest.mark.parametrize("method", ["POST", "DELETE", "BREW"])
def test_another_method_is_405_and_says_what_is_allowed(app: Running, method: str) -> None:
    answer = app.ask("/", method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.0\n\n", 400),
        (b"GET / FTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 20000, 431),
    ],
)
def test_rubbish_is_answered_with_its_reason_and_the_connection_closed(
    app: Running, sent: bytes, status: int
) -> None:
    answer = app.say(sent)
    assert status_of(answer) == status
    assert b"Connection: close" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_a_refusal_is_readable_though_the_client_went_on_sending(app: Running) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
    assert status_of(app.say(head + b"x" * 300_000)) == 413


def test_the_app_serves_on_after_rubbish(app: Running) -> None:
    app.say(b"\x00\xff")
    assert app.ask().status == 200


def test_a_connection_is_kept_for_the_next_request(app: Running) -> None:
    client = app.keep_alive()
    for path in ("/", "/health", "/nowhere", "/"):
        client.request("GET", path)
        response = client.getresponse()
        assert response.headers["Connection"] == "keep-alive"
        response.read()
    client.close()


def test_connection_close_is_obeyed_and_said(app: Running) -> None:
    answer = app.say(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status_of(answer) == 200
    assert b"Connection: close\r\n" in answer


def test_http_1_0_closes_unless_it_asks_to_be_kept(app: Running) -> None:
    assert b"Connection: close\r\n" in app.say(b"GET / HTTP/1.0\r\n\r\n")
    with app.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        assert b"Connection: keep-alive\r\n" in client.recv(65536)
        client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert status_of(read_to_end(client)) == 200


def test_pipelined_requests_are_answered_in_their_order(app: Running) -> None:
    paths = ["/health", "/", "/nowhere"] * 100
    sent = "".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths)
    answer = app.say(sent.encode() + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 200, 404] * 100 + [200]


def test_thousands_of_pipelined_requests_do_not_exhaust_the_stack(app: Running) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with app.connect() as client:
        client.settimeout(20)
        client.sendall(request * 1800)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client).count(b"HTTP/1.1 200") == 1800


def test_a_request_in_single_bytes_is_understood(app: Running) -> None:
    with app.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            client.sendall(bytes([byte]))
        assert status_of(read_to_end(client)) == 200


def test_a_client_that_has_closed_its_half_is_answered(app: Running) -> None:
    with app.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert status_of(read_to_end(client)) == 200


def test_a_body_is_taken_off_the_connection(app: Running) -> None:
    client = app.keep_alive()
    client.request("POST", "/nowhere", body=b"GET / HTTP/1.1\r\n\r\n" * 50)
    assert client.getresponse().read()
    client.request("GET", "/health")
    assert client.getresponse().status == 200
    client.close()


def test_a_client_that_waits_for_100_continue_gets_it(app: Running) -> None:
    with app.connect() as client:
        client.sendall(
            b"POST /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        assert client.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello")
        assert status_of(read_to_end(client)) == 404


def test_an_absolute_target_is_served_like_its_path(app: Running) -> None:
    assert status_of(app.say(b"GET http://web/health HTTP/1.0\r\n\r\n")) == 200


def test_clients_that_vanish_leave_no_connection_behind(app: Running) -> None:
    for _ in range(50):
        with app.connect() as client:
            client.sendall(b"GET / HTT")
    until(lambda: app.stats()["connections"] == 1, "only the connection that asks to be left")


def test_a_client_that_takes_too_long_to_ask_is_told_so() -> None:
    with running(REQUEST_TIMEOUT="0.3") as app:
        assert status_of(app.say(b"GET / HTTP/1.1\r\nHost")) == 408
        assert status_of(app.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")) == 408


def test_a_client_that_never_asks_is_let_go_without_an_answer() -> None:
    with running(REQUEST_TIMEOUT="0.3") as app:
        assert app.say(b"") == b""


def test_a_request_may_take_longer_to_serve_than_to_send() -> None:
    with running(REQUEST_TIMEOUT="0.3", SERVICE_TIME_MS="900") as app:
        assert app.ask().status == 200


def test_stats_count_the_answers_by_status() -> None:
    with running() as app:
        app.ask("/")
        app.ask("/nowhere")
        app.say(b"\x00")
        assert app.stats()["answers"] == {"200": 1, "400": 1, "404": 1}


def test_requests_are_logged_when_asked_for() -> None:
    with running(LOG="1") as app:
        app.ask("/health?deep=1")
        assert '"GET /health HTTP/1.1" 200' in app.read_log("GET")


def test_the_app_listens_on_ipv6_when_told() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with running(HOST="::1") as app:
        assert app.host == "::1"
        assert app.ask().status == 200
