"""Pressure on a container's memory: a process that allocates inside the container's own limit, and holds it.

It enters the container's memory group before it allocates, so its pages count against the container's limit, and the
kernel's OOM killer weighs it as one of the container's own. It ends by itself: when its time is over, or when the
container's main process does.

Called by `acts` (`fill`, `free`) and, in the process that stays, by `__main__` (`hold`).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import sys
from dataclasses import asdict
from subprocess import Popen
from typing import Any

from breakroom.agent import lasting
from breakroom.agent.cgroups import enter, memory_events, memory_of, place_of
from breakroom.agent.container import held
from breakroom.agent.errors import ActError

__all__ = ["KIND", "fill", "free", "hold"]

KIND = "memory"
_CHUNK = 1 << 20
_PATTERN = b"\xa5"
_FILL_SECONDS = 60.0
_FULL = b"full\n"


def fill(
    mark: str, container: str, pid: int, size: int, within_s: float
) -> tuple[dict[str, Any], Popen[bytes]]:
    """Start a process that holds `size` bytes in the container for at most `within_s` seconds; wait until it does.

    Returns:
        What is in effect: `filler` (its pid), `held` (whether it lives and has touched all), `oom_kills` since before,
        memory `before` and `after` (these two last None if the container is gone already); and the process.

    Raises:
        ActError: `gone`, `not-in-container`, `permission-denied`, `failed` (it did not get the memory in a minute).
    """
    with held(pid, container):
        place = place_of(pid, container)
        before, kills = memory_of(place), memory_events(place)["oom_kills"]
        task = {"kind": KIND, "container": container, "pid": pid, "bytes": size, "within_s": within_s}
        filler = lasting.start(mark, task)
        said = _first_line(filler)
        if said is None:
            filler.kill()
            filler.wait()
            raise ActError(
                "failed", f"{size} bytes could not be had in {_FILL_SECONDS:.0f} s; it was given up"
            )
        if said not in {b"", _FULL}:
            filler.wait()
            code, _, message = said.decode(errors="replace").strip().partition(" ")
            raise ActError(code, message)
        if said == b"" and filler.wait() != -signal.SIGKILL:
            raise ActError(
                "failed", f"the process that should hold the memory ended with {filler.returncode}"
            )
        effect: dict[str, Any] = {
            "filler": filler.pid,
            "held": said == _FULL and filler.poll() is None,
            "before": asdict(before),
            "oom_kills": None,
            "after": None,
        }
        with contextlib.suppress(ActError):  # the OOM killer may have taken the container's main process
            effect["oom_kills"] = memory_events(place)["oom_kills"] - kills
            effect["after"] = asdict(memory_of(place))
        return effect, filler


def free(mark: str, container: str) -> list[int]:
    """End what `fill` started in that container, also when the container is gone; the pids that were ended.

    Raises:
        ActError: one does not die.
    """
    found = lasting.find(mark, kind=KIND, container=container)
    for filler in found:
        lasting.end(filler)
    return [filler.pid for filler in found]


def hold(task: dict[str, Any]) -> None:
    """The process that stays: allocate, say so, wait."""
    container, pid = str(task["container"]), int(task["pid"])
    try:
        with held(pid, container) as main_process:
            enter(place_of(pid, container))
            pages = _allocate(int(task["bytes"]))
            os.write(sys.stdout.fileno(), _FULL)
            select.select([main_process], [], [], float(task["within_s"]))
            pages.close()
    except ActError as error:
        os.write(sys.stdout.fileno(), f"{error.code} {error}\n".encode())


def _allocate(size: int) -> mmap.mmap:
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    chunk = _PATTERN * _CHUNK
    while pages.tell() < size:
        # Each page is written, not only reserved; otherwise the kernel would count nothing.
        pages.write(chunk[: size - pages.tell()])
    return pages


def _first_line(filler: Popen[bytes]) -> bytes | None:
    """What it says first; empty if it ended without a word; None if it says nothing in time."""
    if filler.stdout is None or not select.select([filler.stdout], [], [], _FILL_SECONDS)[0]:
        return None
    return filler.stdout.readline()
