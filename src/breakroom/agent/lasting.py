"""Processes of this room that outlast the act which began them: they heal a partition, or hold memory, and then end.

Each bears its run's mark and its task in its own command line, `python -m breakroom.agent stay MARK {…}`, so that
another act, a sweep, or a person with `ps` finds it. Called by `acts` and `sweep`. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from breakroom.agent.container import OWN_WORDS, command_line
from breakroom.agent.errors import ActError

__all__ = ["STAY", "Stayer", "end", "find", "start"]

STAY = "stay"
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Stayer:
    """One such process that runs now."""

    pid: int
    mark: str
    task: dict[str, Any]


def start(mark: str, task: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start one in a session of its own, so that nothing that ends its maker ends it. Its standard output is a pipe."""
    words = [sys.executable, *OWN_WORDS, STAY, mark, json.dumps(task, sort_keys=True)]
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


def find(mark: str, **wanted: Any) -> list[Stayer]:
    """Those with that mark (or a mark that begins with it) whose task has all the `wanted` entries."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208  # hundreds of Path objects are not needed for their names
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            stayer = _read(int(name), command_line(int(name)))
            if stayer is None or not stayer.mark.startswith(mark):
                continue
            if all(stayer.task.get(key) == value for key, value in wanted.items()):
                found.append(stayer)
    return found


def end(stayer: Stayer) -> None:
    """Kill it and wait until it is gone; may be gone already.

    Raises:
        ActError: it does not die, or may not be killed.
    """
    try:
        pidfd = os.pidfd_open(stayer.pid)
    except OSError:
        return
    try:
        try:
            # The pid may be another process's by now.
            if _read(stayer.pid, command_line(stayer.pid)) != stayer:
                return
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except PermissionError as error:
            raise ActError("permission-denied", f"cannot end process {stayer.pid} of breakroom's") from error
        except OSError:
            return
        if not select.select([pidfd], [], [], _END_SECONDS)[0]:
            raise ActError("not-in-effect", f"process {stayer.pid} of breakroom's was killed and still runs")
    finally:
        os.close(pidfd)


def _read(pid: int, words: tuple[str, ...]) -> Stayer | None:
    for index in range(len(words) - 4):
        if words[index : index + 3] == (*OWN_WORDS, STAY):
            task = json.loads(words[index + 4])
            return Stayer(pid, words[index + 3], task) if isinstance(task, dict) else None
    return None
