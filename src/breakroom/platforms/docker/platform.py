"""The platform `docker`: contenders as containers of a Docker Engine.

Used by the director through `platforms.base`. Services are not for it: they are left out when a run is planned, with a
note that the platform `swarm` runs them. One connection for a run; each trial's container is a `DockerDeployment`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from breakroom.engine.shell.ports import PortPool
from breakroom.i18n.terms import N_
from breakroom.journal import registry
from breakroom.platforms.base import Capabilities, Emit, PlatformError, RunInfo
from breakroom.platforms.docker.connect import Daemon, connect
from breakroom.platforms.docker.cpu import NO_QUOTA
from breakroom.platforms.docker.creation import is_course_image
from breakroom.platforms.docker.deployment import Circumstances, DockerDeployment
from breakroom.platforms.docker.errors import CONNECTION_LOST, image_missing
from breakroom.platforms.docker.front import FrontKind
from breakroom.platforms.docker.hands import Hands, hands_for
from breakroom.platforms.docker.images import Images
from breakroom.platforms.docker.lone import CANNOT
from breakroom.platforms.docker.ownership import leftovers
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec

__all__ = ["DockerPlatform"]

_PACKETS = N_("this kernel has no netem, and breakroom's ingress sees a byte stream and no packets")


class DockerPlatform:
    """Deploys containers.

    `front`: what users reach a container by. `auto` takes Docker's own published port where the kernel has netem, and
    breakroom's ingress where it has not, so that a drill can spoil links there too. `services`: what the run will
    deploy, as far as it is known, so that a missing image is told before anything is begun. `environment` is in place
    of `os.environ`.
    """

    name = "docker"

    def __init__(
        self,
        *,
        front: FrontKind | Literal["auto"] = "auto",
        services: Iterable[ServiceSpec] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._wanted_front = front
        self._services = tuple(services)
        self._environment = environment
        self._daemon: Daemon | None = None
        self._hands: Hands | None = None
        self._probed: dict[str, Any] = {}
        self._no_hands = ""
        self._images = Images()
        self._ports = PortPool()
        self._run = ""

    async def preflight(self) -> None:
        """Connect to the daemon, see what it can and whether it has the images. Changes nothing.

        Raises:
            PlatformError: see `connect`; `image-missing`.
        """
        daemon = await self._connected()
        for service in self._services:
            if service.image and not self._images.digest(service.image):
                raise image_missing(service.image, course=is_course_image(service.image))
        await self._find_hands(daemon)

    async def open(self, run: RunInfo, emit: Emit) -> None:  # noqa: ARG002  # nothing to tell
        """Nothing is made on the daemon for the run as a whole; it is noted where the run's things will be.

        Raises:
            PlatformError: see `connect`.
        """
        daemon = await self._connected()
        registry.note(run.run_id, docker_host=daemon.host)
        await self._begin(daemon, run.run_id)

    async def close(self) -> tuple[str, ...]:
        """End the connection; returns what of this run is still on the daemon."""
        daemon, self._daemon = self._daemon, None
        self._ports.close()
        if daemon is None:
            return ()
        left: tuple[str, ...] = ()
        try:
            if self._hands is not None:
                left = await self._hands.close()
            if self._run:
                left += await leftovers(daemon, self._run)
        except PlatformError as error:
            # What was on it has been told trial by trial.
            if error.code not in CONNECTION_LOST:
                raise
        finally:
            self._hands = None
            await daemon.close()
        return left

    async def capabilities(self) -> Capabilities:
        """What works with this daemon, found by asking and trying.

        Raises:
            PlatformError: the daemon cannot be used.
        """
        daemon = await self._connected()
        if not self._probed:
            await self._find_hands(daemon)
        info = daemon.info
        version = info.get("CgroupVersion") or "1"
        front = self._front()
        netem, nft = self._works("netem"), self._works("nft")
        how = {
            "engine": f"Docker {daemon.version.get('Version', '')}, API {daemon.version.get('ApiVersion', '')}",
            "daemon": "this machine" if daemon.local else "another machine",
            "memory_limit": f"cgroup-v{version}" + ("" if info.get("SwapLimit") else ", swap not limited"),
            "cpu_limit": "cfs-quota" if info.get("CpuCfsQuota", True) else "not-enforced",
            "exit_notice": "docker-events",
            "times": "docker" if daemon.local else "receipt",
            "stats": "cgroup" if daemon.local else "docker-stats",
            "ingress": "breakroom" if front == "breakroom" else "docker",
            "rotation": "ingress" if front == "breakroom" else "from the container's state",
            "link_impairment": "netem" if netem else ("ingress" if front == "breakroom" else "none"),
            "partition": "nft" if nft else ("ingress" if front == "breakroom" else "none"),
            "pause": "freezer",
        }
        return Capabilities(runs_as=frozenset({"container"}), how=how, cannot=self._cannot(front))

    def image_digest(self, service: ServiceSpec) -> str:
        """The image's id on the daemon; empty if it is not there (deploying it says so)."""
        return self._images.digest(service.image)

    async def deploy(
        self, contender: Contender, *, trial: str, directory: Path, emit: Emit
    ) -> DockerDeployment:
        """Create and start the contender's container.

        Raises:
            PlatformError: `unsupported`, `image-missing`, `port-taken`, `program-missing`, or a code of `errors`.
                Nothing is left behind.
        """
        if contender.runs_as != "container":
            raise PlatformError(
                "unsupported",
                f"contender {contender.name} is a service, and Docker without Swarm runs containers only",
                "run it with `--platform swarm`",
            )
        daemon = await self._connected()
        if not self._run:
            # Opened by nobody, so the run is known by its directory.
            await self._begin(daemon, directory.name)
        around = Circumstances(
            daemon=daemon,
            front=self._front(),
            ports=self._ports,
            run=self._run,
            trial=trial,
            directory=directory,
            emit=emit,
            hands=self._hands,
            probed=self._probed,
        )
        return await DockerDeployment.deploy(around, contender.service)

    async def _connected(self) -> Daemon:
        if self._daemon is None:
            daemon = await connect(self._environment)
            try:
                await self._images.read(daemon)
            except BaseException:
                await daemon.close()
                raise
            self._daemon = daemon
        return self._daemon

    async def _begin(self, daemon: Daemon, run: str) -> None:
        self._run = run
        await self._find_hands(daemon)

    async def _find_hands(self, daemon: Daemon) -> None:
        """Who acts past Docker's API here, and what this kernel can; nobody where that cannot be had."""
        self._hands = None
        try:
            hands = await hands_for(daemon, self._run)
            self._probed = self._probed or await hands.act({"act": "probe"})
        except PlatformError as error:
            self._no_hands = " ".join(part for part in (str(error), error.hint) if part)
            self._probed = {"netem": {"works": False, "reason": self._no_hands}}
        else:
            self._hands = hands

    def _front(self) -> FrontKind:
        if self._wanted_front != "auto":
            return self._wanted_front
        return "native" if self._works("netem") else "breakroom"

    def _works(self, what: str) -> bool:
        return bool((self._probed.get(what) or {}).get("works"))

    def _cannot(self, front: FrontKind) -> dict[str, str]:
        found = dict(CANNOT)
        if self._hands is None:
            found["memory"] = self._no_hands
        if self._daemon is not None and not self._daemon.info.get("CpuCfsQuota", True):
            found["cpu"] = NO_QUOTA
        if not self._works("netem"):
            found |= {"network.corrupt": _PACKETS, "network.duplicate": _PACKETS}
            if front == "native":
                reason = (self._probed.get("netem") or {}).get("reason") or self._no_hands
                found["network"] = f"{reason}; Docker's own port cannot do it either"
                if not self._works("nft"):
                    found["partition"] = found["network"]
        return found
