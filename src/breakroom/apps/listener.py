"""The listening socket of a sample app: where clients wait until they are taken in.

Used by `server`. 1,024 connections wait in the kernel; when the process has no file descriptor left, accepting
pauses and they go on waiting. Nothing is turned away in silence.
"""

from __future__ import annotations

import resource
import selectors
import socket
import sys

from breakroom.apps.log import log

__all__ = ["BACKLOG", "Listener"]

BACKLOG = 1024


class Listener:
    """A bound, non-blocking listening socket on one address, watched by a selector."""

    def __init__(self, host: str, port: int, selector: selectors.BaseSelector) -> None:
        """Bind and listen.

        Raises:
            OSError: the address cannot be had.
        """
        raise_file_limit()
        self._selector = selector
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == "::":
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # IPv4 clients too
        self._socket.setblocking(False)
        self._socket.bind((host, port))
        self._socket.listen(BACKLOG)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}/"
        self.paused = True
        self.resume()

    def accept(self) -> tuple[socket.socket, str] | None:
        """Take in one client: its socket and address. None: nobody waits, or there is no room for another."""
        try:
            client, address = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as error:
            log(f"cannot accept for now: {error.strerror or error}; clients wait")
            self.pause()
            return None
        client.setblocking(False)
        return client, address[0]

    def pause(self) -> None:
        """Let clients wait in the kernel."""
        if not self.paused:
            self._selector.unregister(self._socket)
            self.paused = True

    def resume(self) -> None:
        """Take clients in again."""
        if self.paused:
            self._selector.register(self._socket, selectors.EVENT_READ, self)
            self.paused = False

    def close(self) -> None:
        """Stop listening: from now on the kernel refuses connections."""
        self.pause()
        self._socket.close()


def raise_file_limit() -> None:
    """Allow this process as many file descriptors as it may have: each waiting client holds one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10240 if sys.platform == "darwin" else 65536  # macOS refuses more, whatever its hard limit says
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
