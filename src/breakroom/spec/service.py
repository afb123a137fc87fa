"""What to deploy: a service, in Compose's words, as plain immutable values.

Built by `spec.loader` from a drill or Compose file; read by the engine, the platforms and the director.
Nothing here touches a file or a clock. Field names are Compose's own keys.
Units, everywhere in this package: a time is an `int` of nanoseconds, a size an `int` of bytes.

Defaults are those of the Compose specification and, for `deploy`, of Swarm (swarmkit `api/defaults`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from breakroom.spec.units import Cpus, Duration, Size

__all__ = [
    "Deploy",
    "Healthcheck",
    "Limits",
    "Port",
    "Resources",
    "RestartPolicy",
    "ServiceSpec",
    "UpdateConfig",
]

SECOND = 1_000_000_000

DurationNs = Annotated[int, Duration]
SizeBytes = Annotated[int, Size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """How a task's health is probed (Compose `healthcheck`; defaults are Docker's).

    `test` is `("NONE",)`, `("CMD", program, arg, …)`, `("CMD-SHELL", line)` or, breakroom's own addition,
    `("HTTP", path_or_url)`: a GET that succeeds on any status from 200 to 399, needing no program in the image.
    """

    test: tuple[str, ...]
    interval: DurationNs = 30 * SECOND
    timeout: DurationNs = 30 * SECOND
    retries: int = 3
    start_period: DurationNs = 0
    start_interval: DurationNs = 5 * SECOND
    disable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """Swarm's restart policy (`deploy.restart_policy`)."""

    condition: Literal["none", "on-failure", "any"] = "any"
    delay: DurationNs = 5 * SECOND
    max_attempts: int = 0
    """0: without limit."""
    window: DurationNs = 0
    """0: attempts are counted over the task slot's whole life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateConfig:
    """How tasks are replaced when the spec changes (`deploy.update_config`, `deploy.rollback_config`)."""

    parallelism: int = 1
    """Independent workers, not batches; 0: all slots at once."""
    delay: DurationNs = 0
    monitor: DurationNs = 5 * SECOND
    failure_action: Literal["pause", "continue", "rollback"] = "pause"
    max_failure_ratio: float = 0.0
    order: Literal["stop-first", "start-first"] = "stop-first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds for one task (`deploy.resources.limits`)."""

    memory: SizeBytes | None = None
    cpus: Annotated[float, Cpus] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """`deploy.resources`."""

    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """Compose's `deploy`: what an orchestrator needs to know. A plain container uses only `resources`."""

    replicas: int = 1
    update_config: UpdateConfig = field(default_factory=UpdateConfig)
    rollback_config: UpdateConfig = field(default_factory=UpdateConfig)
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A published port: `target` inside the task, `published` outside (0: any free one)."""

    target: int
    published: int = 0
    host_ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One service as a contender deploys it: everything merged, nothing left to look up.

    `command` may hold the placeholder `{port}`: the port that the task must listen on. It is `ports[0].target` in
    a container and a free port on the local platform, where the variable `PORT` says the same.
    """

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    working_dir: str = ""
    ports: tuple[Port, ...] = ()
    healthcheck: Healthcheck | None = None
    restart: str = "no"
    """The container engine's policy: `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`."""
    stop_grace_period: DurationNs = 10 * SECOND
    stop_signal: str = "SIGTERM"
    labels: dict[str, str] = field(default_factory=dict)
    deploy: Deploy = field(default_factory=Deploy)

    @property
    def target_port(self) -> int:
        """The port inside a task that users are served on (the first published one)."""
        return self.ports[0].target

    @property
    def has_healthcheck(self) -> bool:
        """Whether health gates rotation: a test exists, is not NONE, and is not disabled."""
        check = self.healthcheck
        return check is not None and not check.disable and check.test[:1] != ("NONE",)
