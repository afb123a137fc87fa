"""The one protocol that every platform speaks: deploy a service, watch its tasks, act on it, take it away.

Called by the director and the faults; implemented by `platforms.local` (and later docker, swarm). A platform writes
what happens to its tasks as journal records through the `emit` it was given; methods return when the platform has
accepted the wish, not when it has come true: that is waited for in the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from breakroom.journal.records import Record
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec

__all__ = [
    "USAGE_CODES",
    "Availability",
    "Capabilities",
    "Deployment",
    "Emit",
    "Endpoint",
    "Evidence",
    "NodeView",
    "Platform",
    "PlatformError",
    "RunInfo",
    "TaskView",
    "require_port",
]

Emit = Callable[[Record], None]
Availability = Literal["active", "pause", "drain"]

USAGE_CODES = frozenset(
    {
        "consent-needed",
        "daemon-missing",
        "docker-config",
        "docker-host",
        "image-missing",
        "image-unknown",
        "not-a-manager",
        "permission-denied",
        "port-missing",
        "port-taken",
        "program-missing",
        "ssh-failed",
        "swarm-in-use",
        "swarm-not-ready",
        "tls-failed",
        "unsupported",
    }
)
"""Codes of `PlatformError` for what the user mends in the call, the file or the set-up: exit code 2, not 3."""


class PlatformError(Exception):
    """The platform cannot do what was asked. `code` is stable; `hint` says the way out."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code = code
        self.hint = hint
        super().__init__(message)


