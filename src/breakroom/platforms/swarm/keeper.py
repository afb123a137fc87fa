"""What is kept of each task on this node: its memory and CPU while it runs, its log when it is over.

Used by `service`, told by `watcher`. Of tasks on other nodes nothing is kept here: their engines are not ours to ask.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from breakroom.journal.records import LogCaptured, TaskStats
from breakroom.platforms.base import Emit
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.logs import keep_log
from breakroom.platforms.docker.stats import StatsReader
from breakroom.platforms.swarm.tasks import SwarmTask

__all__ = ["TaskKeeper"]

_SAMPLE_SECONDS = 0.25
_FINISH_SECONDS = 5.0


class TaskKeeper:
    """One deployment's keeper. `directory` is the run's; logs go to `logs` below it."""

    def __init__(self, daemon: Daemon, *, trial: str, directory: Path, logs: Path, emit: Emit) -> None:
        self._daemon = daemon
        self._trial = trial
        self._directory = directory
        self._logs = logs
        self._emit = emit
        self._readers: dict[str, StatsReader] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._sampling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to sample."""
        loop = asyncio.get_running_loop()
        self._sampling = loop.create_task(self._sample(), name=f"stats of {self._trial}")

    async def stop(self) -> None:
        """End sampling, and finish the logs that are being read."""
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.wait([self._sampling])
            self._sampling = None
        if self._writing:
            _, late = await asyncio.wait(self._writing, timeout=_FINISH_SECONDS)
            for task in late:
                task.cancel()

    def began(self, task: SwarmTask) -> None:
        """A task's container runs on this node."""
        self._readers[task.id] = StatsReader(self._daemon, task.container, task.pid)

    def ended(self, task: SwarmTask) -> None:
        """A task is over; if it ran here, its log is read before Swarm removes the container."""
        if self._readers.pop(task.id, None) is None:
            return
        work = asyncio.get_running_loop().create_task(
            self._keep(task.id, task.container, task.slot), name=f"log of {task.id}"
        )
        self._writing.add(work)
        work.add_done_callback(self._writing.discard)

    async def _keep(self, task: str, container: str, slot: int) -> None:
        file = self._logs / f"{slot}-{task}.log"
        tail = await keep_log(self._daemon, container, file, since_unix=None, until_unix=None)
        if tail is not None:
            path = str(file.relative_to(self._directory))
            self._emit(LogCaptured(t=time.monotonic_ns(), trial=self._trial, task=task, file=path, tail=tail))

    async def _sample(self) -> None:
        while True:
            for task, reader in tuple(self._readers.items()):
                reading = await reader.read()
                if reading is not None and task in self._readers:
                    memory, limit, cpu = reading
                    self._emit(
                        TaskStats(
                            t=time.monotonic_ns(),
                            trial=self._trial,
                            task=task,
                            memory_bytes=memory,
                            memory_limit_bytes=limit,
                            cpu_ns=cpu,
                        )
                    )
            await asyncio.sleep(_SAMPLE_SECONDS)
