"""One container under Docker as a deployed contender: created, acted on, removed.

Made by the platforms `docker` and `swarm` for contenders that run as a container. What happens to it is written by its
`watch`; acts on its processes, link and memory are in the base class. Removing it ends with a look at what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from aiodocker.containers import DockerContainer

from breakroom.engine.shell.ports import PortPool
from breakroom.platforms.base import Emit, Endpoint, PlatformError, TaskView
from breakroom.platforms.docker.acts import ContainerActs, Target
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.creation import (
    Made,
    create,
    create_another,
    explained,
    require_image,
    stop_signal_number,
)
from breakroom.platforms.docker.errors import CONNECTION_LOST
from breakroom.platforms.docker.front import Front, FrontKind, taken
from breakroom.platforms.docker.hands import Hands
from breakroom.platforms.docker.life import Container, Lives, Start
from breakroom.platforms.docker.overview import docker_ps
from breakroom.platforms.docker.ownership import leftovers
from breakroom.platforms.docker.translate import require_image_and_port
from breakroom.platforms.docker.watch import ContainerWatch
from breakroom.spec.service import ServiceSpec

__all__ = ["Circumstances", "DockerDeployment"]

_T = TypeVar("_T")
_GRACE_SECONDS = 2
_END_SECONDS = 5.0
_LOOKS = 100
_LOOK_SECONDS = 0.02
_START_FAILED = 128
"""The exit status that Docker gives a container which could not be started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Where and for what a container is deployed."""

    daemon: Daemon
    front: FrontKind
    ports: PortPool
    run: str
    trial: str
    directory: Path
    """The run's own; logs go to `logs/TRIAL` in it."""
    emit: Emit
    hands: Hands | None = None
    probed: Mapping[str, Any] | None = None
    """What the hands' `probe` answered, if they were asked."""


