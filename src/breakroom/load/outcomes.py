"""What an operating system's error during a request means for its outcome. Pure; used by `load.client`.

`refused` is ECONNREFUSED alone: the machine answered that nobody listens. An error that a network or peer caused in
another way (a reset; no route to the host, as when a node is gone) is `reset`: the attempt was cut. The kernel's own
ETIMEDOUT is `timeout`. What this machine lacks (a file descriptor, a local port, a buffer) says nothing about the
service, whenever it comes: `not-sent`. So does everything else before the connection stood (forbidden by a local rule).
"""

from __future__ import annotations

import errno

from breakroom.journal.samples import Outcome

__all__ = ["of_this_machine", "outcome_of_error"]

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

_BY_US = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EADDRINUSE}
)
"""What the machine of the generator ran out of."""


def of_this_machine(code: int | None) -> bool:
    """Whether the error says that the generator's own machine ran out of something."""
    return code in _BY_US


def outcome_of_error(code: int | None, *, connected: bool) -> Outcome:
    """The outcome of a request that the error `code` ended, while connecting or after."""
    if of_this_machine(code):
        return Outcome.NOT_SENT
    if code == errno.ECONNREFUSED and not connected:
        return Outcome.REFUSED
    if code == errno.ETIMEDOUT:
        return Outcome.TIMEOUT
    # Once connected the request was on its way: no other error can be "not sent".
    return Outcome.RESET if connected or code in _BY_PEER else Outcome.NOT_SENT
