"""What this process has used so far: CPU time and the largest memory. The tool's own cost is made of it.

Called by the director (the main process, over a trial and over a run) and by `breakroom load`. Reads the kernel's
accounting of this process and nothing else.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "own_usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Since the process's start."""

    cpu_user_ns: int
    cpu_system_ns: int
    max_rss_bytes: int


def own_usage() -> Usage:
    """This process alone, without the ones it started."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(int(used.ru_utime * 1e9), int(used.ru_stime * 1e9), _max_rss(used.ru_maxrss))


def _max_rss(reported: int) -> int:
    """Our own peak of resident memory: Linux's getrusage counts that of the process which we were forked from."""
    try:
        with Path("/proc/self/status").open("rb") as status:
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    # In KiB on Linux, in bytes on macOS (getrusage(2) of each).
    return reported if sys.platform == "darwin" else reported * 1024
