"""The end of a connection of which one side was reset while the other has not taken all that was sent before.

Made by `flow.Half.abort`: an RST would throw away what waits, so it is held back until that has left, or nobody has
taken any of it for a while.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from breakroom.ingress.sockets import DONTWAIT, waiting_to_leave

if TYPE_CHECKING:
    from breakroom.ingress.flow import Half

__all__ = ["LastWords"]

_PATIENCE_NS = 5 * 10**9
_STEP_NS = 5_000_000


class LastWords:
    """The side that still has something to take; the other one is over."""

    __slots__ = ("deadline", "half")

    def __init__(self, half: Half) -> None:
        self.half = half
        self.deadline = time.monotonic_ns() + _PATIENCE_NS

    def try_again(self) -> None:
        """Write what can be written; reset when all has left, or nobody took it for too long."""
        half = self.half
        now = time.monotonic_ns()
        if half.unsent is not None:
            try:
                sent = half.send(half.unsent, DONTWAIT)
                half.unsent = half.unsent[sent:] if sent < len(half.unsent) else None
                self.deadline = now + _PATIENCE_NS
            except BlockingIOError:
                pass
            except OSError:
                half.close()
                return
        if now >= self.deadline or (half.unsent is None and not waiting_to_leave(half.sock)):
            half.close(reset=True)
        else:
            half.loop.at(now + _STEP_NS, self.try_again)
