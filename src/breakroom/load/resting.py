"""Connections without a request: idle ones to be used again, and lingering ones left for the server to close.

Used by `load.client` alone, one for each. Why the server is to close: docs/load.md, "Connections and local ports".
"""

from __future__ import annotations

from breakroom.load.connection import Connection
from breakroom.load.poller import Poller

__all__ = ["Resting"]

_MAX_LINGERING = 512


class Resting:
    """The connections of one client that have no request on them, by descriptor."""

    __slots__ = ("_lingering", "_old_lingering", "_poller", "idle")

    def __init__(self, poller: Poller) -> None:
        self.idle: dict[int, Connection] = {}
        """To be used again; the client puts them in and takes them out."""
        self._lingering: dict[int, Connection] = {}
        self._old_lingering: dict[int, Connection] = {}
        self._poller = poller

    def linger(self, connection: Connection) -> bool:
        """Leave it for the server to close; False if too many are."""
        if len(self._lingering) >= _MAX_LINGERING:
            return False
        self._lingering[connection.fd] = connection
        return True

    def woke(self, fd: int) -> bool:
        """Something happened on a connection: if it is one of these, the server closed it, or talks out of turn.

        Returns:
            Whether it is one of these.
        """
        connection = (
            self._lingering.pop(fd, None) or self._old_lingering.pop(fd, None) or self.idle.pop(fd, None)
        )
        if connection is None:
            return False
        self._close(connection)
        return True

    def sweep(self) -> None:
        """Close those that have lingered since before the last call."""
        for connection in self._old_lingering.values():
            self._close(connection)
        self._old_lingering = self._lingering
        self._lingering = {}

    def drop_lingering(self) -> bool:
        """Close all that linger, for their descriptors; returns whether there were any."""
        any_left = bool(self._lingering or self._old_lingering)
        self.sweep()
        self.sweep()
        return any_left

    def close(self) -> None:
        """Close all."""
        self.drop_lingering()
        for connection in self.idle.values():
            self._close(connection)
        self.idle.clear()

    def _close(self, connection: Connection) -> None:
        self._poller.forget(connection.fd)
        connection.close()
