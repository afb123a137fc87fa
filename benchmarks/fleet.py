"""Many replicas of a tiny server under one keeper: start, half killed, back again, and what idling costs.

Used by the benchmark of replicas and by the growth plots. A replica says itself when it listens (a datagram), so no
keeper is asked and all are measured alike; for breakroom each must be in rotation, too.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks import keepers
from benchmarks.context import BrokenError, Context
from benchmarks.generators import HERE
from benchmarks.keepers import App, Keeper
from breakroom.journal.records import Record, RotationChanged, TaskChanged

__all__ = ["Cost", "Opener", "of_peer", "ours"]

PATIENCE_S = 150.0
SETTLE_S = 1.5
Opener = Callable[[Context, App, int], AbstractContextManager[Keeper]]


class Cost(NamedTuple):
    """What so many replicas cost."""

    replicas: int
    start_s: float
    """From nothing to all of them listening (and in rotation)."""
    back_s: float
    """From the first of the kills of half of them to all listening again."""
    idle_percent: float
    """CPU of the keeper's own processes while nothing happens, in percent of a core."""
    memory_mb: float
    """Their resident memory."""


class Ready:
    """Where replicas say that they listen."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.settimeout(1)

    def wait(self, count: int) -> set[int]:
        """The pids of that many more replicas that listen."""
        pids: set[int] = set()
        give_up = time.monotonic() + PATIENCE_S
        while len(pids) < count:
            with suppress(TimeoutError):
                pids.add(int(self._socket.recv(32)))
            if time.monotonic() > give_up:
                raise BrokenError(f"{len(pids)} of {count} replicas listen after {PATIENCE_S:g} s")
        return pids

    def close(self) -> None:
        """No more of it."""
        self._socket.close()
        self.place.unlink()


class Rotation:
    """What the records say: how many tasks run and are in rotation."""

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._in_rotation: set[str] = set()
        self._news = threading.Condition()

    def emit(self, record: Record) -> None:
        """Take a record in."""
        with self._news:
            match record:
                case TaskChanged(task=task, state=state):
                    (self._running.add if state == "running" else self._running.discard)(task)
                case RotationChanged(task=task, in_rotation=enters):
                    (self._in_rotation.add if enters else self._in_rotation.discard)(task)
            self._news.notify()

    def wait(self, wanted: int) -> None:
        """Until exactly so many serve."""
        with self._news:
            done = self._news.wait_for(
                lambda: len(self._running & self._in_rotation) == wanted, timeout=PATIENCE_S
            )
        if not done:
            raise BrokenError(f"not {wanted} replicas in rotation after {PATIENCE_S:g} s")


def _app(ready: Ready, **more: str) -> App:
    server = str((HERE / "tiny_server.py").resolve())
    return App((sys.executable, "-I", "-S", server), {"BENCH_READY": str(ready.place), **more})


def _cpu(pids: list[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def _measured(
    replicas: int,
    idle: float,
    ready: Ready,
    opened: AbstractContextManager[Keeper],
    rotation: Rotation | None,
) -> Cost:
    def all_serve(count: int) -> set[int]:
        pids = ready.wait(count)
        if rotation is not None:
            rotation.wait(replicas)
        return pids

    begun = time.monotonic()
    with opened as keeper:
        pids = all_serve(replicas)
        start = time.monotonic() - begun
        time.sleep(SETTLE_S)
        victims = random.Random(1).sample(sorted(pids), replicas // 2)
        begun = time.monotonic()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        all_serve(len(victims))
        back = time.monotonic() - begun
        time.sleep(SETTLE_S)
        used, begun = _cpu(keeper.own), time.monotonic()
        time.sleep(idle)
        percent = 100 * (_cpu(keeper.own) - used) / (time.monotonic() - begun)
        memory = sum(psutil.Process(pid).memory_info().rss for pid in keeper.own) / 1e6
        alive = len(keeper.pids())
        if alive != replicas:
            raise BrokenError(f"{alive} replicas live, not {replicas}")
    return Cost(replicas, start, back, percent, memory)


def ours(context: Context, replicas: int, idle: float) -> Cost:
    """Under breakroom's engine and ingress."""
    ready, rotation = Ready(context.directory / "ready"), Rotation()
    try:
        opened = keepers.our_engine(context, _app(ready), replicas, rotation.emit)
        return _measured(replicas, idle, ready, opened, rotation)
    finally:
        ready.close()


def of_peer(context: Context, opener: Opener, replicas: int, idle: float) -> Cost:
    """Under a peer, whose replicas take any port."""
    ready = Ready(context.directory / "ready")
    try:
        return _measured(replicas, idle, ready, opener(context, _app(ready, BENCH_PORT="0"), replicas), None)
    finally:
        ready.close()
