"""Every child of the engine: started here, its end seen here, and everything it left behind killed here.

Used by `engine.shell.node` (replicas), `probes` (health commands) and `ingress_link`. The kernel's notice of
an end is SIGCHLD, on Linux and macOS alike: no polling, one way for wanted children and for orphans that the
engine inherits as subreaper. A child is looked at with WNOWAIT first, so that its process group can be killed
while its pid cannot yet belong to anyone else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from breakroom.engine.shell import procfs
from breakroom.engine.shell.parked import Parked

__all__ = ["Children", "Ended", "ignore_exit", "kill_group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A child's end: `returncode` as subprocess has it (minus the signal), `t` when the engine saw it."""

    pid: int
    t: int
    returncode: int
    usage: resource.struct_rusage


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes] | None
    on_exit: Callable[[Ended], None]


class Children:
    """Starts processes, each in a session of its own, and tells their ends.

    `on_orphans` is called, once for a burst, when children have ended and others may have become the engine's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_orphans: Callable[[], None]) -> None:
        self._loop = loop
        self._on_orphans = on_orphans
        self._children: dict[int, _Child] = {}
        self._orphans_due = False
        self._engine = os.getpid()
        self._reaping_due = False
        # Not by loop.add_signal_handler: uvloop keeps SIGCHLD for subprocesses of its own making.
        signal.signal(signal.SIGCHLD, self._notice)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        on_exit: Callable[[Ended], None],
        cwd: str | None = None,
        output: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
        cgroup_fd: int | None = None,
    ) -> int:
        """Start a process and return its pid once its program was loaded.

        `output` is the descriptor for standard output and error. `cgroup_fd` is an open `cgroup.procs` that it
        puts itself into first, so that not a byte of its memory is counted elsewhere.

        Raises:
            OSError: the program could not be run; nothing was left.
        """
        engine = self._engine

        def in_child() -> None:
            procfs.tie_to_parent(engine)
            if cgroup_fd is not None:
                os.write(cgroup_fd, b"0")

        process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=in_child,  # noqa: PLW1509  # the engine has one thread, and keeps to it
        )
        self._children[process.pid] = _Child(process, on_exit)
        return process.pid

    def park(self, cgroup_fd: int | None, *, on_exit: Callable[[Ended], None]) -> Parked:
        """Make a process that waits for its program; `on_exit` is told if it ends before `adopt` gives it another.

        Raises:
            OSError: no process can be made.
        """
        parked = Parked.make(cgroup_fd)
        self._children[parked.pid] = _Child(None, on_exit)
        return parked

    def adopt(self, parked: Parked, on_exit: Callable[[Ended], None]) -> None:
        """From now on tell `on_exit` of the parked process's end."""
        self._children[parked.pid] = _Child(None, on_exit)

    def owns(self, pid: int) -> bool:
        """Whether `pid` is a child that was started here and has not ended."""
        return pid in self._children

    def orphans(self) -> list[int]:
        """Children that were not started here: descendants whose own parent is gone."""
        return [pid for pid in procfs.children_of(self._engine) if pid not in self._children]

    def kill_everything(self, within: float) -> list[int]:
        """SIGKILL all children and whatever becomes a child by that, and wait. Blocks: for the engine's own end.

        Returns:
            Children that were still there after `within` seconds.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        deadline = time.monotonic() + within
        for pid in tuple(self._children):
            kill_group(pid)
        while True:
            left = procfs.children_of(self._engine)
            for pid in left:
                _kill(pid)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                left = []
            if not left or time.monotonic() > deadline:
                break
            time.sleep(0.001)
        for child in self._children.values():
            if child.process is not None:
                child.process.returncode = -signal.SIGKILL
        self._children.clear()
        return left

    def _notice(self, _signal: int, _frame: object) -> None:
        """A child has ended. This may interrupt anything of the engine's, so it only leaves word."""
        if not self._reaping_due:
            self._reaping_due = True
            self._loop.call_soon_threadsafe(self._reap)

    def _reap(self) -> None:
        self._reaping_due = False
        while (ended := self._next_ended()) is not None:
            pid, status, usage, t = ended
            if not self._orphans_due:
                self._orphans_due = True
                self._loop.call_soon(self._look_for_orphans)
            child = self._children.pop(pid, None)
            if child is not None:
                returncode = os.waitstatus_to_exitcode(status)
                if child.process is not None:
                    # Popen must not wait for a pid that is ours no more.
                    child.process.returncode = returncode
                child.on_exit(Ended(pid=pid, t=t, returncode=returncode, usage=usage))

    def _next_ended(self) -> tuple[int, int, resource.struct_rusage, int] | None:
        """One child that has ended (pid, status, usage, when seen), its process group killed, itself waited for."""
        try:
            if sys.platform == "darwin":
                # There is no waitid: the pid is free for a moment before its group is killed.
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                t = time.monotonic_ns()
                if pid in self._children:
                    kill_group(pid)
                return (pid, status, usage, t) if pid else None
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None
        if found is None:
            return None
        t = time.monotonic_ns()
        if found.si_pid in self._children:
            kill_group(found.si_pid)
        return (*os.wait4(found.si_pid, 0), t)

    def _look_for_orphans(self) -> None:
        self._orphans_due = False
        self._on_orphans()


def ignore_exit(_ended: Ended) -> None:
    """For children whose end means nothing."""


def kill_group(pid: int) -> None:
    """SIGKILL every process of the group that `pid` leads; harmless if there is none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
