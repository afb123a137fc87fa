"""Readiness of sockets: epoll where there is one, poll elsewhere, behind the same four calls.

Used by `loop`. On Linux the epoll object itself is handed out, so the data path pays for no wrapper. The fallback is
built on poll, which macOS and every other Unix has, and is tested on Linux as well; it costs time in proportion to the
number of open connections, which is fit for a lab on a laptop. Both are level-triggered (but for `EDGE`) and use the
same numbers for events (POSIX leaves them open, but Linux, macOS and the BSDs agree on these).
"""

from __future__ import annotations

import select
from typing import Protocol

__all__ = ["EDGE", "ERR", "HUP", "IN", "OUT", "PRI", "RDHUP", "READ", "PollPoller", "Poller", "make_poller"]

IN = 0x1
OUT = 0x4
ERR = 0x8
HUP = 0x10
RDHUP = 0x2000
"""The peer has sent its end of stream. Linux only; elsewhere the end is found by reading."""
READ = IN | RDHUP
PRI = 0x2
"""There are urgent bytes: what is read ends before them, though more may follow. Asked for with `EDGE` alone."""
EDGE = READ | PRI | 0x80000000
"""As READ, but said only when more comes (epoll's EPOLLET): whoever reads must take all there is, or ask anew, which
reports what is there already. The fallback goes on reporting, as for READ."""


class Poller(Protocol):
    """What of epoll's interface is used."""

    def register(self, fd: int, eventmask: int) -> None:
        """Begin to watch."""

    def modify(self, fd: int, eventmask: int) -> None:
        """Watch for something else."""

    def unregister(self, fd: int) -> None:
        """Stop watching."""

    def poll(self, timeout: float, maxevents: int) -> list[tuple[int, int]]:
        """Wait up to `timeout` seconds (below 0: for ever); return (descriptor, events) pairs."""
        ...


class PollPoller:
    """poll(2) in epoll's clothes."""

    __slots__ = ("_poll",)

    def __init__(self) -> None:
        self._poll = select.poll()

    def register(self, fd: int, eventmask: int) -> None:
        """Begin to watch."""
        self._poll.register(fd, eventmask & (IN | OUT))

    def modify(self, fd: int, eventmask: int) -> None:
        """Watch for something else."""
        self._poll.modify(fd, eventmask & (IN | OUT))

    def unregister(self, fd: int) -> None:
        """Stop watching."""
        self._poll.unregister(fd)

    def poll(self, timeout: float, maxevents: int) -> list[tuple[int, int]]:
        """Wait up to `timeout` seconds (below 0: for ever); return (descriptor, events) pairs."""
        ready = self._poll.poll(None if timeout < 0 else timeout * 1000)
        return ready[:maxevents]


def make_poller(*, portable: bool = False) -> tuple[Poller, bool]:
    """The best poller of this system, and whether a closed descriptor must be unregistered by hand.

    `portable` chooses the fallback even where epoll exists.
    """
    if not portable and hasattr(select, "epoll"):
        return select.epoll(), False
    return PollPoller(), True
