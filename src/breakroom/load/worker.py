"""One load worker: the process that `python -m breakroom.load` is. Started and spoken to by `load.process`.

It says `Ready`, starts at the moment that `Go` names, writes samples at least every 100 ms (it aims at 50), reports
progress, and ends with `Done`. When its control socket ends, the main process is gone: it writes what is buffered
and ends at once. On Linux the kernel also kills it with its parent.
"""

from __future__ import annotations

import argparse
import errno
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic_ns, process_time_ns

import msgspec

from breakroom.journal.samples import SampleWriter
from breakroom.journal.usage import own_usage
from breakroom.load.client import Client
from breakroom.load.messages import Cost, Done, Go, Plan, Progress, Ready, Still, Stop, ToWorker, encode
from breakroom.load.models import Model, make_model
from breakroom.load.poller import READ, Poller

__all__ = ["main"]

_FLUSH_NS = 50_000_000
_PROGRESS_NS = 200_000_000
_NORMAL_LATE_NS = 5_000_000
"""So much later than asked for any turn may come: a batch of requests, an operating system's scheduler."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29

_decoder: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)


class _ParentGoneError(Exception):
    """The control socket ended."""


class _Control:
    """The worker's end of the control socket."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._pending = b""
        self._unsent = bytearray()
        self._waiting: list[ToWorker] = []

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self, *, wait: bool) -> ToWorker | None:
        """The next message; None if there is none yet and `wait` is false.

        Raises:
            _ParentGoneError: the socket ended.
        """
        while not self._waiting:
            self._socket.setblocking(wait)
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return None
            except OSError as error:
                raise _ParentGoneError from error
            if not data:
                raise _ParentGoneError
            *lines, self._pending = (self._pending + data).split(b"\n")
            self._waiting = [_decoder.decode(line) for line in lines]
        return self._waiting.pop(0)

    def send(self, message: Ready | Done) -> None:
        """Send a message that must arrive.

        Raises:
            _ParentGoneError: nobody reads any more.
        """
        self._socket.setblocking(True)
        self._unsent += encode(message)
        self._push()

    def offer(self, message: Progress) -> None:
        """Send a message that may be left out when the main process is slow to read.

        Raises:
            _ParentGoneError: nobody reads any more.
        """
        self._socket.setblocking(False)
        if not self._unsent:
            self._unsent += encode(message)
        self._push()

    def _push(self) -> None:
        try:
            while self._unsent:
                count = self._socket.send(self._unsent)
                del self._unsent[:count]
        except BlockingIOError:
            return
        except OSError as error:
            raise _ParentGoneError from error


