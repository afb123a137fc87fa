"""Readiness of many sockets, and waits that end on time: epoll on Linux, poll elsewhere. Used by `load.worker`.

epoll's timeout counts whole milliseconds, too coarse for an arrival. The last two milliseconds are therefore waited
for with `select` on the epoll descriptor itself, whose timeout counts microseconds; nothing spins.
"""

from __future__ import annotations

import select
import sys

__all__ = ["CLOSED", "READ", "READ_OR_CLOSED", "WRITE", "Poller"]

_FINE_NS = 2_000_000

if sys.platform == "linux":
    READ = select.EPOLLIN
    WRITE = select.EPOLLOUT
    # What an event says where the other side sends nothing more, and what asks to be told so.
    CLOSED = select.EPOLLRDHUP | select.EPOLLHUP
    READ_OR_CLOSED = READ | select.EPOLLRDHUP

    class Poller:
        """Watches file descriptors. A closed one leaves by itself."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._list = [self._epoll.fileno()]
            self.watch = self._epoll.register
            self.change = self._epoll.modify

        def forget(self, fd: int) -> None:
            """Say that `fd` is about to be closed; epoll needs no telling."""

        def wait(self, timeout_ns: int) -> list[tuple[int, int]]:
            """Events as (fd, mask), at the latest after `timeout_ns` (and perhaps some µs); at once if ≤ 0."""
            if timeout_ns <= 0:
                return self._epoll.poll(0)
            if timeout_ns > _FINE_NS:
                # Rounded down to milliseconds, less one: the rest is a fine wait on the next call.
                return self._epoll.poll((timeout_ns // 1_000_000 - 1) / 1000)
            ready, _, _ = select.select(self._list, (), (), timeout_ns / 1e9)
            return self._epoll.poll(0) if ready else []

        def close(self) -> None:
            """Give the descriptor back."""
            self._epoll.close()

else:
    READ = select.POLLIN
    WRITE = select.POLLOUT
    CLOSED = select.POLLHUP
    READ_OR_CLOSED = READ

    class Poller:
        """Watches file descriptors with poll, whose timeout counts milliseconds."""

        def __init__(self) -> None:
            self._poll = select.poll()
            self.watch = self._poll.register
            self.change = self._poll.modify

        def forget(self, fd: int) -> None:
            """Stop watching `fd`, before it is closed."""
            try:
                self._poll.unregister(fd)
            except KeyError:
                return

        def wait(self, timeout_ns: int) -> list[tuple[int, int]]:
            """Events as (fd, mask), at the latest after `timeout_ns`; at once if ≤ 0."""
            if 0 < timeout_ns < _FINE_NS:
                # With nothing to watch, select is a sleep that counts microseconds.
                select.select((), (), (), min(timeout_ns, 200_000) / 1e9)
                timeout_ns = 0
            return self._poll.poll(max(0, timeout_ns // 1_000_000 - 1))

        def close(self) -> None:
            """Nothing to give back."""
