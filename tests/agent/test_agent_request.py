"""One request with a time limit, against servers on loopback that answer in their own ways."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from breakroom.agent import request
from breakroom.agent.errors import ActError
from breakroom.agent.request import ask


@contextmanager
def served_by(answer: Callable[[socket.socket, bytes], None]) -> Iterator[int]:
    """A port at which one connection is answered so; it is closed only when the block ends."""
    kept: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            kept.append(connection)
            answer(connection, connection.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in kept:
                connection.close()
            thread.join()


def test_request_tells_status_and_body_though_the_server_never_closes() -> None:
    heard = []

    def answer(connection: socket.socket, head: bytes) -> None:
        heard.append(head)
        connection.sendall(b"HTTP/1.1 503 Sick\r\nContent-Length: 4\r\n\r\nsick")

    with served_by(answer) as port:
        assert ask("127.0.0.1", port, "POST", "/fail?mode=sick") == (503, "sick")
    first = heard[0].split(b"\r\n")[0]
    assert first == b"POST /fail?mode=sick HTTP/1.1"


def test_request_follows_no_redirect() -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")

    with served_by(answer) as port:
        assert ask("127.0.0.1", port, "GET", "/")[0] == 302


def test_request_to_a_port_where_nobody_listens_has_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ActError) as caught:
        ask("127.0.0.1", port, "GET", "/")
    assert caught.value.code == "no-answer"


def test_request_that_is_cut_off_in_its_answer_has_none() -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_RDWR)

    with served_by(answer) as port, pytest.raises(ActError) as caught:
        ask("127.0.0.1", port, "GET", "/")
    assert caught.value.code == "no-answer"


def test_request_to_one_who_answers_drop_by_drop_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "SECONDS", 0.3)
    ended = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        # Each drop comes well within the limit; all of them never would.
        while not ended.wait(0.02):
            connection.sendall(b".")

    with served_by(answer) as port:
        began = time.monotonic()
        with pytest.raises(ActError) as caught:
            ask("127.0.0.1", port, "GET", "/")
        took = time.monotonic() - began
        ended.set()
    assert caught.value.code == "no-answer"
    assert took >= 0.3


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "nowhere"), ("GET", "/a b"), ("G\r\nET", "/"), ("GET", "/ä")]
)
def test_request_that_http_has_no_words_for_is_a_bad_act(method: str, path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ActError) as caught:
        ask("127.0.0.1", listener.getsockname()[1], method, path)
    assert caught.value.code == "bad-act"
