"""Addresses at which something else than a Docker daemon answers, or nothing does though it listens."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker import connect as connecting

_PAGE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
_STRANGERS = {
    "a text without a type": _PAGE + b"\r\nhello",
    "a page": _PAGE + b"Content-Type: text/html\r\n\r\nhello",
    "broken JSON": _PAGE + b"Content-Type: application/json\r\n\r\nhello",
    "another program's JSON": _PAGE + b'Content-Type: application/json\r\n\r\n{"":1}',
    "a list": _PAGE + b"Content-Type: application/json\r\n\r\n[1,2]",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\n404",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@contextmanager
def _answering(answer: bytes | None) -> Iterator[str]:
    """A server that gives every caller that answer, or with None none; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        callers: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                callers.append(caller)
                if answer is not None:
                    caller.recv(4096)
                    caller.sendall(answer)
                    caller.close()

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
            for caller in callers:
                caller.close()


def _refused(address: str) -> PlatformError:
    with pytest.raises(PlatformError) as refused:
        asyncio.run(connecting.connect({"DOCKER_HOST": address, "HOME": "/nonexistent"}))
    return refused.value


@pytest.mark.parametrize("answer", _STRANGERS.values(), ids=_STRANGERS.keys())
def test_what_answers_is_not_a_docker_daemon(answer: bytes) -> None:
    with _answering(answer) as address:
        error = _refused(address)
    assert error.code == "daemon-missing"
    assert str(error) == f"what answers at {address} (by DOCKER_HOST) is not a Docker daemon"
    assert "check the address" in error.hint


def test_what_listens_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "_FIRST_ANSWER_S", 0.5)
    with _answering(None) as address:
        error = _refused(address)
    assert error.code == "daemon-missing"
    assert address in str(error)
    assert "does not answer" in str(error)
    assert "docker info" in error.hint


def test_a_missing_daemon_elsewhere_is_not_told_to_be_started_here() -> None:
    error = _refused("tcp://127.0.0.1:1")
    assert error.code == "daemon-missing"
    assert "systemctl" not in error.hint
    assert "check the address" in error.hint
