"""Watches one service under Swarm: its tasks, its updates, its nodes, and the containers of this node.

Used by `service`. Swarm has no stream of task states, so `GET /tasks` is asked every 50 ms while something changes and
every 300 ms otherwise; the daemon's events (start, die, oom, health) make it look at once and tell earlier than
Swarm does what has happened to a container of this node. What is seen becomes journal records, and tells the front
which tasks get requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiodocker.exceptions import DockerError

from breakroom.engine.shell.background import Background
from breakroom.journal.records import Problem, Record, TaskChanged
from breakroom.platforms.base import Emit, PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.errors import CONNECTION_LOST
from breakroom.platforms.docker.front import Front
from breakroom.platforms.swarm.containers import ContainerEvents, ContainerNews
from breakroom.platforms.swarm.deaths import DeathTimes
from breakroom.platforms.swarm.nodes import NodeList
from breakroom.platforms.swarm.tasks import TERMINAL, WANTED, SwarmTask, TaskBook
from breakroom.platforms.swarm.updates import UPDATING, UpdateStory

__all__ = ["SwarmWatcher"]

_FAST_SECONDS = 0.05
_SLOW_SECONDS = 0.3
_RESTLESS_NS = 2_000_000_000
_NODES_NS = 1_000_000_000
_PATIENCE_NS = 3_000_000_000
"""How long a daemon may fail to answer before it is said to be dead: one that is restarted is back sooner."""
_NOT_FOUND = 404


class SwarmWatcher:
    """One service's watcher. `start` it, `stop` it; `nudge` it after each act."""

    def __init__(
        self,
        daemon: Daemon,
        *,
        trial: str,
        service: str,
        service_id: str,
        target: int,
        nodes: NodeList,
        front: Front,
        emit: Emit,
        on_started: Callable[[SwarmTask], Awaitable[None]],
        on_ended: Callable[[SwarmTask], None],
        was_oom: Callable[[SwarmTask], Awaitable[bool]],
    ) -> None:
        self.nodes = nodes
        self.book = TaskBook(trial=trial, service=service, tell_time=self._tell)
        self.update_status: Mapping[str, Any] = {}
        self._daemon = daemon
        self._trial = trial
        self._service = service
        self._id = service_id
        self._target = target
        self._front = front
        self._emit = emit
        self._on_started, self._on_ended = on_started, on_ended
        self._was_oom = was_oom
        self._asking = Background(asyncio.get_running_loop())
        self._withdrawn = False
        self._out: set[str] = set()
        """Tasks that were in rotation and left it: Swarm never puts one back."""
        self._deaths = DeathTimes()
        self._ended: set[str] = set()
        self._started: set[str] = set()
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()
        self._changed = time.monotonic_ns()
        self._answered = time.monotonic_ns()
        self._nodes_at = 0
        self._update = UpdateStory(trial=trial, service=service, tell_time=self._tell)
        self._troubled = ""
        self._running: list[asyncio.Task[None]] = []
        self._events = ContainerEvents(daemon, trial=trial, service_id=service_id, on_news=self._heard)

    def start(self) -> None:
        """Begin to watch; the tasks it makes are this object's and end with `stop`."""
        loop = asyncio.get_running_loop()
        self._running = [
            loop.create_task(self._poll(), name=f"tasks of {self._trial}"),
            loop.create_task(self._events.run(), name=f"container events of {self._trial}"),
        ]

    async def stop(self) -> None:
        """End watching. May be called again."""
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        await self._asking.cancel_all()
        self._deaths.close()
        for done in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(done, Exception):
                raise done

    def nudge(self) -> None:
        """Something is about to change: look at once, and often for a while."""
        self._changed = time.monotonic_ns()
        self._wake.set()

    def was_cut(self, task: str) -> None:
        """The ingress has seen the task's process end, before Docker told of it."""
        self._out.add(task)
        self.nudge()

    def withdraw(self) -> None:
        """The service is about to be removed: Swarm forgets its tasks at once, so their end is told here."""
        self._withdrawn = True
        self._write(self.book.withdraw(time.monotonic_ns(), self.nodes.names))
        self._rotate()

    async def look(self) -> None:
        """Ask for the tasks and the update's state now.

        Raises:
            PlatformError: the daemon does not answer, or refuses.
        """
        async with self._looking:
            filters = json.dumps({"service": [self._id]})
            with self._daemon.asking("watch the service's tasks"):
                if time.monotonic_ns() - self._nodes_at > _NODES_NS:
                    await self.nodes.refresh()
                    self._nodes_at = time.monotonic_ns()
                try:
                    rows = await self._daemon.docker._query_json("tasks", params={"filters": filters})  # noqa: SLF001  # its own list() cleans the filter on every call
                    update = await self._update_status()
                except DockerError as error:
                    if not self._withdrawn or error.status != _NOT_FOUND:
                        raise
                    return
            self._write(self.book.observe(rows, self.nodes.names))
            self._note_update(update)
            self._rotate()
            await self._tell_of_starts()

    # --- looking ----------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            try:
                await self.look()
                self._answered, self._troubled = time.monotonic_ns(), ""
            except PlatformError as error:
                if self._lost(error):
                    return
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAST_SECONDS if self._restless else _SLOW_SECONDS):
                    await self._wake.wait()
            if self._wake.is_set():
                # A burst of events is one look, not many.
                await asyncio.sleep(_FAST_SECONDS / 5)

    @property
    def _restless(self) -> bool:
        if time.monotonic_ns() - self._changed < _RESTLESS_NS or self._update.state in UPDATING:
            return True
        return any(
            task.state not in TERMINAL and (task.state != "running" or task.desired != "running" or task.died)
            for task in self.book.tasks.values()
        )

    def _lost(self, error: PlatformError) -> bool:
        """The daemon did not answer, or Swarm could not. True if there is nobody to be asked any more."""
        if error.code in CONNECTION_LOST:
            if time.monotonic_ns() - self._answered < _PATIENCE_NS:
                return False
            self._problem("error", "engine-died", error)
            return True
        if self._troubled != error.code:
            self._troubled = error.code
            self._problem("warning", "swarm-no-answer", error)
        return False

    async def _update_status(self) -> Mapping[str, Any]:
        service = await self._daemon.docker.services.inspect(self._id)
        status: Mapping[str, Any] = service.get("UpdateStatus") or {}
        return status

    def _note_update(self, status: Mapping[str, Any]) -> None:
        self.update_status = status
        self._write(self._update.observe(status))

    # --- events of this node's containers --------------------------------------------------------------------

    async def _heard(self, news: ContainerNews) -> None:
        if news.task not in self.book.tasks:
            with contextlib.suppress(PlatformError):
                await self.look()
        task = self.book.tasks.get(news.task)
        if task is None:
            return
        task.container = news.container
        match news.what:
            case "start":
                self._write(self.book.started(task.id, news.pid, news.t, self.nodes.names))
                if self._daemon.local:
                    self._deaths.watch(task.id, news.pid)
            case "oom":
                self._write(self.book.out_of_memory(task.id, news.t, self.nodes.names))
            case "die":
                task.oom = task.oom or news.oom
                # The kernel told of the process's end some hundredths of a second before Docker did.
                at = self._deaths.of(task.id, news.t)
                self._write(self.book.ended(task.id, news.exit_code, at, self.nodes.names))
            case "health":
                task.healthy = news.healthy
                self._write(news.probes)
        self._rotate(news.t)
        await self._tell_of_starts()
        self.nudge()

    # --- what follows -----------------------------------------------------------------------------------------

    def _rotate(self, t: int | None = None) -> None:
        """Tell the front who is in rotation, as IPVS would have it."""
        for task in self.book.tasks.values():
            asked = task.desired not in WANTED or task.healthy is False
            ended = task.died or task.state in TERMINAL
            if (asked or ended) and task.id not in self._out:
                self._out.add(task.id)
                crashed = ended and (task.desired in WANTED or task.state in {"failed", "complete"})
                self._front.leave(task.id, "cut" if crashed else "drain", t=t)
            if task.state == "running" and task.id not in self._out:
                self._enter(task, t)
            if ended and task.id not in self._ended:
                self._ended.add(task.id)
                self._on_ended(task)
                if task.killed and not self.nodes.is_here(task.node):
                    self._asking.start(self._explain(task), name=f"what killed {task.id}")

    async def _explain(self, task: SwarmTask) -> None:
        """Find out of a task elsewhere whether memory ran out in it: its node's Docker knows, and no event tells."""
        if await self._was_oom(task):
            self._write(self.book.out_of_memory(task.id, time.monotonic_ns(), self.nodes.names))

    def _enter(self, task: SwarmTask, t: int | None) -> None:
        port = task.ports.get(self._target, 0)
        if self._front.kind == "breakroom" and not port:
            return  # its port is not known yet
        here = self.nodes.is_here(task.node)
        self._front.enter(
            task.id,
            host=self._daemon.node_address if here else self.nodes.address(task.node),
            port=port,
            pid=task.pid or 0 if here and self._daemon.local else 0,
            t=t,
        )

    async def _tell_of_starts(self) -> None:
        """Say once of each task on this node that its container runs."""
        for task in tuple(self.book.tasks.values()):
            if task.pid and task.alive and task.id not in self._started and self.nodes.is_here(task.node):
                self._started.add(task.id)
                await self._on_started(task)

    def _write(self, records: Sequence[Record]) -> None:
        if not records:
            return
        self._changed = time.monotonic_ns()
        for record in records:
            self._emit(record)
            if isinstance(record, TaskChanged) and record.pid and record.state == "running":
                self._confirm_local(record)

    def _confirm_local(self, record: TaskChanged) -> None:
        """The first process that runs here shows whether the daemon's pids are this machine's."""
        task = self.book.tasks[record.task]
        if not self._confirmed and task.container and task.alive and self.nodes.is_here(task.node):
            self._confirmed = True
            self._daemon.confirm_local(task.container, record.pid or 0)

    _confirmed = False

    def _tell(self, node: str, unix_ns: int | None) -> int:
        """The journal's time of a moment by that node's clock; of a node elsewhere, it is now."""
        here = self.nodes.leads_here if node == "" else self.nodes.is_here(node)
        return self._daemon.clock.monotonic(unix_ns) if here else time.monotonic_ns()

    def _problem(self, severity: Any, code: str, error: PlatformError) -> None:
        params = {"message": str(error), "hint": error.hint}
        self._emit(
            Problem(t=time.monotonic_ns(), trial=self._trial, severity=severity, code=code, params=params)
        )