class DockerDeployment(ContainerActs):
    """A container. Made by `deploy`."""

    endpoint: Endpoint

    def __init__(self, around: Circumstances, spec: ServiceSpec) -> None:
        super().__init__(around.daemon, around.hands, around.run, around.probed)
        self._around = around
        self._spec = spec
        self._watch = ContainerWatch(
            around.daemon, trial=around.trial, emit=around.emit, directory=around.directory
        )
        self._watch.on_start = self.impair_anew
        self._watch.on_end = self._give_back_cpu
        self._made: Made | None = None
        self._lives: Lives | None = None
        self._closing = False

    @classmethod
    async def deploy(cls, around: Circumstances, spec: ServiceSpec) -> DockerDeployment:
        """Create and start the container, behind its front.

        Raises:
            PlatformError: `image-missing`, `port-taken`, `program-missing`, `unsupported`, or a code of
                `errors`. Nothing is left behind.
        """
        deployment = cls(around, spec)
        try:
            await deployment._open()
        except BaseException:
            # Cancellation too: the caller never gets the deployment, so nobody else can end it.
            await asyncio.shield(deployment.remove())
            raise
        return deployment

    async def _open(self) -> None:
        around, spec = self._around, self._spec
        logs = around.directory / "logs" / around.trial.replace("/", "-")
        await asyncio.to_thread(logs.mkdir, parents=True, exist_ok=True)
        await self._watch.open()
        made = await create(
            around.daemon,
            spec,
            run=around.run,
            trial=around.trial,
            front=around.front,
            ports=around.ports,
            logs=logs,
            emit=self._watch.write,
        )
        self._made = made
        self.endpoint = made.front.endpoint
        node = str(around.daemon.info.get("Name", ""))
        self._lives = Lives(
            Container(id=made.id, trial=around.trial, service=spec.name, node=node, image=spec.image)
        )
        self._watch.attach(
            self._lives,
            made.front,
            address=self.outside,
            stop_signal=stop_signal_number(spec),
            health=spec.has_healthcheck,
        )
        await self.start()

    # --- the protocol -----------------------------------------------------------------------------------------

    async def tasks(self) -> list[TaskView]:
        """Every start of the container, newest first."""
        lives = _need(self._lives)
        return lives.views(inside=self._watch.inside, port=_need(self._made).outside[1])

    async def start(self) -> None:
        """Start the container (again, as an operator does); nothing if it runs.

        Raises:
            PlatformError: `port-taken`, `program-missing`, or the daemon refused or is gone.
        """
        lives, made = _need(self._lives), _need(self._made)
        self._watch.write(*lives.begin(time.monotonic_ns()))
        try:
            with self.daemon.asking(f"start container {made.name}"):
                await self._container.start()
        except PlatformError as error:
            current = lives.current
            if current is not None and current.state == "starting":
                # It never ran: there is no log that could be kept.
                self._watch.logged.add(current.task)
                self._watch.write(*lives.ended(time.monotonic_ns(), exit_code=_START_FAILED))
            raise await explained(error, self.daemon, self._spec, made.outside[1]) from error

    async def stop(self) -> None:
        """`docker stop`: the stop signal, the grace period, SIGKILL; returns when it has stopped."""
        lives = _need(self._lives)
        self._watch.write(*lives.unwanted(time.monotonic_ns()))
        with self.daemon.asking("stop the container"):
            await self._container.stop()

    async def restart(self) -> None:
        """`docker restart`; returns when it runs again. One that is paused goes on first, or Docker would refuse.

        Raises:
            PlatformError: `port-taken`, `program-missing`, or the daemon refused or is gone.
        """
        made = _need(self._made)
        self._watch.write(*_need(self._lives).unwanted(time.monotonic_ns()))
        await self._let_go_on()
        try:
            with self.daemon.asking(f"restart container {made.name}"):
                await self._container.restart()
        except PlatformError as error:
            raise await explained(error, self.daemon, self._spec, made.outside[1]) from error

    async def replace(self, service: ServiceSpec) -> None:
        """`docker stop`, `docker rm`, `docker run` at the same port.

        The image is looked for before anything is stopped. Should Docker refuse the new container all the same, the old
        one is gone, and there is none.

        Raises:
            PlatformError: `image-missing` (nothing has changed then), `unsupported`, `port-taken`, `program-missing`,
                or the daemon refused or is gone.
        """
        made, lives, around = _need(self._made), _need(self._lives), self._around
        require_image_and_port(service, "Docker")
        await require_image(self.daemon, service)
        last = lives.current
        self._watch.write(*lives.unwanted(time.monotonic_ns()))
        await self._let_go_on()
        with self.daemon.asking("stop the container"):
            await self._container.stop()
        if last is not None and not await self._ended(last):
            raise PlatformError("act-failed", f"Docker does not tell of the end of container {made.name}")
        with self.daemon.asking(f"remove container {made.name}"):
            await self._container.delete(v=True)
        making = asyncio.ensure_future(
            create_another(
                self.daemon, made, service, run=around.run, trial=around.trial, emit=self._watch.write
            )
        )
        try:
            self._made = await asyncio.shield(making)
        except asyncio.CancelledError:
            # Docker may have made it already; whoever removes the deployment must know.
            self._made = await making
            raise
        version = lives.container.version + 1
        lives.replaced(replace(lives.container, id=self._made.id, image=service.image, version=version))
        self._spec = service
        self._watch.expect(stop_signal=stop_signal_number(service), health=service.has_healthcheck)
        await self.start()

    async def kill_through_api(self, signal: str = "SIGKILL", *, task: str = "") -> None:  # noqa: ARG002
        """`docker kill`: Docker takes the end that follows for wanted, and does not revive the container.

        Raises:
            PlatformError: `refused`: it does not run.
        """
        with self.daemon.asking("kill the container"):
            await self._container.kill(signal=signal)

    def target(self, task: str) -> Target:
        """The container and the task's process; an empty name is the one that runs.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        lives = _need(self._lives)
        start = lives.find(task) if task else lives.current
        if start is None or not start.alive or start.pid is None:
            raise ProcessLookupError(f"task {task or 'of the container'} has no running process")
        return start.container.id, start.pid

    @property
    def front(self) -> Front:
        """What stands before the container."""
        return _need(self._made).front

    @property
    def port(self) -> int:
        """The port that the service listens on, inside."""
        return self._spec.target_port

    @property
    def outside(self) -> tuple[str, int]:
        """Where Docker publishes that port, behind the front; an address that can be reached from here."""
        host, port = _need(self._made).outside
        return (host if host not in _ANY else self.daemon.node_address), port

    def undo_args(self, subject: str) -> dict[str, str]:
        """How another process finds the container again."""
        made = _need(self._made)
        return {
            "platform": "docker", "subject": subject, "host": self.daemon.host,
            "container": made.id, "run": self._around.run,
        }  # fmt: skip

    async def overview(self) -> str:
        """`docker ps -a` for this container."""
        return await docker_ps(self.daemon, _need(self._made).id)

    async def remove(self) -> tuple[str, ...]:
        """Stop it (2 s of grace), keep its log, remove it, end the front, and look. May be called again."""
        if self._closing:
            return ()
        self._closing = True
        self._watch.closing = True
        left: list[str] = []
        made = self._made
        if made is not None:
            await made.front.cost()
            left += await self._take_away(made)
        await self._watch.close()
        if made is not None:
            left += await made.front.close()
            left += await self._port_taken(made)
            self._around.ports.give_back(made.outside[1])
        return tuple(dict.fromkeys(left))

    # --- its own ----------------------------------------------------------------------------------------------

    @property
    def _container(self) -> DockerContainer:
        return self.daemon.docker.containers.container(_need(self._made).id)

    async def _take_away(self, made: Made) -> list[str]:
        """Stop and remove the container; what is still there, or could not be looked at."""
        try:
            await self._stop_for_good()
            with self.daemon.asking(f"remove container {made.name}"):
                await self._container.delete(force=True, v=True)
            return list(await leftovers(self.daemon, self._around.run, trial=self._around.trial))
        except PlatformError as error:
            if error.code == "not-found":
                return []
            if error.code in CONNECTION_LOST:
                return [f"container {made.name}: not looked at, because Docker does not answer"]
            return [f"container {made.name}: {error}"]

    async def _stop_for_good(self) -> None:
        lives = _need(self._lives)
        current = lives.current
        if current is None:
            return
        self._watch.write(*lives.unwanted(time.monotonic_ns()))
        await self._let_go_on()
        with self.daemon.asking("stop the container"):
            await self._container.stop(t=_GRACE_SECONDS)
        await self._ended(current)

    async def _ended(self, start: Start) -> bool:
        """Wait until the journal shows how a start ended, and its log is kept, while there is one; whether so."""
        watch = self._watch
        await watch.until(lambda: watch.lost or watch.settled(start), _END_SECONDS)
        return watch.settled(start)

    async def _let_go_on(self) -> None:
        """What is paused cannot be stopped: Docker refuses."""
        with self.daemon.asking("unpause the container"):
            if (await self._container.show())["State"].get("Paused"):
                await self._container.unpause()

    async def _give_back_cpu(self, task: str) -> None:
        """A limit is the container's, and would be its next start's as well, which has done nothing to deserve it."""
        if not self._closing:
            with contextlib.suppress(PlatformError):
                await self.unthrottle_cpu(task)

    async def _port_taken(self, made: Made) -> list[str]:
        """Docker's port, which its proxy may give back a moment after the container is gone."""
        host, port = made.outside
        if self.daemon.node_address != host:
            return []
        for _ in range(_LOOKS):
            if not taken((host,), port):
                return []
            await asyncio.sleep(_LOOK_SECONDS)
        return taken((host,), port)


def _need(thing: _T | None) -> _T:
    if thing is None:
        raise PlatformError("removed", "the container was never made")
    return thing


_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared with, not listened on
