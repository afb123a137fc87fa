"""Which errors of the kernel say that this machine ran out of something, and so nothing about a task.

Used by `probes` and `node`: a probe that could not be made, or a program that could not be started, for want of a file
descriptor looks to the core like a sick or broken task. The reader of the results must know that it was neither.
"""

from __future__ import annotations

import errno

__all__ = ["machine_lacks"]

_LACKING = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.EADDRNOTAVAIL,
        errno.ENOSPC,
    }
)
"""No descriptor, buffer, memory, process, local port or room on the disk."""


def machine_lacks(error: OSError) -> str:
    """What the machine ran out of, in the kernel's words; empty: the error says something else."""
    return (error.strerror or str(error)) if error.errno in _LACKING else ""
