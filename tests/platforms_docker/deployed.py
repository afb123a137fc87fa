"""A container deployed by the platform, its records, and what the daemon itself says of it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from breakroom.journal.records import HealthChanged, Record, TaskChanged
from breakroom.platforms.docker.deployment import DockerDeployment
from breakroom.spec.service import Deploy, Healthcheck, Limits, Port, Resources, ServiceSpec
from docker_lab.lab import Host
from told.records import Told

__all__ = ["SECOND", "TRIAL", "Deployed", "RecordT", "service", "shell"]

RecordT = TypeVar("RecordT", bound=Record)
SECOND = 1_000_000_000
TRIAL = "test/single/1"


def service(
    *,
    image: str = "improved-app:latest",
    command: tuple[str, ...] = (),
    restart: str = "no",
    memory: int | None = None,
    healthcheck: Healthcheck | None = None,
    environment: dict[str, str] | None = None,
    published: int = 0,
) -> ServiceSpec:
    return ServiceSpec(
        name="web",
        image=image,
        command=command,
        restart=restart,
        ports=(Port(target=3000, published=published),),
        healthcheck=healthcheck,
        environment=environment or {},
        stop_grace_period=2 * SECOND,
        deploy=Deploy(resources=Resources(limits=Limits(memory=memory))),
    )


def shell(line: str, **words: Any) -> ServiceSpec:
    """A service that runs a line of shell in the base image."""
    spec = service(image="breakroom-test-base:latest", **words)
    # As process 1 a shell does not hear SIGTERM, and every removal would wait for its grace period.
    return replace(spec, entrypoint=("sh", "-c"), command=(line,), stop_signal="SIGKILL")


class Deployed(Told):
    """One deployment and everything that was heard of it."""

    within = 30.0
    looks_every = 0.2

    def __init__(self, host: Host, directory: Path) -> None:
        super().__init__()
        self.host = host
        self.directory = directory
        self.left: tuple[str, ...] = ()
        self.deployment: DockerDeployment

    def began(self, deployment: DockerDeployment) -> None:
        self.deployment = deployment

    @property
    def container(self) -> str:
        """Its full id."""
        (name,) = self.host.docker("ps", "-aq", "--no-trunc", "--filter", "label=breakroom=container").split()
        return name

    def states(self, task: str = "") -> list[str]:
        """The states that a task (the first, without a name) went through, without repeats."""
        changes = self.of(TaskChanged)
        wanted = task or changes[0].task
        states = [change.state for change in changes if change.task == wanted]
        return [state for number, state in enumerate(states) if number == 0 or states[number - 1] != state]

    def ends(self) -> list[TaskChanged]:
        return [change for change in self.of(TaskChanged) if change.exit_code is not None]

    def begins(self, state: str = "running") -> list[TaskChanged]:
        """The first record of each task in that state."""
        found: dict[str, TaskChanged] = {}
        for change in self.of(TaskChanged):
            if change.state == state:
                found.setdefault(change.task, change)
        return list(found.values())

    def health(self) -> list[HealthChanged]:
        return self.of(HealthChanged)

    async def running(self, number: int = 1) -> str:
        """Wait until the container runs for the so-manieth time; returns the task."""
        await self.until(lambda: len(self.begins()) >= number, f"start {number}")
        return self.begins()[number - 1].task

    async def ended(self, number: int = 1) -> TaskChanged:
        await self.until(lambda: len(self.ends()) >= number, f"end {number}")
        return self.ends()[number - 1]

    def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.host.docker("inspect", self.container))[0]
        return found

    def written(self) -> list[str]:
        """The lines that Docker has of it, of all its starts."""
        return self.host.docker("logs", self.container).splitlines()

    def events(self, since_unix_ns: int) -> list[dict[str, Any]]:
        """Docker's own events of this container since then, by its command line."""
        out = self.host.docker(
            "events", "--since", f"{since_unix_ns / 1e9:.9f}", "--until", f"{time.time() + 0.1:.9f}",
            "--filter", f"container={self.container}", "--format", "{{json .}}",
        )  # fmt: skip
        return [json.loads(line) for line in out.splitlines()]
