"""What the operating system tells about processes, and what it can be asked to do when one of them dies.

Used by everything of the shell that looks at processes. On Linux it reads /proc directly, because it is read
for 200 tasks many times a minute; elsewhere it asks psutil. A process that is gone has no memory, no children
and no environment: nothing here raises for that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = [
    "Usage",
    "become_subreaper",
    "children_of",
    "command_line_of",
    "cpu_ns",
    "descendants_of",
    "environment_of",
    "kill_marked",
    "marked_processes",
    "resident_bytes",
    "session_of",
    "state_of",
    "tie_to_parent",
    "usage_of",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"
_LIBC = ctypes.CDLL(None, use_errno=True) if _LINUX else None
_PAGE = os.sysconf("SC_PAGESIZE")
_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process has used so far."""

    cpu_user_ns: int
    cpu_system_ns: int
    max_rss_bytes: int


def become_subreaper() -> bool:
    """Let orphaned descendants become children of this process, not of PID 1. False where that cannot be."""
    return _LIBC is not None and _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def tie_to_parent(parent: int, sig: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to send this process `sig` when the thread that made it ends. To be called in the child.

    `parent` is the parent's pid as the parent knew it: if it died before the request was made, nobody would
    ever send the signal, so the process ends itself then.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), sig)


def children_of(pid: int) -> list[int]:
    """Direct children, zombies among them."""
    if not _LINUX:
        return [child.pid for child in _psutil_children(pid)]
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  # as in _read
            found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    except _GONE:
        # Either the process is gone, or the kernel was built without this file.
        if Path(f"/proc/{pid}/stat").exists():
            return [child.pid for child in _psutil_children(pid)]
    return found


def descendants_of(pid: int) -> list[int]:
    """Children, their children, and so on; not `pid` itself."""
    found: list[int] = []
    waiting = children_of(pid)
    while waiting:
        child = waiting.pop()
        found.append(child)
        waiting += children_of(child)
    return found


def session_of(pid: int) -> int | None:
    """The session that a process belongs to."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def state_of(pid: int) -> str:
    """The state letter of a process, as proc(5) has them: `R`, `S`, `T`, `Z`, …; empty: it is gone."""
    try:
        if not _LINUX:
            return _PSUTIL_STATES.get(psutil.Process(pid).status(), "S")
        return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError, psutil.Error):
        return ""


_PSUTIL_STATES = {psutil.STATUS_STOPPED: "T", psutil.STATUS_ZOMBIE: "Z", psutil.STATUS_RUNNING: "R"}


def command_line_of(pid: int) -> str:
    """A process's command line, its words joined by spaces, as `pkill -f` matches it; empty if it cannot be known."""
    try:
        if not _LINUX:
            return " ".join(psutil.Process(pid).cmdline())
        return os.fsdecode(_read(f"/proc/{pid}/cmdline").rstrip(b"\0").replace(b"\0", b" "))
    except (OSError, psutil.Error):
        return ""


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with; empty if it cannot be known."""
    if not _LINUX:
        try:
            return psutil.Process(pid).environ()
        except (psutil.Error, OSError):
            return {}
    try:
        raw = _read(f"/proc/{pid}/environ")
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def marked_processes(name: str, value: str) -> list[int]:
    """All processes of the machine that were started with `name=value` in their environment, this one excepted."""
    if not _LINUX:
        return [pid for pid in psutil.pids() if pid != os.getpid() and environment_of(pid).get(name) == value]
    needle = os.fsencode(f"{name}={value}")
    return [pid for pid, raw in _environments() if needle in raw.split(b"\0") and pid != os.getpid()]


def kill_marked(name: str, value: str) -> None:
    """SIGKILL what `marked_processes` finds, and what those had just begun."""
    for _ in range(3):
        pids = marked_processes(name, value)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            return


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory that the processes hold, summed. Pages that they share are counted once for each of them."""
    total = 0
    for pid in pids:
        try:
            if _LINUX:
                total += int(_read(f"/proc/{pid}/statm").split(b" ", 2)[1]) * _PAGE
            else:
                total += psutil.Process(pid).memory_info().rss
        except (OSError, IndexError, psutil.Error):
            continue
    return total


def cpu_ns(pid: int) -> int:
    """CPU time of the process and of its children that it has waited for."""
    try:
        if not _LINUX:
            times = psutil.Process(pid).cpu_times()
            return int((times.user + times.system) * 1e9)
        # The name in parentheses may hold spaces; the numbers begin behind its end. utime is the 12th of them.
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return sum(map(int, fields[11:15])) * _NS_PER_TICK
    except (OSError, IndexError, psutil.Error):
        return 0


def usage_of(pid: int) -> Usage | None:
    """CPU and the highest resident memory of another process so far; None if it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
        if _LINUX:
            status = _read(f"/proc/{pid}/status")
            peak = int(status.partition(b"VmHWM:")[2].split(None, 1)[0]) * 1024
        else:
            peak = psutil.Process(pid).memory_info().rss
    except (OSError, IndexError, ValueError, psutil.Error):
        return None
    return Usage(int(times.user * 1e9), int(times.system * 1e9), peak)


def _environments() -> Iterator[tuple[int, bytes]]:
    for entry in os.listdir("/proc"):  # noqa: PTH208  # as in _read
        if entry.isdecimal():
            try:
                yield int(entry), _read(f"/proc/{entry}/environ")
            except OSError:
                continue


def _psutil_children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.Error:
        return []


def _read(path: str) -> bytes:
    # Three system calls and no buffer objects: this is the hot path of the statistics.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, 1 << 16)
        if len(data) < 1 << 16:
            return data
        parts = [data]
        while data := os.read(fd, 1 << 16):
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(fd)
