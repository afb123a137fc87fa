"""Notes when processes die: `watcher.py DIRECTORY OUTPUT`, in a process of its own, until its standard input closes.

Watches every process that has begun its books in DIRECTORY (witness_server.py) through a pidfd, and writes for each
that died a line `PID ALIVE_AT DEAD_BY`, in ns of the machine's monotonic clock: it was alive after ALIVE_AT (asked
later, the kernel said so), and it was dead before DEAD_BY. Linux only.
"""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path

POLL_MS = 1
LOOK_NS = 20_000_000


def watch(directory: Path, output: Path) -> None:
    """Watch until standard input ends."""
    poller = select.poll()
    poller.register(0, select.POLLIN | select.POLLHUP)
    pids: dict[int, int] = {}
    known: set[int] = set()
    alive_at: dict[int, int] = {}
    looked = 0
    with output.open("a", buffering=1) as lines:
        while True:
            asked = time.monotonic_ns()
            if asked - looked > LOOK_NS:
                looked = asked
                for pid in _pids(directory) - known:
                    known.add(pid)
                    try:
                        handle = os.pidfd_open(pid)  # type: ignore[attr-defined,unused-ignore]  # Linux
                    except ProcessLookupError:
                        continue
                    pids[handle] = pid
                    poller.register(handle, select.POLLIN)
            # Asked in one system call for all: those not reported were alive when it was made, after `asked`.
            ready = {handle for handle, _ in poller.poll(0)}
            seen = time.monotonic_ns()
            if 0 in ready:
                return
            for handle in pids:
                if handle not in ready:
                    alive_at[handle] = asked
            for handle in ready & set(pids):
                lines.write(f"{pids.pop(handle)} {alive_at.get(handle, 0)} {seen}\n")
                poller.unregister(handle)
                os.close(handle)
            time.sleep(POLL_MS / 1000)


def _pids(directory: Path) -> set[int]:
    return {int(path.stem) for path in directory.glob("*.log")}


if __name__ == "__main__":
    watch(Path(sys.argv[1]), Path(sys.argv[2]))
