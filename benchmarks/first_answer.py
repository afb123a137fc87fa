"""A program of its own: kills a process and says when its port answers again; or how long an app takes to start.

    first_answer.py kill PID PORT [HOST]      SIGKILL → first 200 from there, in ns
    first_answer.py wait PORT                 now → first 200, in ns
    first_answer.py start PORT WORD…          spawn of the command → its first 200, in ns; the command is killed then

Run by the benchmark of replacements, for breakroom and for every peer alike; for Docker in the network namespace of its
daemon. Standard library only. A request is tried again 0.3 ms after each failure.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time

RETRY_S = 0.0003
PATIENCE_S = 60.0
REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def answers(host: str, port: int) -> bool:
    """Whether it gives a 200 now."""
    try:
        with socket.create_connection((host, port), timeout=2) as sock:
            # A port that nobody listens on may be joined to itself by the kernel.
            if sock.getsockname() == sock.getpeername():
                return False
            sock.sendall(REQUEST)
            return b" 200 " in sock.recv(64)
    except OSError:
        return False


def first_answer(host: str, port: int) -> int:
    """The time of the first 200 from there."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        if answers(host, port):
            return time.monotonic_ns()
        time.sleep(RETRY_S)
    sys.exit(f"nothing answered at {host}:{port} within {PATIENCE_S:g} s")


def killed(pid: int, host: str, port: int) -> int:
    """Nanoseconds from the kill to the replacement's first answer."""
    handle = os.pidfd_open(pid)
    begun = time.monotonic_ns()
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    # Until its last thread has ended, the old one may still answer.
    select.select([handle], [], [])
    return first_answer(host, port) - begun


def cold_start(port: int, words: list[str]) -> int:
    """Nanoseconds from the spawn of a command to its first answer."""
    begun = time.monotonic_ns()
    with subprocess.Popen(words, env={**os.environ, "PORT": str(port)}, stdout=subprocess.DEVNULL) as app:
        try:
            return first_answer("127.0.0.1", port) - begun
        finally:
            app.kill()


if __name__ == "__main__":
    if sys.argv[1] == "kill":
        host = sys.argv[4] if len(sys.argv) > 4 else "127.0.0.1"
        print(killed(int(sys.argv[2]), host, int(sys.argv[3])))
    elif sys.argv[1] == "wait":
        begun = time.monotonic_ns()
        print(first_answer("127.0.0.1", int(sys.argv[2])) - begun)
    else:
        print(cold_start(int(sys.argv[2]), sys.argv[3:]))
