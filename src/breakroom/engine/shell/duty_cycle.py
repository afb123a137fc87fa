"""CPU time of a task bounded without the kernel's help: its processes are stopped and let go on in turn.

Used by `engine.shell.throttle` where no control group bounds CPU time. In each period every process of the task may
run for `share` of it. Several processes, or threads, could use more than that together; so what they have used is read
every period, and as long as it is more than they were due, they stay stopped. What others have stopped or frozen
is left alone. The cycle is timers of the engine's loop: it cannot outlive the engine, whose end ends the processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable

from breakroom.engine.shell import procfs

__all__ = ["DutyCycle", "slices"]

_PERIOD = 0.1
_SHORTEST = 0.002
"""No slice is shorter: the loop's timers go by thousandths of a second."""
_LONGEST_PERIOD = 1.0


def slices(share: float) -> tuple[float, float]:
    """Seconds to run and seconds to be stopped, in turn, that give `share` of the time."""
    running = max(_SHORTEST, share * _PERIOD)
    period = min(max(_PERIOD, running / share), _LONGEST_PERIOD) if share > 0 else _LONGEST_PERIOD
    return running, max(_SHORTEST, period - running)


class DutyCycle:
    """The cycle of one task, from `begin` to `end`.

    `processes` gives its pids, `held` those that others have stopped; `suspended` is true while the task is frozen.
    `seen` becomes true when both states were seen in the process table: all stopped, and all let go on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        share: float,
        *,
        processes: Callable[[], Iterable[int]],
        held: set[int],
        suspended: Callable[[], bool],
    ) -> None:
        self.share = share
        self.running, self.stopped = slices(share)
        self._loop = loop
        self._processes = processes
        self._held = held
        self._suspended = suspended
        self._by_us: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._seen_stopped = False
        self._seen_going = False
        self._began = 0
        self._used = 0

    @property
    def seen(self) -> bool:
        """Whether the processes were seen stopped, and seen not stopped."""
        return self._seen_stopped and self._seen_going

    def begin(self) -> None:
        """Stop them for the first time."""
        self._began, self._used = time.monotonic_ns(), self._used_ns()
        self._halt()

    def end(self, *, go_on: bool) -> None:
        """Leave them alone from now on, and going unless `go_on` says that somebody else keeps them stopped."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if go_on:
            self._continue()

    def _halt(self) -> None:
        """The running slice is over."""
        if self._suspended():
            self._later(self.stopped, self._halt)
            return
        states = self._states()
        self._seen_going |= bool(states) and self._seen_stopped and "T" not in states.values()
        for pid in states:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGSTOP)
                self._by_us.add(pid)
        self._later(self.stopped, self._go)

    def _go(self) -> None:
        """The stopped slice is over."""
        if self._suspended():
            self._later(self.stopped, self._go)
            return
        states = self._states()
        self._seen_stopped |= bool(states) and set(states.values()) == {"T"}
        due = self.share * (time.monotonic_ns() - self._began) + self.running * 1e9
        if self._used_ns() - self._used > due:
            self._later(self.stopped, self._go)
            return
        self._continue()
        self._later(self.running, self._halt)

    def _continue(self) -> None:
        for pid in self._by_us - self._held:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)
        self._by_us.clear()

    def _states(self) -> dict[int, str]:
        """Of the processes that nobody else has stopped and that have not ended."""
        states = {pid: procfs.state_of(pid) for pid in set(self._processes()) - self._held}
        return {pid: state for pid, state in states.items() if state not in {"Z", "X", ""}}

    def _used_ns(self) -> int:
        return sum(map(procfs.cpu_ns, set(self._processes())))

    def _later(self, seconds: float, turn: Callable[[], None]) -> None:
        self._timer = self._loop.call_later(seconds, turn)
