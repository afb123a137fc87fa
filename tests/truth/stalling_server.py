"""A server that answers at once and stands still now and then: `stalling_server.py [--every 2] [--for 0.4] …`.

It prints its port. When it stands still it does nothing at all, not even accept: the kernel alone answers handshakes,
as for a process in a long garbage collection. Connections are kept alive if the client wants it.

Each line of the log is `stall BEGIN END` or, with `--answers`, `answer T`: the machine's monotonic clock in ns.
Also the server of `benchmarks/bench_omission.py`. The standard library only, and nothing of breakroom's.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n%s\r\nok\n"
BACKLOG = 4096


class Server:
    """One thread, one selector."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.every, self.length = round(options.every * 1e9), round(options.length * 1e9)
        self.next = time.monotonic_ns() + round(options.first * 1e9)
        self.answers = options.answers
        self.log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if options.log else -1
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", options.port), backlog=BACKLOG)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        print(self.listener.getsockname()[1], flush=True)

    def run(self) -> None:
        """Serve until killed."""
        while True:
            for key, _ in self.selector.select(max(0.0, (self.next - time.monotonic_ns()) / 1e9)):
                # Between two answers, too: a heap of waiting requests does not put a stall off.
                self._stall_if_due()
                if key.fileobj is self.listener:
                    self._accept()
                else:
                    self._answer(key.fileobj)  # type: ignore[arg-type]  # only sockets are registered
            self._stall_if_due()

    def _stall_if_due(self) -> None:
        if time.monotonic_ns() < self.next:
            return
        begin = time.monotonic_ns()
        end = begin + self.length
        while (left := end - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        self._write(f"stall {begin} {time.monotonic_ns()}")
        self.next = max(self.next + self.every, time.monotonic_ns())

    def _write(self, line: str) -> None:
        if self.log >= 0:
            os.write(self.log, line.encode() + b"\n")

    def _accept(self) -> None:
        for _ in range(64):
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(client, selectors.EVENT_READ)

    def _answer(self, client: socket.socket) -> None:
        try:
            request = client.recv(65536).lower()
            if request:
                old = b" http/1.0\r\n" in request and b"keep-alive" not in request
                close = old or b"connection: close" in request
                said = b"close" if close else b"keep-alive"
                client.sendall(OK % (b"Connection: " + said + b"\r\n"))
                if self.answers:
                    self._write(f"answer {time.monotonic_ns()}")
                if not close:
                    return
        except OSError:
            pass  # the client is gone
        self.selector.unregister(client)
        client.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--every", type=float, default=10.0, help="seconds from one stall's begin to the next one's"
    )
    parser.add_argument("--for", dest="length", type=float, default=2.0, help="seconds that it stands still")
    parser.add_argument("--first", type=float, default=1.0, help="seconds until the first stall")
    parser.add_argument("--log", default="")
    parser.add_argument("--answers", action="store_true", help="write down every answer, too")
    Server(parser.parse_args()).run()


if __name__ == "__main__":
    main()
