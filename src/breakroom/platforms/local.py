"""The platform `local`: real processes on this machine under breakroom's own orchestrator. Needs no Docker, no root.

Used by the director through `platforms.base`. Each deployment is one engine process; this module turns the
protocol's calls into requests to it, and what it pushes into journal records.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from breakroom.engine.shell import protocol
from breakroom.engine.shell.cgroups import find_controller, sweep_leftovers
from breakroom.engine.shell.freezer import freezer_means
from breakroom.engine.shell.pulse import Stretch
from breakroom.engine.shell.throttle import throttle_means
from breakroom.journal.records import (
    HealthChanged,
    LogCaptured,
    PartStalled,
    Problem,
    Record,
    RotationChanged,
    TaskChanged,
    TaskStats,
    ToolCost,
    UpdateChanged,
)
from breakroom.platforms.base import (
    Capabilities,
    Emit,
    Endpoint,
    PlatformError,
    RunInfo,
    TaskView,
    require_port,
)
from breakroom.platforms.local_acts import CANNOT, LocalActs
from breakroom.platforms.local_client import EngineClient
from breakroom.platforms.local_images import resolve, service_digest
from breakroom.platforms.stalled import part_stalled
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec

__all__ = ["LocalDeployment", "LocalPlatform"]

_LOOPBACK = ("127.0.0.1", "::1")
_START_SECONDS = 30.0
_GRACE_SECONDS = 2.0


class LocalPlatform:
    """Deploys on this machine.

    `memory_limit="rss-watch"` makes no control groups. `services`: what the run will deploy, as far as it is known, so
    that what cannot run here is told before anything is begun.
    """

    name = "local"

    def __init__(self, *, memory_limit: str = "", services: Iterable[ServiceSpec] = ()) -> None:
        self._memory = memory_limit
        self._services = tuple(services)

    async def preflight(self) -> None:
        """Nothing is needed but this machine, and services that it can run.

        Raises:
            PlatformError: `image-unknown`, `port-missing`.
        """
        for service in self._services:
            _runnable(service)

    async def open(self, run: RunInfo, emit: Emit) -> None:
        """A run needs nothing beyond its trials' own engines."""

    async def close(self) -> tuple[str, ...]:
        """Nothing was made."""
        return ()

    async def capabilities(self) -> Capabilities:
        """Find out what works here."""
        linux = sys.platform == "linux"
        return Capabilities(
            runs_as=frozenset({"container", "service"}),
            how={
                "memory_limit": await asyncio.to_thread(self._memory_means),
                "cpu_limit": "not-enforced",
                "exit_notice": "sigchld",
                "orphans": "subreaper" if linux else "environment-sweep",
                "engine_death": "pdeathsig" if linux else "environment-sweep",
                "ingress": "breakroom",
                "link_impairment": "ingress",
                "cpu_throttle": "duty-cycle" if self._memory else await asyncio.to_thread(throttle_means),
                "pause": "sigstop" if self._memory else await asyncio.to_thread(freezer_means),
            },
            cannot=dict(CANNOT),
            side_by_side=True,
        )

    def image_digest(self, service: ServiceSpec) -> str:
        """SHA-256 of what the service's tasks run; empty if that cannot be found (deploying it says why)."""
        try:
            return service_digest(service)
        except PlatformError:
            return ""

    async def deploy(
        self, contender: Contender, *, trial: str, directory: Path, emit: Emit
    ) -> LocalDeployment:
        """Start an engine and let it create the contender's service.

        Raises:
            PlatformError: `image-unknown`, `program-missing`, `port-missing`, `port-taken`, or an `engine-…` or
                `ingress-…` of our own. Nothing is left behind.
        """
        spec = _runnable(contender.service)
        logs = directory / "logs" / trial.replace("/", "-")
        await asyncio.to_thread(logs.mkdir, parents=True, exist_ok=True)
        deployment = LocalDeployment(trial, directory, logs, emit)
        try:
            await deployment.open(contender.runs_as, spec, self._memory)
        except BaseException:
            # Cancellation too: the caller never gets the deployment, so nobody else can end it.
            await deployment.abandon()
            raise
        return deployment

    def _memory_means(self) -> str:
        if self._memory:
            return self._memory
        sweep_leftovers()
        controller = find_controller()
        return controller.means if controller is not None else "rss-watch"


