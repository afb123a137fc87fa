"""Takes things away from running processes: processor time, descriptors, ports, room. What the starved tests share."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from end_to_end.tool import wait_until

__all__ = ["frozen", "in_namespace", "of_program", "quota"]

_V1 = Path("/sys/fs/cgroup/cpu")
_V2 = Path("/sys/fs/cgroup")


def of_program(pid: int, module: str, *, seconds: float = 30.0) -> psutil.Process:
    """The first process below `pid` that runs `python -m MODULE`; waited for."""
    found: list[psutil.Process] = []

    def look() -> bool:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if module in child.cmdline():
                        found.append(child)
        return bool(found)

    assert wait_until(look, seconds=seconds), f"no process runs {module}"
    return found[0]


def frozen(pid: int, seconds: float) -> None:
    """Keep the process from running for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)  # the standstill itself
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def quota(share: float) -> Iterator[Callable[[int], None]]:
    """A control group of so much of one core; yields what puts a process into it. Skips where none can be made."""
    v1 = (_V1 / "cpu.cfs_quota_us").exists() or (_V1 / "cgroup.procs").exists()
    group = (_V1 if v1 else _V2) / f"starved-{os.getpid()}"

    def confine(pid: int) -> None:
        (group / "cgroup.procs").write_text(str(pid))

    try:
        group.mkdir()
        if v1:
            (group / "cpu.cfs_period_us").write_text("100000")
            (group / "cpu.cfs_quota_us").write_text(str(round(share * 100_000)))
        else:
            (group / "cpu.max").write_text(f"{round(share * 100_000)} 100000")
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group of processor time can be made here: {error}")
    try:
        yield confine
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (group.parent / "cgroup.procs").write_text(pid)
        wait_until(lambda: _removed(group), seconds=10)


def _removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def in_namespace(script: str, *flags: str) -> list[str]:
    """The command that runs a shell script in namespaces of its own; skips where they cannot be made."""
    if sys.platform != "linux" or shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("namespaces need Linux with unshare(1) and ip(8)")
    tried = subprocess.run(["unshare", *flags, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespace can be made here (needs root): {tried.stderr.strip()}")
    return ["unshare", *flags, "sh", "-ec", script]
