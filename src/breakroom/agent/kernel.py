"""What this node's kernel has counted since it started, of all its processes. Called by `acts` and by the platforms.

Standard library only.
"""

from __future__ import annotations

from pathlib import Path

from breakroom.agent.errors import ActError

__all__ = ["oom_kills"]

_COUNTERS = Path("/proc/vmstat")


def oom_kills() -> int:
    """How many processes were killed for memory, by a limit or because the machine had none left.

    Raises:
        ActError: `unsupported`: this kernel does not count them (before Linux 4.13).
    """
    try:
        counters = dict(line.split() for line in _COUNTERS.read_text().splitlines())
        return int(counters["oom_kill"])
    except (OSError, KeyError, ValueError) as error:
        raise ActError(
            "unsupported", f"this kernel's count of OOM kills cannot be read: {error!r}"
        ) from error