class _Run:
    """A plan being carried out."""

    def __init__(self, control: _Control, plan: Plan, writer: SampleWriter) -> None:
        self._control = control
        self._plan = plan
        self._writer = writer
        self._poller = Poller()
        self._client = Client(plan, writer, self._poller)
        self._started = monotonic_ns()
        self._still_longest = 0
        self._still_total = 0

    def until_done(self, t0: int) -> Done:
        """Carry the plan out from `t0` to its end or until told to stop.

        Raises:
            _ParentGoneError: the control socket ended.
        """
        model = make_model(self._plan, self._client, t0)
        self._poller.watch(self._control.fileno(), READ)
        failure: OSError | None = None
        begun, cpu_begun, waited = monotonic_ns(), process_time_ns(), _waited_ns()
        try:
            self._loop(model)
        except OSError as problem:
            failure = problem
        wall = max(1, monotonic_ns() - max(begun, t0))
        busy_ratio = (process_time_ns() - cpu_begun) / wall
        still = Still(
            wall_ns=wall,
            longest_ns=self._still_longest,
            total_ns=self._still_total,
            waited_ns=_waited_ns() - waited,
        )
        try:
            self._client.close()
            self._writer.close()
        except OSError as problem:
            failure = failure or problem
        return self._done(busy_ratio, still, failure)

    def _loop(self, model: Model) -> None:
        client, poller, writer = self._client, self._poller, self._writer
        next_flush = monotonic_ns() + _FLUSH_NS
        next_progress = monotonic_ns() + _PROGRESS_NS
        try:
            # What came together with `Go` was read with it: the socket will not tell of it again.
            self._obey(model)
            while True:
                wake = min(model.advance(), next_flush, client.next_deadline)
                if model.over and not client.busy:
                    return
                events = poller.wait(wake - monotonic_ns() if wake else 0)
                # An event on a descriptor that is not the client's is one on the control socket.
                if events and client.handle(events):
                    self._obey(model)
                now = monotonic_ns()
                if now >= client.next_deadline:
                    client.expire(now)
                if now >= next_flush:
                    late = now - next_flush
                    if late > _NORMAL_LATE_NS:
                        self._still_total += late
                        self._still_longest = max(self._still_longest, late)
                    next_flush = now + _FLUSH_NS
                    writer.flush()
                    client.sweep()
                    if now >= next_progress:
                        next_progress = now + _PROGRESS_NS
                        self._control.offer(self._progress())
        except _ParentGoneError:
            writer.flush()
            raise

    def _obey(self, model: Model) -> None:
        while (message := self._control.receive(wait=False)) is not None:
            if isinstance(message, Stop):
                model.stop(message.until)

    def _progress(self) -> Progress:
        client = self._client
        return Progress(
            intended=client.intended,
            sent=client.sent,
            completed=client.completed,
            outcomes=tuple(client.outcomes),
            received_bytes=client.received_bytes,
            cost=_cost(self._started),
        )

    def _done(self, busy_ratio: float, still: Still, failure: OSError | None) -> Done:
        client = self._client
        return Done(
            progress=self._progress(),
            lags=client.lags.sparse(),
            lag_max_ns=client.lags.maximum,
            busy_ratio=busy_ratio,
            still=still,
            server=client.server,
            document_bytes=client.document_bytes,
            error="" if failure is None else f"{type(failure).__name__}: {failure}",
            unwritable=failure is not None and failure.errno in _NO_ROOM,
        )


def main(argv: Sequence[str]) -> int:
    """Run one worker; returns its exit code (0, or 1 if the main process went away before the end)."""
    parser = argparse.ArgumentParser(prog="python -m breakroom.load")
    parser.add_argument("--control-fd", type=int, required=True)
    _prepare_process()
    control = _Control(parser.parse_args(argv).control_fd)
    try:
        plan = control.receive(wait=True)
        assert isinstance(plan, Plan), "the first message is the plan"
        run = _Run(control, plan, SampleWriter(Path(plan.samples)))
        # What was loaded until now lives as long as the process; and nothing on a request's way makes a cycle. Before
        # `Ready`, since between `Go` and the first request there are 20 ms, and it takes as long on a busy machine.
        gc.collect()
        gc.freeze()
        gc.disable()
        control.send(Ready(pid=os.getpid()))
        go = control.receive(wait=True)
        if not isinstance(go, Go):
            return 1
        control.send(run.until_done(go.t0))
    except _ParentGoneError:
        return 1
    return 0


def _prepare_process() -> None:
    """Die with the parent, leave Ctrl-C to it, wake up on time, and use all descriptors that we may."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # Timers may come 50 µs late by default, to save wake-ups.
        libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        return  # macOS refuses "unlimited"; the limit that we started with stays


def _waited_ns() -> int:
    """How long we were ready to run and had no processor, as the kernel counts it; 0 where it does not tell.

    The second number of schedstat (Documentation/scheduler/sched-stats.rst). What a quota of CPU time took is in it, a
    stop by a signal is not.
    """
    try:
        return int(Path("/proc/self/schedstat").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _cost(started: int) -> Cost:
    usage = own_usage()
    return Cost(
        cpu_user_ns=usage.cpu_user_ns,
        cpu_system_ns=usage.cpu_system_ns,
        max_rss_bytes=usage.max_rss_bytes,
        wall_ns=monotonic_ns() - started,
    )
