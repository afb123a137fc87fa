"""A service that keeps its own books: `witness_server.py PORT DIRECTORY`, run as a drill's command.

Each task appends to `DIRECTORY/PID.log`, a line an event, with the machine's monotonic clock in ns, handed to the
kernel before anything else happens, so that a SIGKILL loses none:

    T pid PID TASK
    T accepted NUMBER
    T begun NUMBER PATH        the request has been read
    T answered NUMBER PATH     the whole answer has been handed to the kernel

Capacity is limited (3 requests at a time, 25 ms each), as the built-in drill's app is. Knows nothing of breakroom but
the task's id in its environment. With `--ignore SIGNAL` it survives that signal.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from itertools import count
from pathlib import Path

CONCURRENCY = 3
SERVICE_S = 0.025


class Books:
    """The log of one process."""

    def __init__(self, directory: Path) -> None:
        self._fd = os.open(directory / f"{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, *words: object) -> None:
        line = " ".join(map(str, (time.monotonic_ns(), *words)))
        os.write(self._fd, line.encode() + b"\n")


def serve(port: int, directory: Path, task: str) -> None:
    """Serve until killed."""
    books = Books(directory)
    books.write("pid", os.getpid(), task)
    turn = threading.Semaphore(CONCURRENCY)
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        for number in count():
            connection, _ = listener.accept()
            books.write("accepted", number)
            threading.Thread(target=answer, args=(connection, number, books, turn, task), daemon=True).start()


def answer(
    connection: socket.socket, number: int, books: Books, turn: threading.Semaphore, task: str
) -> None:
    """One request on one connection."""
    with connection:
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(4096)
            if not data:
                return
            head += data
        path = head.split(b" ", 2)[1].decode()
        books.write("begun", number, path)
        if path != "/health":
            with turn:
                time.sleep(SERVICE_S)
        try:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\nX-Task-Id: "
                + task.encode()
                + b"\r\n\r\nok\n"
            )
        except OSError:
            return
        books.write("answered", number, path)


def main(arguments: list[str]) -> None:
    """Read the command line and serve."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if len(arguments) > 2 and arguments[2] == "--ignore":
        signal.signal(signal.Signals[arguments[3]], signal.SIG_IGN)
    serve(int(arguments[0]), Path(arguments[1]), os.environ["BREAKROOM_TASK_ID"])


if __name__ == "__main__":
    main(sys.argv[1:])
