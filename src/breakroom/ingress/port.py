"""The published port: reserved from the first moment to the last, listening only while a task is in rotation.

Used by `server`. A port that nobody serves must *refuse* connections, as a host without the container would, and yet no
other program may take it in the meantime. Two ways to hold it so:

- Linux: one socket an address, for ever. `shutdown` takes a listening socket back to the closed state: the kernel
  resets what waits in its accept queue, answers new SYNs with RST, and keeps the binding because the port was asked for
  by number. `listen` opens it again. SO_REUSEADDR, which is needed to bind past TIME_WAIT leftovers, would let another
  program with the same option bind while ours does not listen; so it is taken off while closed. SO_REUSEPORT is never
  set: no program can share the port, not even one of the same user.
- Elsewhere: a bound, not listening socket with SO_REUSEPORT is the placeholder. To open, it is made to listen; to
  close, a new placeholder is bound first and the listening one closed. A plain bind at the start makes sure that
  nobody holds the port; a later program of the same user that sets SO_REUSEPORT could share it, which cannot be
  prevented there.
"""

from __future__ import annotations

import errno
import socket
import sys
from dataclasses import dataclass, field

__all__ = ["PortError", "PublishedPort"]

_BACKLOG = 4096
_ATTEMPTS = 32
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})


class PortError(Exception):
    """The port cannot be had. `code` is `port-taken` or `bind-failed`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(slots=True)
class PublishedPort:
    """A port number held on one or more addresses. Made by `reserve`."""

    port: int
    hosts: tuple[str, ...]
    sockets: list[socket.socket]
    relisten: bool
    is_open: bool = field(default=False)

    @classmethod
    def reserve(cls, hosts: tuple[str, ...], port: int, *, portable: bool = False) -> PublishedPort:
        """Take the port on all `hosts` that this machine has; it refuses connections until `open`.

        `portable` chooses the placeholder way even on Linux.

        Raises:
            PortError: somebody has the port, or it may not be bound, or none of the hosts exists here.
        """
        relisten = sys.platform == "linux" and not portable
        for _ in range(_ATTEMPTS):
            number = port or _free_port(hosts)
            try:
                sockets = _bind_all(hosts, number, relisten=relisten)
            except OSError as error:
                if error.errno == errno.EADDRINUSE and port == 0:
                    continue  # Free on one address, taken on another: choose again.
                raise _explain(error, number) from None
            present = tuple(host for host, bound in zip(hosts, sockets, strict=True) if bound is not None)
            held = [bound for bound in sockets if bound is not None]
            if not held:
                raise PortError("bind-failed", f"none of {', '.join(hosts)} exists on this machine")
            return cls(number, present, held, relisten)
        raise PortError("port-taken", f"no port number is free on all of {', '.join(hosts)}")

    def open(self) -> None:
        """Listen.

        Raises:
            PortError: another program took the port while it was closed.
        """
        try:
            for each in self.sockets:
                if self.relisten:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                each.listen(_BACKLOG)
        except OSError as error:
            raise _explain(error, self.port) from None
        self.is_open = True

    def close(self) -> None:
        """Refuse new connections and reset those that were not accepted yet; the port stays ours."""
        self.is_open = False
        if self.relisten:
            for each in self.sockets:
                _stop_listening(each)
            return
        for place, each in enumerate(self.sockets):
            self.sockets[place] = _placeholder(self.hosts[place], self.port)
            each.close()

    def release(self) -> None:
        """Give the port back."""
        for each in self.sockets:
            each.close()


def _explain(error: OSError, port: int) -> PortError:
    if error.errno == errno.EADDRINUSE:
        return PortError(
            "port-taken", f"port {port} is taken by another program; stop it, or publish another port"
        )
    return PortError("bind-failed", f"port {port} cannot be bound: {error.strerror}")


def _free_port(hosts: tuple[str, ...]) -> int:
    for host in hosts:
        try:
            with _socket_for(host) as probe:
                probe.bind((host, 0))
                return int(probe.getsockname()[1])
        except OSError as error:
            if error.errno not in _ABSENT:
                raise _explain(error, 0) from None
    raise PortError("bind-failed", f"none of {', '.join(hosts)} exists on this machine")


def _bind_all(hosts: tuple[str, ...], port: int, *, relisten: bool) -> list[socket.socket | None]:
    bound: list[socket.socket | None] = []
    try:
        for host in hosts:
            try:
                bound.append(_exclusive(host, port) if relisten else _checked_placeholder(host, port))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                bound.append(None)
    except OSError:
        for each in bound:
            if each is not None:
                each.close()
        raise
    return bound


def _socket_for(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    if ":" in host:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # Accepted connections inherit it, which saves a system call for each.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _bind(made: socket.socket, host: str, port: int) -> socket.socket:
    try:
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def _exclusive(host: str, port: int) -> socket.socket:
    made = _socket_for(host)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _bind(made, host, port)
    try:
        # The kernel remembers "everyone so far would share" for the port until one of its sockets listens.
        made.listen(1)
        _stop_listening(made)
    except OSError:
        made.close()
        raise
    return made


def _stop_listening(listening: socket.socket) -> None:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    listening.shutdown(socket.SHUT_RDWR)


def _checked_placeholder(host: str, port: int) -> socket.socket:
    probe = _socket_for(host)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _bind(probe, host, port).close()
    return _placeholder(host, port)


def _placeholder(host: str, port: int) -> socket.socket:
    made = _socket_for(host)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _bind(made, host, port)