def require_port(service: ServiceSpec) -> None:
    """Refuse a service that its users could not reach; every platform asks this before it makes anything.

    Raises:
        PlatformError: `port-missing`.
    """
    if not service.ports:
        raise PlatformError(
            "port-missing",
            f"service {service.name} publishes no port",
            'say which port users are served on: `ports: ["8080:3000"]`',
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the platform can do here, found out by trying. `how` goes into the journal: name → means."""

    runs_as: frozenset[str]
    how: dict[str, str]
    cannot: dict[str, str] = field(default_factory=dict)
    """Timeline actions that cannot be done here, each with the reason in a sentence: `network`, `drain`, … as a whole,
    or a part of one: `kill.match`, `partition.tasks`, `partition.node`, and of `network` delay, jitter, loss, corrupt,
    duplicate, rate as in `network.loss` (`spec.drill_steps.needs`)."""
    side_by_side: bool = False
    """Whether contenders may run at the same time where a drill allows it.

    Starting a container costs its daemon most of a core for a while, which the others' users would feel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """The run that a platform is opened for: what its labels and marks are made of."""

    run_id: str
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the kernel or the platform's own state says after an act, read back and not assumed."""

    holds: bool
    """Whether the wanted state was seen. False leaves the fault *unproved*."""
    t: int
    """When it was seen, or when it was given up."""
    means: str
    """By what it was done: `netem`, `ingress`, `freezer`, `sigstop`, `nft`, …"""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node as the platform sees it now."""

    id: str
    name: str
    role: Literal["manager", "worker"]
    status: str
    """`ready`, `down`, `disconnected` or `unknown`."""
    availability: Availability
    address: str = ""
    leader: bool = False
    here: bool = False
    """Whether it is the node that breakroom talks to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where users reach the service."""

    host: str
    port: int

    def url(self, path: str = "/") -> str:
        """As an http URL; an IPv6 host is bracketed."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """One task as the platform sees it now."""

    id: str
    slot: int
    node: str
    state: str
    desired: str
    in_rotation: bool
    healthy: bool | None
    pid: int | None
    version: int
    port: int | None = None
    """Where the task itself can be reached on this machine, past the ingress; None if it cannot."""
    container: str = ""
    """The container's id, where there is one."""


class Deployment(Protocol):
    """A contender that was deployed."""

    endpoint: Endpoint

    async def tasks(self) -> list[TaskView]:
        """All tasks of the present history, newest first within a slot."""
        ...

    async def signal_task(self, task: str, signal: str) -> None:
        """Send the task's main process a signal from outside the platform's API, as a crash would come."""
        ...

    async def start(self) -> None:
        """What an operator does about a dead container: start it again. Containers only."""
        ...

    async def scale(self, replicas: int) -> None:
        """Change the number of replicas. Services only."""
        ...

    async def update(self, service: ServiceSpec) -> None:
        """Begin a rolling update to another spec of the same name. Services only."""
        ...

    async def rollback(self) -> None:
        """Begin to go back to the spec before. Services only."""
        ...

    async def replace(self, service: ServiceSpec) -> None:
        """Stop the container, take it away, and run another spec of the same name at the same port. Containers only.

        What an operator without an orchestrator does to bring a new release. Its task has a version one higher.
        """
        ...

    async def restart(self) -> None:
        """Stop the container, whatever state it is in, and start it again (`docker restart`). Containers only."""
        ...

    async def stop(self) -> None:
        """Stop the container through the platform's API; no restart policy revives it. Containers only."""
        ...

    async def kill_through_api(self, signal: str = "SIGKILL", *, task: str = "") -> None:
        """Kill through the platform's API (`docker kill`), which is not a crash: no container policy revives it.

        `task` empty: the container. Of a service it is the task's container, and the orchestrator replaces it.
        """
        ...

    async def signal_inside(self, task: str, match: str, signal: str) -> tuple[int, ...]:
        """Signal the processes inside the task whose command line contains `match` (`pkill -f`).

        Returns:
            Their process ids as this machine counts them; empty if none matched.
        """
        ...

    async def process_state(self, task: str) -> str:
        """The state letter of the task's main process (proc(5)): `S`, `T`, `Z`, …; empty: gone."""
        ...

    async def pause(self, task: str) -> Evidence:
        """Freeze the task's processes (`docker pause`)."""
        ...

    async def unpause(self, task: str) -> None:
        """Let them go on."""
        ...

    async def impair(self, task: str, link: dict[str, Any] | None) -> Evidence:
        """Spoil the link to a task (`*`: to all), in the words of `ingress.link.LinkSpec`; None heals it.

        Means is `netem` or `nft` in the task's own network namespace where the kernel can, `ingress` where it cannot.
        The words `corrupt` and `duplicate` (probabilities) are the kernel's alone.

        Raises:
            PlatformError: `unsupported`: neither can do that.
        """
        ...

    async def fill_memory(self, task: str, size: int) -> Evidence:
        """Have `size` bytes more used inside the task's own memory limit, until `free_memory`."""
        ...

    async def free_memory(self, task: str) -> None:
        """Take the pressure away; the task may be gone by then."""
        ...

    async def throttle_cpu(self, task: str, share: float) -> Evidence:
        """Let the task's processes have only `share` of one core, until `unthrottle_cpu`.

        Means is `cfs-quota` (the kernel's, read back) or `duty-cycle` (SIGSTOP and SIGCONT in turn, seen to work).
        """
        ...

    async def unthrottle_cpu(self, task: str) -> None:
        """Let them have what they had before; the task may be gone by then."""
        ...

    async def request_task(self, task: str, method: str, path: str) -> tuple[int, str]:
        """Send the task itself one HTTP request at its target port, past any ingress.

        Returns:
            The answer's status and body.

        Raises:
            ProcessLookupError: the task is gone.
            PlatformError: `no-answer`: it did not answer.
        """
        ...

    async def oom_kills(self) -> int | None:
        """The kernel's own count of OOM kills on the tasks' node(s) since it started; None where it cannot be read."""
        ...

    async def nodes(self) -> list[NodeView]:
        """The nodes that tasks can be on."""
        ...

    async def set_availability(self, node: str, availability: Availability) -> Evidence:
        """`docker node update --availability`. Services only."""
        ...

    async def cut_node(self, node: str, within: int) -> Evidence:
        """Cut a node off from every other, as a dead switch would; it heals itself `within` ns at the latest."""
        ...

    async def heal_node(self, node: str) -> None:
        """Connect it again; may be needless."""
        ...

    def undo_args(self, subject: str) -> dict[str, str]:
        """How another process finds this task or node again: goes into the undo journal before a fault."""
        ...

    async def overview(self) -> str:
        """The tasks and their history as the platform's own command shows them (`docker service ps`, `docker ps`)."""
        ...

    async def remove(self) -> tuple[str, ...]:
        """Stop and remove everything, gracefully where it goes fast; then look. Returns what is still there."""
        ...


class Platform(Protocol):
    """A way to run contenders."""

    name: str

    async def preflight(self) -> None:
        """Find out whether it can be used at all, and ask for what needs consent. Changes nothing.

        Raises:
            PlatformError: it cannot; the hint says the way out.
        """
        ...

    async def open(self, run: RunInfo, emit: Emit) -> None:
        """Make what the whole run needs (a Swarm, an agent on each node). Called once, before the first trial.

        Raises:
            PlatformError: it cannot be made. Nothing is left behind.
        """
        ...

    async def close(self) -> tuple[str, ...]:
        """Take away what `open` made; returns what of this run is still there. Called once, whatever happened."""
        ...

    async def capabilities(self) -> Capabilities:
        """Find out what works here. Called after `preflight`, for `runs_as`, and again after `open`, for all of it.

        Raises:
            PlatformError: nothing does.
        """
        ...

    def image_digest(self, service: ServiceSpec) -> str:
        """A digest of what the service's tasks will run, so that contenders can be proved to run the same."""
        ...

    async def deploy(self, contender: Contender, *, trial: str, directory: Path, emit: Emit) -> Deployment:
        """Create the contender's container or service and its published port; returns when accepted.

        `directory` is the run's own; logs go to `directory/logs`.

        Raises:
            PlatformError: it cannot be created (port taken, program missing, …). Nothing is left behind.
        """
        ...
