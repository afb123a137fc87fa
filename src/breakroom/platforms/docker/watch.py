"""Watches one container: Docker's events, inspections, statistics and logs become records of the journal.

Used by `deployment`, which makes the container and tells of its own acts. Times are Docker's own, converted
(`clock`). The end of the event stream is the daemon's death, written as `engine-died`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from breakroom.engine.shell.background import Background
from breakroom.journal.records import LogCaptured, Problem, Record, RotationChanged, TaskStats
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.clock import parse_time
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.events import DaemonEvent, listening
from breakroom.platforms.docker.front import Front
from breakroom.platforms.docker.health import HealthLog
from breakroom.platforms.docker.life import Lives, Start
from breakroom.platforms.docker.logs import keep_log
from breakroom.platforms.docker.stats import StatsReader

__all__ = ["ContainerWatch"]

_HEALTH_LOOKS = 5
_LOOK_SECONDS = 0.02
_SAMPLE_SECONDS = {"cgroup": 0.5, "api": 1.0}
_SAME_START_NS = 2_000_000_000
_NOTED_LATE_NS = 50_000_000
"""How much later than it was Docker may note a start: less than the shortest restart delay, 100 ms."""
_FILTERS = {"type": ["container", "network"]}
_KILL = "9"


class ContainerWatch:
    """One container's watch. `open` before the container is made, `attach` once it is, `close` at the end."""

    def __init__(
        self, daemon: Daemon, *, trial: str, emit: Callable[[Record], None], directory: Path
    ) -> None:
        self._daemon = daemon
        self._trial = trial
        self._emit = emit
        self._directory = directory
        """The run's own; logs go below it."""
        self._background = Background(asyncio.get_running_loop())
        self._attached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()
        self._health_due = asyncio.Event()
        self._healths: dict[str, HealthLog] = {}
        self._front: Front | None = None
        self._address = ("", 0)
        self._stop_signal = ""
        self._follows_health = False
        self.lives: Lives | None = None
        self.inside: set[str] = set()
        """Tasks in rotation."""
        self.logged: set[str] = set()
        """Tasks whose log was kept, as far as there was one."""
        self._log_told: int | None = None
        """When Docker told of the last end: all that was written before it is in an earlier start's log."""
        self.lost = False
        """Whether the daemon has hung up."""
        self.closing = False
        """Whether the end of the container is wanted, and with it whatever else ends."""
        self.on_start: Callable[[str], Awaitable[None]] | None = None
        """Called for each task that has begun to run, after it was written."""
        self.on_end: Callable[[str], Awaitable[None]] | None = None
        """Called for each task that has ended, after it was written."""

    async def open(self) -> None:
        """Begin to listen; what happens from now on is heard.

        Raises:
            PlatformError: the daemon cannot be asked.
        """
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._background.start(self._listen(heard), name=f"Docker's events of {self._trial}")
        await heard

    def attach(
        self, lives: Lives, front: Front, *, address: tuple[str, int], stop_signal: str, health: bool
    ) -> None:
        """The container is made: `address` is where its port is published, behind the front."""
        self.lives, self._front, self._address = lives, front, address
        self.expect(stop_signal=stop_signal, health=health)
        self._attached.set_result(None)

    def expect(self, *, stop_signal: str, health: bool) -> None:
        """What the container that is there now is asked to stop by, and whether it has a health check."""
        self._stop_signal = stop_signal
        if health and not self._follows_health and self.lives is not None:
            self._follows_health = True
            self._background.start(self._follow_health(self.lives), name=f"health of {self._trial}")

    async def close(self) -> None:
        """Stop watching."""
        await self._background.cancel_all()

    def write(self, *records: Record) -> None:
        """Write records, and wake who waits."""
        for record in records:
            if isinstance(record, RotationChanged):
                (self.inside.add if record.in_rotation else self.inside.discard)(record.task)
            self._emit(record)
        self._changed.set()

    async def until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Wait until `true()`, asked again whenever something was written; whether it came true."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        return true()

    def settled(self, start: Start) -> bool:
        """Whether the start has ended and all that can be kept of it is kept."""
        return not start.alive and start.task in self.logged

    # --- events -----------------------------------------------------------------------------------------------

    async def _listen(self, heard: asyncio.Future[None]) -> None:
        try:
            async with listening(self._daemon, _FILTERS) as events:
                heard.set_result(None)
                # Events of the time before the container has its id wait in the stream.
                await self._attached
                assert self.lives is not None
                async for event in events:
                    await self._heard(event, self.lives)
        except PlatformError as error:
            if heard.done():
                raise
            heard.set_exception(error)
            return
        self.lost = True
        text = f"the Docker daemon at {self._daemon.host} hung up"
        self.write(
            Problem(
                t=time.monotonic_ns(),
                trial=self._trial,
                severity="error",
                code="engine-died",
                params={"message": text},
            )
        )

    async def _heard(self, event: DaemonEvent, lives: Lives) -> None:
        at = self._daemon.clock.monotonic(event.unix_ns)
        container = lives.container.id
        if event.type == "network":
            # The first that Docker tells of a restart by policy.
            if event.action == "connect" and event.attributes.get("container") == container:
                self.write(*lives.begin(at, unix=event.unix_ns))
            return
        if event.id != container:
            return
        match event.action:
            case "start":
                await self._started(event, at, lives)
            case "die":
                await self._died(event, at, lives)
            case "kill":
                if event.attributes.get("signal") in {_KILL, self._stop_signal}:
                    self.write(*lives.unwanted(at, unix=event.unix_ns))
            case "oom":
                self.write(*lives.out_of_memory(at))
            case action if action == "exec_die" or action.startswith("health_status"):
                self._health_due.set()
            case _:
                pass

    async def _started(self, event: DaemonEvent, at: int, lives: Lives) -> None:
        state = await self._state(lives)
        pid, unix = None, event.unix_ns
        started = parse_time(str(state.get("StartedAt", "")))
        if started is not None and abs(started - event.unix_ns) < _SAME_START_NS:
            pid, unix = state.get("Pid") or None, started
            at = self._daemon.clock.monotonic(started)
        if pid is not None and not lives.starts[1:]:
            self._daemon.confirm_local(lives.container.id, pid)
        records = lives.running(at, unix=unix, pid=pid)
        start = lives.starts[-1]
        # Rotation before the report: users come before the journal.
        self._enter(start, at)
        self.write(*records)
        self._healths[start.task] = HealthLog(trial=self._trial, task=start.task, since=unix)
        if self.on_start is not None:
            await self.on_start(start.task)
        reader = StatsReader(self._daemon, lives.container.id, pid)
        self._background.start(self._sample(start, reader), name=f"statistics of {start.task}")

    def _enter(self, start: Start, at: int) -> None:
        assert self._front is not None
        host, port = self._address
        pid = start.pid if self._daemon.local and start.pid is not None else 0
        self._front.enter(start.task, host=host, port=port, pid=pid, t=at)

    async def _died(self, event: DaemonEvent, at: int, lives: Lives) -> None:
        start = lives.current
        if start is None or not start.alive:
            return
        assert self._front is not None
        state = await self._state(lives)
        unix, finished = event.unix_ns, parse_time(str(state.get("FinishedAt", "")))
        # containerd's own time of the end is nearer to it than the event; it is another one's if it has run since. A
        # program that ends at once may have ended before Docker noted its start; the start before was longer ago.
        began = start.started_unix
        if finished is not None and began is not None and began - _NOTED_LATE_NS <= finished <= unix:
            unix = max(finished, began)
            at = self._daemon.clock.monotonic(unix)
        self._front.leave(start.task, "cut", t=at)
        code = int(event.attributes.get("exitCode") or state.get("ExitCode") or 0)
        oom = bool(state.get("OOMKilled")) and not state.get("Running")
        self.write(*lives.ended(at, exit_code=code, oom_killed=oom, unix=unix))
        self._health_due.set()
        if self.on_end is not None:
            await self.on_end(start.task)
        # What the start before wrote was all read by then; when this one began, Docker may have noted too late.
        since, self._log_told = self._log_told, event.unix_ns
        self._background.start(
            self._keep_log(start, lives, since=since, until=event.unix_ns), name=f"log of {start.task}"
        )

    async def _state(self, lives: Lives) -> Mapping[str, Any]:
        """The container's state as Docker has it now; nothing if it is gone, or Docker is."""
        with contextlib.suppress(PlatformError), self._daemon.asking("inspect the container"):
            shown = await self._daemon.docker.containers.container(lives.container.id).show()
            state: Mapping[str, Any] = shown["State"]
            return state
        return {}

    # --- beside the events ------------------------------------------------------------------------------------

    async def _follow_health(self, lives: Lives) -> None:
        """Read the health log whenever Docker tells that a probe is over."""
        while True:
            await self._health_due.wait()
            self._health_due.clear()
            # The probe's process has ended; its result is in the log a moment later.
            for _ in range(_HEALTH_LOOKS):
                start = lives.current
                log = self._healths.get(start.task) if start is not None else None
                if start is None or log is None:
                    break
                records = log.read((await self._state(lives)).get("Health"), self._daemon.clock.monotonic)
                if records:
                    start.healthy = log.status == "healthy"
                    self.write(*records)
                    break
                await asyncio.sleep(_LOOK_SECONDS)

    async def _sample(self, start: Start, reader: StatsReader) -> None:
        while start.alive and not self.lost:
            reading = await reader.read()
            if reading is not None and start.alive:
                memory, limit, cpu = reading
                self.write(
                    TaskStats(
                        t=time.monotonic_ns(),
                        trial=self._trial,
                        task=start.task,
                        memory_bytes=memory,
                        memory_limit_bytes=limit,
                        cpu_ns=cpu,
                    )
                )
            await asyncio.sleep(_SAMPLE_SECONDS[reader.means])

    async def _keep_log(self, start: Start, lives: Lives, *, since: int | None, until: int) -> None:
        file = self._directory / "logs" / self._trial.replace("/", "-") / f"{start.task}.log"
        tail = await keep_log(self._daemon, lives.container.id, file, since_unix=since, until_unix=until)
        records: Iterable[Record] = ()
        if tail is not None:
            path = str(file.relative_to(self._directory))
            records = [
                LogCaptured(t=time.monotonic_ns(), trial=self._trial, task=start.task, file=path, tail=tail)
            ]
        self.logged.add(start.task)
        self.write(*records)
