"""The platform `swarm`: services under a Docker Swarm, and single containers on the same daemon to compare them with.

Wired in `cli.run`, spoken to through `platforms.base`. Opens one connection for a run; joins to no Swarm and makes none
without consent; finds out by trying whether the routing mesh works. Where it does not, breakroom's ingress stands in
front of every contender of the run, so that all are reached in the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from breakroom.engine.shell.ports import PortPool
from breakroom.i18n.terms import N_
from breakroom.journal import registry
from breakroom.journal.records import Problem
from breakroom.platforms.base import Capabilities, Deployment, Emit, Endpoint, PlatformError, RunInfo
from breakroom.platforms.docker.connect import Daemon, connect
from breakroom.platforms.docker.cpu import NO_QUOTA
from breakroom.platforms.docker.creation import explained, is_course_image
from breakroom.platforms.docker.deployment import Circumstances, DockerDeployment
from breakroom.platforms.docker.errors import image_missing
from breakroom.platforms.docker.front import (
    LOOPBACK,
    Front,
    FrontKind,
    IngressFront,
    NativeFront,
    hosts_of,
    taken,
)
from breakroom.platforms.docker.images import Images
from breakroom.platforms.docker.ownership import leftovers
from breakroom.platforms.local_images import known_images
from breakroom.platforms.swarm.acts import TaskActs
from breakroom.platforms.swarm.cluster import Cluster, Verdict, judge, read_cluster
from breakroom.platforms.swarm.hands import SwarmHands
from breakroom.platforms.swarm.membership import init_swarm, leave_ours
from breakroom.platforms.swarm.mesh import MeshFinding, try_mesh
from breakroom.platforms.swarm.nodes import NodeList
from breakroom.platforms.swarm.patience import through_elections
from breakroom.platforms.swarm.service import SwarmDeployment
from breakroom.spec.drill import Contender
from breakroom.spec.service import Port, ServiceSpec

__all__ = ["SwarmPlatform"]

_ONE_NODE = N_("the Swarm has one node, which is the one that breakroom talks to")
_NO_LINK = N_("this kernel has no netem, and the routing mesh cannot spoil a link")
_PACKETS = N_("this kernel has no netem, and breakroom's ingress sees a byte stream and no packets")
_UNTRIED = MeshFinding(works=False, reason="not tried: none of the run's images is on the daemon")


class SwarmPlatform:
    """A Swarm.

    Args:
        init_swarm: `--init-swarm`: consent to make one where there is none.
        use_swarm: `--use-swarm`: consent to deploy beside services of others.
        ask: asks the person at the terminal a question; None: there is nobody to be asked.
        services: what the run will deploy, as far as it is known: the mesh is tried with one of their images.
        environment: in place of `os.environ`, for finding the daemon.
    """

    name = "swarm"

    def __init__(
        self,
        init_swarm: bool = False,
        use_swarm: bool = False,
        ask: Callable[[str], bool] | None = None,
        *,
        services: Iterable[ServiceSpec] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._consent = {"init": init_swarm, "use": use_swarm}
        self._ask = ask
        self._services = tuple(services)
        self._environment = environment
        self._daemon: Daemon | None = None
        self._verdict: Verdict | None = None
        self._cluster: Cluster | None = None
        self._nodes: NodeList | None = None
        self._hands: SwarmHands | None = None
        self._mesh = _UNTRIED
        self._images = Images()
        self._run = ""
        self._ports = PortPool()

    # --- the run ----------------------------------------------------------------------------------------------

    async def preflight(self) -> None:
        """Find the daemon, look at its Swarm and its images, and ask for what needs consent. Changes nothing.

        Raises:
            PlatformError: `image-missing`, `consent-needed`, `swarm-in-use`, `not-a-manager`, `swarm-not-ready`, or
                there is no daemon.
        """
        if self._daemon is None:
            self._daemon = await connect(self._environment)
        try:
            self._cluster = await read_cluster(self._daemon)
            self._verdict = judge(self._cluster)
            await self._images.read(self._daemon)
            for service in self._services:
                if service.image and not self.image_digest(service):
                    raise image_missing(service.image, course=is_course_image(service.image))
            # Last, so that nobody is asked in vain.
            self._agree(self._verdict)
        except BaseException:
            await self._disconnect()
            raise

    async def open(self, run: RunInfo, emit: Emit) -> None:
        """Make a Swarm if that was agreed to, see what its nodes are, and try the routing mesh.

        Raises:
            PlatformError: it cannot be made. Nothing is left behind.
        """
        if self._verdict is None:
            await self.preflight()
        daemon = self._known
        self._run = run.run_id
        registry.note(run.run_id, docker_host=daemon.host)
        try:
            await self._open(daemon, run, emit)
        except BaseException:
            with contextlib.suppress(PlatformError):
                await asyncio.shield(self.close())
            raise

    async def close(self) -> tuple[str, ...]:
        """Give back what was taken: nodes' availability, the Swarm that was made. What stays, in words."""
        daemon = self._daemon
        if daemon is None:
            return ()
        left: list[str] = []
        try:
            if self._run:
                left += await self._given_back(daemon)
        except PlatformError as error:
            left.append(f"what is on the Docker daemon at {daemon.host}: {error}")
        finally:
            await self._disconnect()
        return tuple(dict.fromkeys(left))

    async def capabilities(self) -> Capabilities:
        """What works here, as it was found out; before `open`, only what contenders there may be."""
        daemon, hands = self._known, self._hands
        both = frozenset({"container", "service"})
        if hands is None:
            return Capabilities(runs_as=both, how={})
        info, mesh, netem, nft = daemon.info, self._mesh, hands.works("netem"), hands.works("nft")
        ours = self._front_kind == "breakroom"
        by_ingress = "ingress" if ours else "none"
        return Capabilities(
            runs_as=both,
            how={
                "engine": f"Docker {daemon.version.get('Version', '?')}, API {daemon.version.get('ApiVersion', '?')}",
                "daemon": "this machine" if daemon.local else "another machine",
                "nodes": str(len(self._node_list.rows)),
                "published_port": "host-mode-behind-breakroom-ingress" if ours else "ipvs-mesh",
                "routing_mesh": mesh.reason,
                "ingress": "breakroom" if ours else "ipvs",
                "rotation": "ingress" if ours else "from the tasks' states",
                "task_states": "polled",
                "exit_notice": "docker-events",
                "times": "docker" if daemon.local else "receipt",
                "stats": "cgroup" if daemon.local else "docker-stats",
                "memory_limit": f"cgroup-v{info.get('CgroupVersion') or '1'}",
                "swap_limit": "set on this node's containers"
                if info.get("SwapLimit")
                else "swap not limited",
                "hands": hands.means,
                "link_impairment": "netem" if netem else by_ingress,
                "partition": "nft" if nft else by_ingress,
                "pause": "freezer",
            },
            cannot=self._cannot(hands),
        )

    def image_digest(self, service: ServiceSpec) -> str:
        """The id of the service's image on this daemon; empty if it has none."""
        return self._images.digest(service.image)

    async def deploy(self, contender: Contender, *, trial: str, directory: Path, emit: Emit) -> Deployment:
        """Create the contender's service, or its container on this node.

        Raises:
            PlatformError: it cannot be created. Nothing is left behind.
        """
        if contender.runs_as == "container":
            return await DockerDeployment.deploy(self._around(trial, directory, emit), contender.service)
        return await self._deploy_service(contender.service, trial, directory, emit)

    # --- within -----------------------------------------------------------------------------------------------

    def _agree(self, verdict: Verdict) -> None:
        """Consent by option or at the terminal, or the refusal."""
        if verdict.refusal is None or self._consent[verdict.do]:
            return
        # Before anything runs, so the loop may wait for a person.
        if self._ask is None or not self._ask(verdict.question):
            raise verdict.refusal

    async def _open(self, daemon: Daemon, run: RunInfo, emit: Emit) -> None:
        assert self._verdict is not None
        if self._verdict.do == "init":
            await init_swarm(daemon, run.run_id)
        else:
            self._note_found(emit)
        cluster = await read_cluster(daemon)
        self._nodes = NodeList(daemon, here=cluster.node, run=run.run_id)
        with daemon.asking("list the nodes"):
            await self._nodes.refresh()
        await self._images.read(daemon)
        self._hands = await SwarmHands.find(daemon, self._nodes, run.run_id)
        spec = self._to_try()
        if spec is not None:
            self._mesh = await try_mesh(daemon, self._nodes, spec, run=run.run_id)

    def _note_found(self, emit: Emit) -> None:
        cluster = self._cluster
        assert cluster is not None
        now = time.monotonic_ns()
        found = {"daemon": cluster.name, "nodes": cluster.nodes}
        emit(Problem(t=now, severity="note", code="swarm-found", params=found))
        if cluster.leftovers:
            names = {"services": ", ".join(cluster.leftovers)}
            emit(Problem(t=now, severity="note", code="swarm-leftovers", params=names))

    def _to_try(self) -> ServiceSpec | None:
        """A service to try the mesh with: one of the run's, else a sample app that is there."""
        for spec in self._services:
            if spec.image and spec.ports and self.image_digest(spec):
                return spec
        sample = next((name for name in known_images() if self._images.digest(name)), "")
        return ServiceSpec(name="probe", image=sample, ports=(Port(target=3000),)) if sample else None

    def _around(self, trial: str, directory: Path, emit: Emit) -> Circumstances:
        return Circumstances(
            daemon=self._known,
            front=self._front_kind,
            ports=self._ports,
            run=self._run,
            trial=trial,
            directory=directory,
            emit=emit,
            hands=self._hands.here if self._hands is not None else None,
        )

    async def _deploy_service(
        self, spec: ServiceSpec, trial: str, directory: Path, emit: Emit
    ) -> SwarmDeployment:
        daemon, nodes = self._known, self._node_list
        if spec.image and not self.image_digest(spec):
            await self._images.read(daemon)
            if not self.image_digest(spec):
                raise image_missing(spec.image, course=is_course_image(spec.image))
        self._look_at_port(spec)
        logs = directory / "logs" / trial.replace("/", "-")
        await asyncio.to_thread(logs.mkdir, parents=True, exist_ok=True)
        deployment = SwarmDeployment(
            daemon,
            run=self._run,
            trial=trial,
            spec=spec,
            directory=directory,
            logs=logs,
            nodes=nodes,
            acts=TaskActs(daemon, nodes, run=self._run, hands=self._hands or SwarmHands(nodes)),
            emit=emit,
        )
        front: Front | None = None
        try:
            if self._front_kind == "breakroom" and spec.ports:
                own = spec.ports[0]
                front = await IngressFront.start(
                    trial=trial,
                    emit=deployment.emit,
                    directory=logs,
                    hosts=hosts_of(own.host_ip),
                    port=own.published,
                )

            def make_front(published: int) -> Front:
                endpoint = Endpoint(host=daemon.node_address, port=published)
                return front or NativeFront(trial, endpoint, deployment.emit)

            await deployment.open(make_front, "ingress" if front is None else "host")
        except BaseException as error:
            # Cancellation too: the caller never gets the deployment, so nobody else can end it.
            with contextlib.suppress(PlatformError):
                await asyncio.shield(deployment.remove())
            if front is not None:
                await asyncio.shield(front.close())
            if isinstance(error, PlatformError) and error.code == "port-taken" and spec.ports:
                raise await explained(error, daemon, spec, spec.ports[0].published) from error
            raise
        return deployment

    def _look_at_port(self, spec: ServiceSpec) -> None:
        """Swarm publishes a port through the mesh although a program has it, and then nobody is answered by Swarm."""
        port = spec.ports[0].published if spec.ports else 0
        if port and self._mesh.works and self._known.local and taken(LOOPBACK[:1], port):
            raise PlatformError(
                "port-taken",
                f"port {port} is taken on this machine",
                "end what holds it (`ss -ltnp`), or publish another port",
            )

    async def _given_back(self, daemon: Daemon) -> list[str]:
        left: list[str] = []
        if self._hands is not None:
            left += await self._hands.close()
        if (nodes := self._nodes) is not None:
            await through_elections(lambda: _restored(daemon, nodes))
        left += await through_elections(lambda: leftovers(daemon, self._run))
        if self._verdict is not None and self._verdict.do == "init":
            left += await leave_ours(daemon, self._run)
        return left

    async def _disconnect(self) -> None:
        daemon, self._daemon = self._daemon, None
        self._ports.close()
        if daemon is not None:
            await daemon.close()

    def _cannot(self, hands: SwarmHands) -> dict[str, str]:
        cannot: dict[str, str] = {}
        if len(self._node_list.rows) == 1:
            cannot |= {"node_loss": _ONE_NODE, "partition.node": _ONE_NODE}
        elif not hands.remote:
            reason = f"breakroom has no agent on the Swarm's other nodes: {hands.why_not_there}"
            cannot |= {"node_loss": reason, "partition.node": reason}
        if hands.why_not_here:
            cannot["memory"] = hands.why_not_here
            if self._front_kind == "native":
                cannot["request"] = f"{hands.why_not_here}; and the routing mesh gives a request to any task"
        if not self._known.info.get("CpuCfsQuota", True):
            cannot["cpu"] = NO_QUOTA
        if not hands.works("netem"):
            cannot |= {"network.corrupt": _PACKETS, "network.duplicate": _PACKETS}
            if self._front_kind == "native":
                cannot["network"] = _NO_LINK
                if not hands.works("nft"):
                    cannot["partition.tasks"] = cannot["network"]
        return cannot

    @property
    def _front_kind(self) -> FrontKind:
        return "native" if self._mesh.works else "breakroom"

    @property
    def _known(self) -> Daemon:
        if self._daemon is None:
            raise PlatformError("not-open", "the platform was not opened, or is closed")
        return self._daemon

    @property
    def _node_list(self) -> NodeList:
        if self._nodes is None:
            raise PlatformError("not-open", "the platform was not opened")
        return self._nodes


async def _restored(daemon: Daemon, nodes: NodeList) -> None:
    with daemon.asking("restore the nodes' availability"):
        await nodes.refresh()
    await nodes.restore_all()
