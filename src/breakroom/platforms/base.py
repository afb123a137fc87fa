"""The one protocol that every platform speaks: deploy a service, watch its tasks, act on it, take it away.

Called by the director and the faults; implemented by `platforms.local` (and later docker, swarm). A platform writes
what happens to its tasks as journal records through the `emit` it was given; methods return when the platform has
accepted the wish, not when it has come true: that is waited for in the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from breakroom.journal.records import Record
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec

__all__ = ["Capabilities", "Deployment", "Emit", "Endpoint", "Platform", "PlatformError", "TaskView"]

Emit = Callable[[Record], None]


class PlatformError(Exception):
    """The platform cannot do what was asked. `code` is stable; `hint` says the way out."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code = code
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the platform can do here, found out by trying. `how` goes into the journal: name → means."""

    runs_as: frozenset[str]
    how: dict[str, str]


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

    async def stop(self) -> None:
        """Stop the container through the platform's API; no restart policy revives it. Containers only."""
        ...

    async def kill_through_api(self, signal: str = "SIGKILL") -> None:
        """Kill the container through the platform's API, which is not a crash: nothing revives it. Containers only."""
        ...

    async def impair(self, task: str, link: dict[str, Any] | None) -> None:
        """Spoil the link to a task (`*`: to all), in the words of `ingress.link.LinkSpec`; None heals it."""
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

    async def capabilities(self) -> Capabilities:
        """Find out what works here.

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