def _runnable(service: ServiceSpec) -> ServiceSpec:
    """The service with its command.

    Raises:
        PlatformError: `image-unknown`; `port-missing`: users could not reach it.
    """
    require_port(service)
    return resolve(service)


class LocalDeployment(LocalActs):
    """One deployed contender: the client of its engine."""

    endpoint: Endpoint

    def __init__(self, trial: str, directory: Path, logs: Path, emit: Emit) -> None:
        self._trial = trial
        self._directory = directory
        self._logs = logs
        self._emit = emit
        self._engine: EngineClient | None = None
        self._runs_as: Any = ""
        self._grace = 0
        self._kernel_kills = False

    async def open(self, runs_as: Any, spec: ServiceSpec, memory: Any) -> None:
        """Start the engine, create the service, learn its port."""
        client = await EngineClient.start(
            self._logs, on_pushed=self._pushed, on_death=self._died, on_still=self._stood_still
        )
        self._engine = client
        self._runs_as = runs_as
        marker, logs = client.marker, str(self._logs)
        means = await client.ask(
            lambda n: protocol.Hello(id=n, marker=marker, logs=logs, memory=memory), within=_START_SECONDS
        )
        self._kernel_kills = means["memory_limit"] != "rss-watch"
        self._grace = spec.stop_grace_period
        port = spec.ports[0]
        hosts = (port.host_ip,) if port.host_ip else _LOOPBACK
        answer = await client.ask(
            lambda n: protocol.Create(id=n, runs_as=runs_as, spec=spec, hosts=hosts, port=port.published),
            within=_START_SECONDS,
        )
        self.endpoint = Endpoint(host=answer["hosts"][0], port=answer["port"])
        client.watch()

    async def abandon(self) -> None:
        """End the engine without ceremony."""
        if self._engine is not None:
            engine, self._engine = self._engine, None
            await engine.close()

    @property
    def engine_pid(self) -> int:
        """The engine process's pid."""
        return self._client.process.pid

    async def tasks(self) -> list[TaskView]:
        """All tasks of the present history, newest first within a slot."""
        rows = await self._client.ask(lambda n: protocol.Tasks(id=n))
        infos = [msgspec.convert(row, protocol.TaskInfo) for row in rows]
        return [
            TaskView(
                id=info.task,
                slot=info.slot,
                node=info.node,
                state=info.state,
                desired=info.desired,
                in_rotation=info.in_rotation,
                healthy=info.healthy,
                pid=info.pid,
                version=info.version,
                port=info.port,
            )
            for info in infos
        ]

    async def start(self) -> None:
        """Start the dead container again, as an operator does.

        Raises:
            PlatformError: `refused`: it is no container, or it runs.
        """
        await self._client.ask(lambda n: protocol.Start(id=n))

    async def stop(self) -> None:
        """Stop the container through the platform's API; no restart policy revives it."""
        await self._client.ask(lambda n: protocol.Stop(id=n))

    async def restart(self) -> None:
        """Stop the container, whatever state it is in, and start it again; returns when it was started.

        Raises:
            PlatformError: `refused`: it is no container.
        """
        await self._client.ask(lambda n: protocol.Restart(id=n), within=self._stopping_seconds())

    async def replace(self, service: ServiceSpec) -> None:
        """Stop the container, take it away, and run another spec of the same name; returns when that was started.

        The published port stays, and refuses connections until the new task listens.

        Raises:
            PlatformError: `refused`: it is no container; `program-missing`, `image-unknown`: nothing was stopped.
        """
        spec = resolve(service)
        within = self._stopping_seconds()
        await self._client.ask(lambda n: protocol.Replace(id=n, spec=spec), within=within)
        self._grace = spec.stop_grace_period

    async def scale(self, replicas: int) -> None:
        """Change the number of replicas. Services only."""
        await self._client.ask(lambda n: protocol.Scale(id=n, replicas=replicas))

    async def update(self, service: ServiceSpec) -> None:
        """Begin a rolling update to another spec of the same name. Services only."""
        spec = resolve(service)
        await self._client.ask(lambda n: protocol.Update(id=n, spec=spec))

    async def rollback(self) -> None:
        """Begin to go back to the spec before. Services only."""
        await self._client.ask(lambda n: protocol.Rollback(id=n))

    async def view(self, name: Literal["service-ls", "service-ps", "node-ls", "docker-ps"]) -> str:
        """A table of the orchestrator's as docker/cli shows it."""
        return str(await self._client.ask(lambda n: protocol.View(id=n, name=name)))

    async def service_ps(self) -> str:
        """The service's tasks and their history as `docker service ps` shows them.

        Raises:
            PlatformError: `refused`: it is a container.
        """
        return await self.view("service-ps")

    async def overview(self) -> str:
        """`docker service ps` for a service, `docker ps` for a container."""
        return await self.view("service-ps" if self._runs_as == "service" else "docker-ps")

    async def cost(self) -> None:
        """Write what the engine and its ingress have used so far into the journal."""
        rows = await self._client.ask(lambda n: protocol.Cost(id=n))
        for row in rows:
            self._emit(ToolCost(trial=self._trial, **row))

    async def remove(self) -> tuple[str, ...]:
        """Stop everything (2 s of grace), end the engine, and say what is still on the machine. May be called again."""
        engine = self._engine
        if engine is None:
            return ()
        left: list[str] = []
        try:
            await self.cost()
            grace = _GRACE_SECONDS
            left = await engine.ask(lambda n: protocol.Remove(id=n, grace=grace))
        except PlatformError as error:
            # The engine is dead or dumb; ending it and sweeping still has to be done.
            if not error.code.startswith("engine-"):
                raise
        finally:
            self._engine = None
            swept = await engine.close()
        return tuple(dict.fromkeys([*left, *swept]))

    def _stopping_seconds(self) -> float:
        """How long a request may take that waits for the container's end."""
        return self._grace / 1e9 + _START_SECONDS

    async def _ask(self, make: Callable[[int], protocol.Request]) -> Any:
        return await self._client.ask(make)

    @property
    def _client(self) -> EngineClient:
        if self._engine is None:
            raise PlatformError("removed", "the deployment was removed already")
        return self._engine

    # --- from the engine --------------------------------------------------------------------------------------

    def _died(self, message: str) -> None:
        """The engine is gone and with it every task."""
        now = time.monotonic_ns()
        self._emit(
            Problem(
                t=now, trial=self._trial, severity="error", code="engine-died", params={"message": message}
            )
        )

    def _stood_still(self, stretch: Stretch) -> None:
        """The engine did."""
        self._emit(part_stalled(self._trial, "engine", stretch))

    def _pushed(self, message: protocol.Pushed) -> None:
        for record in self._records(message):
            self._emit(record)

    def _records(self, message: protocol.Pushed) -> list[Record]:
        trial = self._trial
        match message:
            case protocol.TaskInfo():
                return [_task_changed(trial, message)]
            case protocol.Stats(t=t, rows=rows):
                return [
                    TaskStats(
                        t=t, trial=trial, task=task, memory_bytes=memory, memory_limit_bytes=limit, cpu_ns=cpu
                    )
                    for task, memory, limit, cpu in rows
                ]
            case protocol.Log(t=t, task=task, file=file, tail=tail):
                path = str((self._logs / file).relative_to(self._directory))
                return [LogCaptured(t=t, trial=trial, task=task, file=path, tail=tail)]
            case protocol.Reply() | protocol.Pong():
                return []
            case _:
                kind = _SAME_FIELDS[type(message)]
                return [kind(trial=trial, **msgspec.structs.asdict(message))]


_SAME_FIELDS: dict[type, type[Any]] = {
    protocol.Rotation: RotationChanged,
    protocol.Health: HealthChanged,
    protocol.UpdateState: UpdateChanged,
    protocol.Stalled: PartStalled,
    protocol.EngineProblem: Problem,
}
"""Messages whose fields are those of a record, name for name."""


def _task_changed(trial: str, info: protocol.TaskInfo) -> TaskChanged:
    fields = msgspec.structs.asdict(info)
    # Rotation and health have records of their own; the port is nothing to a reader.
    del fields["in_rotation"], fields["healthy"], fields["port"]
    return TaskChanged(trial=trial, **fields)
