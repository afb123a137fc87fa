"""What an operating system's error during a request means for its outcome. Pure; used by `load.client`.

`refused` is ECONNREFUSED alone: the machine answered that nobody listens. An error that a network or peer caused in
another way (a reset; no route to the host, as when a node is gone) is `reset`: the attempt was cut. The kernel's own
ETIMEDOUT is `timeout`. Everything else (no file descriptor, no free local port, forbidden by a local rule) kept
the generator itself from sending and says nothing about the service: `not-sent`.
"""

from __future__ import annotations

import errno

from breakroom.journal.samples import Outcome

__all__ = ["outcome_of_error"]

_BY_PEER = frozenset(
    {
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.ENOTCONN,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
    }
)


def outcome_of_error(code: int | None, *, connected: bool) -> Outcome:
    """The outcome of a request that the error `code` ended, while connecting or after."""
    if code == errno.ECONNREFUSED and not connected:
        return Outcome.REFUSED
    if code == errno.ETIMEDOUT:
        return Outcome.TIMEOUT
    # Once connected the request was on its way: no later error can be "not sent".
    return Outcome.RESET if connected or code in _BY_PEER else Outcome.NOT_SENT
