"""A service under Swarm as a deployed contender: created, watched, acted on, taken away again.

Made by `platform.SwarmPlatform.deploy`; speaks `platforms.base.Deployment`. What acts inside a task or on a node's
kernel goes through the hands (`platforms.docker.hands`), on whichever node the task is; everything else is the
Swarm API's. A crash is a signal to the process itself: what Docker is told to kill is another fault.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiodocker.exceptions import DockerError

from breakroom.journal.records import Record, RotationChanged
from breakroom.platforms.base import (
    Availability,
    Emit,
    Endpoint,
    Evidence,
    NodeView,
    PlatformError,
    TaskView,
)
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.errors import CONNECTION_LOST
from breakroom.platforms.docker.front import Front
from breakroom.platforms.docker.names import object_name
from breakroom.platforms.docker.ownership import leftovers
from breakroom.platforms.swarm.acts import TaskActs
from breakroom.platforms.swarm.keeper import TaskKeeper
from breakroom.platforms.swarm.nodes import NodeList
from breakroom.platforms.swarm.overview import service_ps
from breakroom.platforms.swarm.patience import through_elections
from breakroom.platforms.swarm.refusals import Orchestrated
from breakroom.platforms.swarm.tasks import SwarmTask
from breakroom.platforms.swarm.translate import PublishMode, service_body
from breakroom.platforms.swarm.watcher import SwarmWatcher
from breakroom.spec.service import ServiceSpec

__all__ = ["SwarmDeployment"]

_TRIES = 5
_REMOVAL_SECONDS = 20.0
_OUT_OF_SEQUENCE = "out of sequence"


class SwarmDeployment(Orchestrated):
    """One service; `open` creates it, and `endpoint` is known from then on."""

    endpoint: Endpoint

    def __init__(
        self,
        daemon: Daemon,
        *,
        run: str,
        trial: str,
        spec: ServiceSpec,
        directory: Path,
        logs: Path,
        nodes: NodeList,
        acts: TaskActs,
        emit: Emit,
    ) -> None:
        self._daemon = daemon
        self._run = run
        self._trial = trial
        self._spec = spec
        self._nodes = nodes
        self._acts = acts
        self._emit_to = emit
        self._name = object_name(run, spec.name, *trial.split("/")[1:])
        self._inside: set[str] = set()
        self._id = ""
        self._front: Front | None = None
        self._publish: PublishMode = "host"
        self._watcher: SwarmWatcher | None = None
        self._keeper = TaskKeeper(daemon, trial=trial, directory=directory, logs=logs, emit=self.emit)

    @property
    def service_id(self) -> str:
        """The service's id in the Swarm."""
        return self._id

    @property
    def name(self) -> str:
        """The service's name in the Swarm."""
        return self._name

    def emit(self, record: Record) -> None:
        """Pass a record on, and keep in mind who is in rotation."""
        if isinstance(record, RotationChanged):
            (self._inside.add if record.in_rotation else self._inside.discard)(record.task)
            if record.reason == "cut" and self._watcher is not None:
                self._watcher.was_cut(record.task)
        self._emit_to(record)

    async def open(self, make_front: Callable[[int], Front], publish: PublishMode) -> None:
        """Create the service and begin to watch it.

        Args:
            make_front: makes the front from the port that the mesh publishes (0 in host mode).
            publish: by what its port is published.

        Raises:
            PlatformError: Swarm refuses it (`port-taken`, `name-taken`, …).
        """
        self._publish = publish
        with self._daemon.asking(f"create service {self._name}"):
            made = await self._daemon.docker._query_json(  # noqa: SLF001  # its create() drops what is empty or 0
                "services/create", method="POST", data=self._body(self._spec)
            )
            self._id = str(made["ID"])
            await self._nodes.refresh()
            port = await self._published_port() if publish == "ingress" else 0
        self._front = make_front(port)
        self.endpoint = self._front.endpoint
        self._watcher = SwarmWatcher(
            self._daemon,
            trial=self._trial,
            service=self._spec.name,
            service_id=self._id,
            target=self._spec.target_port,
            nodes=self._nodes,
            front=self._front,
            emit=self.emit,
            on_started=self._began,
            on_ended=self._keeper.ended,
            was_oom=self._acts.was_oom,
        )
        self._watcher.start()
        self._keeper.start()

    # --- seeing -----------------------------------------------------------------------------------------------

    async def tasks(self) -> list[TaskView]:
        """All tasks of the present history, newest first within a slot."""
        await self._watching.look()
        book = self._watching.book
        every = sorted(book.tasks.values(), key=lambda task: (task.slot, -task.created))
        return [self._view(task) for task in every if task.id in book.listed]

    async def nodes(self) -> list[NodeView]:
        """The Swarm's nodes, the one that is talked to first."""
        with self._daemon.asking("list the nodes"):
            await self._nodes.refresh()
        return self._nodes.views()

    async def overview(self) -> str:
        """The tasks and their history, in the columns of `docker service ps`."""
        with self._daemon.asking("list the service's tasks"):
            rows = await self._daemon.docker.tasks.list(filters={"service": self._id})
        return service_ps(list(rows), name=self._name, names=self._nodes.names, now_unix=time.time_ns())

    def undo_args(self, subject: str) -> dict[str, str]:
        """How another process finds this task or node again."""
        args = {"docker_host": self._daemon.host, "run": self._run, "service": self._id}
        task = self._watching.book.tasks.get(subject)
        if task is not None:
            return {**args, "task": task.id, "container": task.container, "node": task.node}
        return {**args, "node": subject}

    # --- the orchestrator's acts ------------------------------------------------------------------------------

    async def scale(self, replicas: int) -> None:
        """`docker service scale`."""

        def change(spec: dict[str, Any]) -> dict[str, Any]:
            return {**spec, "Mode": {"Replicated": {"Replicas": replicas}}}

        await self._change(f"scale service {self._name} to {replicas}", change)

    async def update(self, service: ServiceSpec) -> None:
        """`docker service update` to another spec of the same name; keeps the replicas that were scaled to."""

        def change(spec: dict[str, Any]) -> dict[str, Any]:
            return {**self._body(service), "Mode": spec["Mode"]}

        self._spec = replace(service, ports=self._spec.ports)
        await self._change(f"update service {self._name}", change)

    async def rollback(self) -> None:
        """`docker service rollback`.

        Raises:
            PlatformError: `refused`: there is no spec before this one.
        """
        await self._change(f"roll back service {self._name}", lambda spec: spec, rollback=True)

    async def set_availability(self, node: str, availability: Availability) -> Evidence:
        """`docker node update --availability`, marked so that it can be taken back."""
        self._watching.nudge()
        return await self._nodes.set_availability(node, availability)

    # --- acts on one task or node -----------------------------------------------------------------------------

    async def signal_task(self, task: str, signal: str) -> None:
        """Send the task's main process a signal, on whichever node it is.

        Raises:
            ProcessLookupError: it has no running process.
        """
        await self._acts.signal(await self._running(task), signal)
        self._watching.nudge()

    async def kill_through_api(self, signal: str = "SIGKILL", *, task: str = "") -> None:
        """`docker kill` of the task's container; the orchestrator replaces the task.

        Raises:
            PlatformError: `unsupported`: no task is named, or it is on a node without an agent.
        """
        await self._acts.kill_through_api(await self._running(task), signal)
        self._watching.nudge()

    async def signal_inside(self, task: str, match: str, signal: str) -> tuple[int, ...]:
        """Signal the processes inside the task whose command line contains `match`."""
        return await self._acts.signal(await self._running(task), signal, match)

    async def process_state(self, task: str) -> str:
        """The state letter of the task's main process; empty: gone."""
        known = self._watching.book.tasks.get(task)
        return await self._acts.process_state(known) if known is not None and known.pid else ""

    async def pause(self, task: str) -> Evidence:
        """`docker pause` of the task's container."""
        return await self._acts.pause(await self._running(task))

    async def unpause(self, task: str) -> None:
        """Let it go on; harmless if it is gone."""
        known = self._watching.book.tasks.get(task)
        if known is not None:
            await self._acts.unpause(known)

    async def impair(self, task: str, link: dict[str, Any] | None) -> Evidence:
        """Spoil the link to a task (`*`: to all); None heals it."""
        known = [one for one in self._watching.book.tasks.values() if one.alive and task in {"*", one.id}]
        return await self._acts.impair(known, task, link, self._fronted)

    async def fill_memory(self, task: str, size: int) -> Evidence:
        """Have `size` bytes more used inside the task's own memory limit."""
        return await self._acts.fill_memory(await self._running(task), size)

    async def free_memory(self, task: str) -> None:
        """Take the pressure away."""
        known = self._watching.book.tasks.get(task)
        if known is not None:
            await self._acts.free_memory(known)

    async def throttle_cpu(self, task: str, share: float) -> Evidence:
        """Leave the task `share` of one core."""
        return await self._acts.throttle_cpu(await self._running(task), share)

    async def unthrottle_cpu(self, task: str) -> None:
        """Give it back what it had."""
        known = self._watching.book.tasks.get(task)
        if known is not None and known.alive:
            await self._acts.unthrottle_cpu(known)

    async def request_task(self, task: str, method: str, path: str) -> tuple[int, str]:
        """Send the task itself one HTTP request."""
        return await self._acts.request(await self._running(task), self._spec.target_port, method, path)

    async def oom_kills(self) -> int | None:
        """The count of all the Swarm's nodes' kernels; None if one of them cannot be asked."""
        return await self._acts.oom_kills()

    async def cut_node(self, node: str, within: int) -> Evidence:
        """Cut a node off from every other.

        Raises:
            PlatformError: `unsupported`: it is the node that breakroom talks to.
        """
        key = self._nodes.find(node)
        if self._nodes.is_here(key):
            raise PlatformError(
                "unsupported",
                f"node {self._nodes.names[key]} is the one that breakroom talks to; cut off, it could say nothing",
                "cut off another node, or run breakroom against another manager (DOCKER_HOST)",
            )
        return await self._acts.cut_node(key, within)

    async def heal_node(self, node: str) -> None:
        """Connect it again."""
        await self._acts.heal_node(self._nodes.find(node))

    async def remove(self) -> tuple[str, ...]:
        """Remove the service, then look what of the trial is still there. May be called again."""
        front, watcher = self._front, self._watcher
        left: list[str] = []
        try:
            if front is not None:
                await front.cost()
            if watcher is not None:
                watcher.withdraw()
            if self._id:
                left += await self._removed()
        finally:
            if watcher is not None:
                await watcher.stop()
            await self._keeper.stop()
            if front is not None:
                left += await front.close()
        return tuple(dict.fromkeys(left))

    # --- within -----------------------------------------------------------------------------------------------

    async def _began(self, task: SwarmTask) -> None:
        self._keeper.began(task)
        await self._acts.impair_anew(task)

    async def _removed(self) -> list[str]:
        """Delete the service and wait until its containers are gone; what is left, in words."""
        try:
            await through_elections(self._delete)
            return list(
                await through_elections(
                    lambda: leftovers(self._daemon, self._run, trial=self._trial, patience=self._patience)
                )
            )
        except PlatformError as error:
            if error.code not in CONNECTION_LOST:
                raise
            return [f"service {self._name}: {error}"]

    async def _delete(self) -> None:
        with self._daemon.asking(f"remove service {self._name}"):
            try:
                await self._daemon.docker.services.delete(self._id)
            except DockerError as error:
                if error.status != 404:
                    raise

    def _body(self, spec: ServiceSpec) -> dict[str, Any]:
        return service_body(
            spec,
            name=self._name,
            run=self._run,
            trial=self._trial,
            publish=self._publish,
            api=self._daemon.api,
        )

    async def _published_port(self) -> int:
        shown = await self._daemon.docker.services.inspect(self._id)
        ports: list[Mapping[str, Any]] = (shown.get("Endpoint") or {}).get("Ports") or []
        target = self._spec.target_port
        return next((int(port["PublishedPort"]) for port in ports if port["TargetPort"] == target), 0)

    async def _change(
        self, doing: str, change: Callable[[dict[str, Any]], dict[str, Any]], *, rollback: bool = False
    ) -> None:
        """One update of the service, tried again where somebody else's came between reading and writing."""
        with self._daemon.asking(doing):
            for attempt in range(_TRIES):
                shown = await self._daemon.docker.services.inspect(self._id)
                params: dict[str, Any] = {"version": int(shown["Version"]["Index"])}
                if rollback:
                    params["rollback"] = "previous"
                try:
                    await self._daemon.docker._query_json(  # noqa: SLF001  # its update() changes the image only
                        f"services/{self._id}/update",
                        method="POST",
                        params=params,
                        data=change(dict(shown["Spec"])),
                    )
                    break
                except DockerError as error:
                    if _OUT_OF_SEQUENCE not in str(error.message) or attempt == _TRIES - 1:
                        raise
        self._watching.nudge()

    async def _running(self, task: str) -> SwarmTask:
        """The task, if it has a process.

        Raises:
            ProcessLookupError: it has none, or there is no such task.
        """
        known = self._watching.book.tasks.get(task)
        if known is not None and known.alive and not known.pid:
            with contextlib.suppress(PlatformError):
                await self._watching.look()
        if known is None or not known.alive or not known.pid or not known.container:
            raise ProcessLookupError(f"task {task} has no running process")
        return known

    @property
    def _patience(self) -> float:
        """How long the containers may take to go: their grace period, and Swarm's own time before and after it."""
        return self._spec.stop_grace_period / 1e9 + _REMOVAL_SECONDS

    @property
    def _watching(self) -> SwarmWatcher:
        if self._watcher is None:
            raise PlatformError("removed", "the service was not created, or was removed already")
        return self._watcher

    @property
    def _fronted(self) -> Front:
        if self._front is None:
            raise PlatformError("removed", "the service was not created")
        return self._front

    def _view(self, task: SwarmTask) -> TaskView:
        here = self._nodes.is_here(task.node)
        return TaskView(
            id=task.id,
            slot=task.slot,
            node=self._nodes.names.get(task.node, task.node),
            state=task.state,
            desired=task.desired,
            in_rotation=task.id in self._inside,
            healthy=task.healthy,
            pid=task.pid if task.alive else None,
            version=task.version,
            port=task.ports.get(self._spec.target_port) if here and task.alive else None,
            container=task.container,
        )
