"""Free loopback ports for tasks.

Used by `engine.shell.node` at Prepare. A task's port is chosen below the range from which the kernel takes
ports for clients, so that no client of the load generator can be sitting on it when the task starts. On Linux
a choice is also announced as a socket name in the abstract namespace: other engines on the machine see it
taken in the time between the choice and the task's own `bind`, and the kernel withdraws it when the engine
dies. Elsewhere engines only start looking at different places.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

__all__ = ["NoFreePortError", "PortPool"]

_LOWEST = 20_000
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# macOS and the IANA registry begin the ephemeral range here.
_IANA_FIRST_EPHEMERAL = 49_152


class NoFreePortError(Exception):
    """Every port of the range is taken."""


class PortPool:
    """Gives out ports of 127.0.0.1, each to one task at a time."""

    def __init__(self) -> None:
        first_ephemeral = _first_ephemeral()
        lowest = min(_LOWEST, max(1024, first_ephemeral // 2))
        self._ports = range(lowest, first_ephemeral)
        self._next = (os.getpid() * 97) % len(self._ports)
        self._claims: dict[int, socket.socket | None] = {}

    def take(self) -> int:
        """A port that nothing listens on and no engine has promised.

        Raises:
            NoFreePortError: there is none.
        """
        for _ in range(len(self._ports)):
            port = self._ports[self._next % len(self._ports)]
            # Going round in a circle keeps a port that was just given back from being reused while
            # clients still believe in its old owner.
            self._next = (self._next + 1) % len(self._ports)
            if port not in self._claims and self._claim(port):
                return port
        raise NoFreePortError(
            f"no free port from {self._ports.start} to {self._ports.stop - 1}: too many servers run here"
        )

    def give_back(self, port: int) -> None:
        """The task is over; harmless if it was given back already."""
        claim = self._claims.pop(port, None)
        if claim is not None:
            claim.close()

    def close(self) -> None:
        """Give everything back."""
        for port in tuple(self._claims):
            self.give_back(port)

    def _claim(self, port: int) -> bool:
        claim = None
        if sys.platform == "linux":
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0breakroom-port-{port}")
            except OSError:
                claim.close()
                return False
        if not _is_free(port):
            if claim is not None:
                claim.close()
            return False
        self._claims[port] = claim
        return True


def _is_free(port: int) -> bool:
    """Whether a server could listen on it, on loopback and on all addresses."""
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104  # never listened on
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((host, port))
        except OSError:
            if family == socket.AF_INET6 and not _has_ipv6():
                continue
            return False
    return True


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def _first_ephemeral() -> int:
    try:
        first = int(_RANGE_FILE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _IANA_FIRST_EPHEMERAL
    # A machine that gives its clients nearly all ports leaves no room below; take the usual room then.
    return first if first > 4096 else 32_768
