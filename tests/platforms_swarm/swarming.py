"""A run on the platform `swarm`, opened as the director would; its records, and waits for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from breakroom.journal.records import Record, RotationChanged, TaskChanged
from breakroom.platforms.base import RunInfo, TaskView
from breakroom.platforms.swarm.platform import SwarmPlatform
from breakroom.platforms.swarm.service import SwarmDeployment
from breakroom.spec.drill import Contender
from breakroom.spec.service import (
    Deploy,
    Healthcheck,
    Limits,
    Port,
    Resources,
    RestartPolicy,
    ServiceSpec,
    UpdateConfig,
)
from docker_lab.lab import Host
from told.records import Told

__all__ = [
    "RUN",
    "SECOND",
    "TRIAL",
    "Swarming",
    "opened_run",
    "opened_run_that_may_leave",
    "platform_on",
    "web",
]

RecordT = TypeVar("RecordT", bound=Record)
SECOND = 1_000_000_000
RUN = "20260101-000000-test-05a4"
TRIAL = "test/orchestrated/1"
_WAIT_SECONDS = 60.0


def web(*, replicas: int = 2, image: str = "improved-app:latest", healthy: bool = True) -> ServiceSpec:
    """The sample service, quick to restart and to update."""
    check = Healthcheck(test=("HTTP", "/health"), interval=SECOND // 2, timeout=2 * SECOND)
    update = UpdateConfig(monitor=SECOND)
    return ServiceSpec(
        name="web",
        image=image,
        ports=(Port(target=3000),),
        healthcheck=check if healthy else None,
        stop_grace_period=2 * SECOND,
        deploy=Deploy(
            replicas=replicas,
            restart_policy=RestartPolicy(delay=SECOND // 2),
            update_config=update,
            rollback_config=UpdateConfig(monitor=SECOND, parallelism=0),
            resources=Resources(limits=Limits(memory=128 << 20)),
        ),
    )


def platform_on(host: Host, **words: object) -> SwarmPlatform:
    """The platform, told to use that host's daemon."""
    environment = {"DOCKER_HOST": host.docker_host}
    return SwarmPlatform(services=(web(),), environment=environment, **words)  # type: ignore[arg-type]


class Swarming(Told):
    """A run and everything that was heard of it."""

    def __init__(self, host: Host, platform: SwarmPlatform, directory: Path) -> None:
        super().__init__()
        self.host = host
        self.platform = platform
        self.directory = directory
        self.deployment: SwarmDeployment | None = None

    async def deploy(self, spec: ServiceSpec, *, trial: str = TRIAL) -> SwarmDeployment:
        contender = Contender(name="orchestrated", runs_as="service", service=spec)
        made = await self.platform.deploy(contender, trial=trial, directory=self.directory, emit=self.emit)
        assert isinstance(made, SwarmDeployment)
        self.deployment = made
        return made

    def states(self, task: str) -> list[str]:
        """The states that a task went through, each once."""
        seen = [record.state for record in self.of(TaskChanged) if record.task == task]
        return list(dict.fromkeys(seen))

    @property
    def inside(self) -> set[str]:
        """Tasks in rotation, by the records."""
        found: set[str] = set()
        for record in self.of(RotationChanged):
            (found.add if record.in_rotation else found.discard)(record.task)
        return found

    async def serving(self, count: int) -> list[TaskView]:
        """Wait until so many tasks are in rotation; returns them by slot."""
        await self.until(lambda: len(self.inside) == count, f"{count} tasks in rotation")
        assert self.deployment is not None
        return [task for task in await self.deployment.tasks() if task.in_rotation]


@asynccontextmanager
async def opened_run(host: Host, directory: Path, **words: object) -> AsyncIterator[Swarming]:
    """A run from preflight to close, which must leave nothing."""
    platform = platform_on(host, **words)
    run = Swarming(host, platform, directory)
    await platform.preflight()
    await platform.open(RunInfo(run_id=RUN, directory=directory), run.emit)
    try:
        yield run
    finally:
        if run.deployment is not None:
            await run.deployment.remove()  # whatever a failed test left; needless otherwise
        left = await platform.close()
    assert left == ()


@asynccontextmanager
async def opened_run_that_may_leave(host: Host, directory: Path) -> AsyncIterator[Swarming]:
    """A run whose daemon is going to die, so that it cannot take everything away."""
    platform = platform_on(host)
    run = Swarming(host, platform, directory)
    await platform.open(RunInfo(run_id=RUN, directory=directory), run.emit)
    try:
        yield run
    finally:
        await platform.close()
