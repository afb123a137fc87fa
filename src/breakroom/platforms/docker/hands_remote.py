"""Hands on the other nodes of a Swarm: an agent on each for the length of a run, and the way to speak with them.

Called by the platform `swarm` where there is more than one node. Docker's API acts on the containers of its own node
only, so a global service puts `agent.resident` on every node, with that node's Docker socket. The agents listen on an
internal overlay network that only this run has; what they take is sealed with a key that exists as a Docker secret of
this run (`agent.messages`). breakroom is on no overlay network: a relay container on its own node
is, spoken to through `docker attach`. Everything bears the run's labels and is removed by `close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

from aiodocker.networks import DockerNetwork

from breakroom.agent.engine_socket import SOCKET
from breakroom.agent.helper import SECRET
from breakroom.agent.messages import RefusedError, seal, sources_digest, unseal
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.hands import Act, Answer, checked
from breakroom.platforms.docker.hands_image import AGENT_IMAGE, require_agent_image
from breakroom.platforms.docker.hands_relay import Relay
from breakroom.platforms.docker.names import OWNER, RUN, labels, mark, object_name

__all__ = ["NODE_SOCKET", "Agents", "RemoteHands"]

NODE_SOCKET = "BREAKROOM_NODE_SOCKET"
"""Environment variable: where the nodes' Docker socket is, if not in its usual place; may hold Swarm's templates."""
_READY_SECONDS = 90.0
_REMOVE_SECONDS = 30.0
_SWEEP_SECONDS = 60.0
"""A sweep starts a container on its node, which takes seconds on a busy one."""
_ACT_SECONDS = 110.0
_HELLO_SECONDS = 5.0
_LOOK_AGAIN_S = 0.1
_CUT_AFTER_S = 1.0
"""A node that is to be cut off waits so long, so that its answer still gets out."""


@dataclass(slots=True)
class _Agent:
    """One node's agent as it was last met."""

    node: str
    name: str
    address: str
    session: str = ""
    clock_offset_ns: int = 0


class RemoteHands:
    """`hands.Hands` on one node, by its agent."""

    means = "agent"

    def __init__(self, agents: Agents, node: str) -> None:
        self._agents = agents
        self._node = node

    async def act(self, act: Act) -> Answer:
        """See `Hands.act`; a node is cut off a moment after its answer, unless the act has `after_s`."""
        return await self._agents.act(act, node=self._node)

    async def close(self) -> tuple[str, ...]:
        """See `Hands.close`."""
        return await self._agents.sweep(self._node)


class Agents:
    """The agents of one run. `open` them, `close` them."""

    def __init__(self, daemon: Daemon, run: str) -> None:
        self._daemon = daemon
        self._run = run
        self._key = secrets.token_bytes(32)
        self._agents: dict[str, _Agent] = {}
        self._network = self._secret = self._service = ""
        self._relay: Relay | None = None

    @classmethod
    async def open(cls, daemon: Daemon, run: str, *, node_socket: str = "") -> Self:
        """Put an agent on every active node, and wait until each has answered.

        Args:
            daemon: of a manager.
            run: the run's id.
            node_socket: the Docker socket's path on the nodes; default: NODE_SOCKET's value, or Docker's own.

        Raises:
            PlatformError: `image-missing`, with the nodes that lack the image, `agent-silent`, or what else went wrong;
                nothing is left behind then.
        """
        await require_agent_image(daemon)
        agents = cls(daemon, run)
        try:
            await agents._make(node_socket or os.environ.get(NODE_SOCKET) or SOCKET)
            await agents._meet()
        except BaseException:
            await asyncio.shield(agents.close())
            raise
        return agents

    def reaches(self, node: str) -> bool:
        """Whether there is an agent on that node (by its id)."""
        return node in self._agents

    def hands(self, node: str) -> RemoteHands:
        """The hands on a node.

        Raises:
            PlatformError: `unsupported`: there is no agent on it.
        """
        self._agent(node)
        return RemoteHands(self, node)

    async def act(self, act: Act, *, node: str) -> Answer:
        """Do one act on a node.

        Raises:
            PlatformError: the act's own code; `agent-silent`: the node does not answer, as when it is cut off.
        """
        agent = self._agent(node)
        if not await self._is_there(agent):
            await self._find_again(agent)
        act = {"mark": mark(self._run), **act}
        if act.get("act") == "partition-set" and act.get("scope") == "node":
            act.setdefault("after_s", _CUT_AFTER_S)
        try:
            answer = await self._exchange(agent, act, _ACT_SECONDS)
        except RefusedError as error:
            if error.code != "stale":
                raise self._silent(agent, str(error)) from error
            # The agent was started anew: what was refused was not done.
            await self._greet(agent)
            answer = await self._again(agent, act)
        return checked(act, json.dumps(answer).encode())

    async def sweep(self, node: str) -> tuple[str, ...]:
        """Remove what of this run is on a node and not Docker's; what is still there."""
        answer = await self.act({"act": "sweep"}, node=node)
        name = self._agents[node].name
        return tuple(
            f"{thing['kind']} {thing['what']} in {thing['where']} on {name}" for thing in answer["left"]
        )

    async def close(self) -> tuple[str, ...]:
        """Sweep the nodes that answer, and take everything away; returns what is still there."""
        left: list[str] = []
        met = [agent for agent in self._agents.values() if agent.session]
        for agent, swept in zip(
            met, await asyncio.gather(*(self._swept(agent) for agent in met)), strict=True
        ):
            left += swept
            agent.session = ""
        if self._relay is not None:
            left += await self._removed("relay container", self._relay.close)
            self._relay = None
        docker = self._daemon.docker
        if self._service:
            left += await self._removed("agent service", lambda: docker.services.delete(self._service))
        if self._secret:
            left += await self._removed("agent secret", lambda: docker.secrets.delete(self._secret))
        if self._network:
            left += await self._removed(
                "agent network",
                DockerNetwork(docker, self._network).delete,  # type: ignore[no-untyped-call]
            )
        if self._service and self._network:
            left += await self._removed("agents", self._released)
        self._service = self._secret = self._network = ""
        self._agents.clear()
        return tuple(left)

    # --- making -----------------------------------------------------------------------------------------------

    async def _make(self, node_socket: str) -> None:
        docker, run = self._daemon.docker, self._run
        name = object_name(run, "agents")
        marks = labels("agent", run)
        with self._daemon.asking("make the agents' network"):
            network = await docker.networks.create(
                {"Name": name, "Driver": "overlay", "Attachable": True, "Internal": True, "Labels": marks}
            )
            self._network = str(network.id)
            subnets = await _subnets(network)
        with self._daemon.asking("make the agents' secret"):
            made = await docker.secrets.create(name, self._key.hex(), labels=marks)
            self._secret = str(made["ID"])
        with self._daemon.asking("make the agents' service"):
            service = await docker.services.create(
                self._template(name, subnets, node_socket),
                name=name,
                labels=marks,
                mode={"Global": {}},
                endpoint_spec={"Mode": "dnsrr"},
            )
            self._service = str(service["ID"])
        self._relay = await Relay.open(self._daemon, run, self._network)

    def _template(self, name: str, subnets: list[str], node_socket: str) -> dict[str, Any]:
        return {
            "ContainerSpec": {
                "Image": AGENT_IMAGE,
                "Args": ["serve"],
                "Labels": labels("agent", self._run),
                "Env": {
                    "BREAKROOM_RUN": self._run,
                    "BREAKROOM_NODE": "{{.Node.ID}}",
                    "BREAKROOM_NETWORKS": ",".join(subnets),
                    "BREAKROOM_IMAGE": AGENT_IMAGE,
                    "BREAKROOM_HELPER_LABELS": json.dumps(labels("helper", self._run)),
                    "BREAKROOM_HELPER_PREFIX": object_name(self._run, "helper"),
                },
                "Mounts": [{"Type": "bind", "Source": node_socket, "Target": SOCKET}],
                "Secrets": [
                    {
                        "SecretID": self._secret,
                        "SecretName": name,
                        "File": {"Name": SECRET, "UID": "0", "GID": "0", "Mode": 0o400},
                    }
                ],
                "ReadOnly": True,
                "CapabilityDrop": ["ALL"],
                "Privileges": {"SELinuxContext": {"Disable": True}},
                "StopGracePeriod": 2 * 10**9,
            },
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
            "Networks": [{"Target": self._network}],
            "RestartPolicy": {"Condition": "any", "Delay": 10**9},
        }

    # --- meeting ----------------------------------------------------------------------------------------------

    async def _meet(self) -> None:
        """Wait for a running task on every active node, then greet each agent."""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._all_run():  # noqa: ASYNC110  # a Swarm's tasks cannot be waited for
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError as error:
            raise PlatformError(
                "agent-silent",
                f"the agents do not all run after {_READY_SECONDS:.0f} s",
                f"`docker service ps {object_name(self._run, 'agents')}` would say why; "
                f"{NODE_SOCKET} says where the nodes' Docker socket is, if not {SOCKET}",
            ) from error
        await asyncio.gather(*(self._greet_at_last(agent) for agent in self._agents.values()))

    async def _all_run(self) -> bool:
        with self._daemon.asking("see the agents' tasks"):
            nodes = await self._daemon.docker.nodes.list()
            tasks = await self._daemon.docker.tasks.list(filters={"service": self._service})
        names = {str(node["ID"]): str(node["Description"].get("Hostname") or node["ID"]) for node in nodes}
        wanted = {
            str(node["ID"])
            for node in nodes
            if node["Status"]["State"] == "ready" and node["Spec"]["Availability"] == "active"
        }
        lacking = {}
        for task in tasks:
            node, status = str(task.get("NodeID", "")), task["Status"]
            address = _address_on(task, self._network)
            if status["State"] == "running" and address and node in names:
                self._agents[node] = _Agent(node, names[node], address)
            elif "no such image" in str(status.get("Err", "")).lower():
                lacking[node] = names.get(node, node)
        if wanted and wanted <= self._agents.keys() | lacking.keys():
            if bad := {name for node, name in lacking.items() if node not in self._agents}:
                raise _lacking_image(bad, "is not there")
            return True
        return False

    async def _greet_at_last(self, agent: _Agent) -> None:
        """The network may reach a node some seconds after its task runs."""
        last: PlatformError | None = None
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while True:
                    try:
                        await self._greet(agent)
                    except PlatformError as error:
                        if error.code != "agent-silent":
                            raise
                        last = error
                        await asyncio.sleep(_LOOK_AGAIN_S)
                    else:
                        return
        except TimeoutError as error:
            raise last or self._silent(agent, "no answer in time") from error

    async def _greet(self, agent: _Agent) -> None:
        try:
            told = await self._exchange(agent, {"act": "hello"}, _HELLO_SECONDS)
        except RefusedError as error:
            raise self._silent(agent, str(error)) from error
        if told.get("sources") != sources_digest():
            raise _lacking_image({agent.name}, "was built by another version of breakroom")
        agent.session = str(told["session"])
        agent.clock_offset_ns = int(told["unix_ns"]) - time.time_ns()

    # --- speaking ---------------------------------------------------------------------------------------------

    async def _exchange(self, agent: _Agent, act: Act, wait: float) -> Answer:
        """One sealed request and its answer.

        Raises:
            RefusedError: the agent refuses it.
            PlatformError: `agent-silent`.
        """
        request = {
            "run": self._run,
            "node": agent.node,
            "nonce": secrets.token_hex(16),
            "time_ns": time.time_ns() + agent.clock_offset_ns,
            "session": agent.session,
            "act": act,
        }
        if self._relay is None:
            raise self._silent(agent, "the way to the agents is closed")
        try:
            line = await self._relay.ask(agent.address, seal(self._key, "request", request), wait)
        except ConnectionError as error:
            raise self._silent(agent, str(error)) from error
        outer = json.loads(line)
        if isinstance(outer, dict) and "refused" in outer:
            raise RefusedError(str(outer["refused"]), str(outer.get("message", "")))
        try:
            body = unseal(self._key, "answer", line)
        except RefusedError as error:
            raise self._silent(agent, f"what answers there is not breakroom's agent: {error}") from error
        if (body.get("run"), body.get("node"), body.get("nonce")) != (
            self._run,
            agent.node,
            request["nonce"],
        ):
            raise self._silent(agent, "its answer is to another request")
        return dict(body["answer"])

    async def _is_there(self, agent: _Agent) -> bool:
        """Whether the agent that was met answers; asks again only where an act's own answer would tell it too late."""
        try:
            return (await self._exchange(agent, {"act": "hello"}, _HELLO_SECONDS)).get(
                "session"
            ) == agent.session
        except (RefusedError, PlatformError):
            return False

    async def _find_again(self, agent: _Agent) -> None:
        """A node that was down gets a new agent when it is back, with another address."""
        with self._daemon.asking("see the agents' tasks"):
            tasks = await self._daemon.docker.tasks.list(filters={"service": self._service})
        for task in tasks:
            states = (task["Status"]["State"], task.get("DesiredState"))
            address = _address_on(task, self._network)
            if task.get("NodeID") == agent.node and states == ("running", "running") and address:
                agent.address = address
        await self._greet(agent)

    async def _again(self, agent: _Agent, act: Act) -> Answer:
        try:
            return await self._exchange(agent, act, _ACT_SECONDS)
        except RefusedError as error:
            raise self._silent(agent, str(error)) from error

    def _agent(self, node: str) -> _Agent:
        if node not in self._agents:
            raise PlatformError("unsupported", f"breakroom has no agent on node {node}")
        return self._agents[node]

    def _silent(self, agent: _Agent, why: str) -> PlatformError:
        return PlatformError(
            "agent-silent", f"breakroom's agent on node {agent.name} cannot be reached: {why}"
        )

    # --- removing ---------------------------------------------------------------------------------------------

    async def _swept(self, agent: _Agent) -> tuple[str, ...]:
        """Sweep a node; one that was cut off and came back has a new agent by now, at another address."""
        why = "no answer"
        try:
            async with asyncio.timeout(_SWEEP_SECONDS):
                while True:
                    try:
                        return await self.sweep(agent.node)
                    except PlatformError as error:
                        if error.code != "agent-silent":
                            raise
                        why = str(error)
                    await self._meet_anew(agent.node)
        except (PlatformError, TimeoutError) as error:
            return (f"node {agent.name} could not be looked at: {str(error) or why}",)

    async def _meet_anew(self, node: str) -> None:
        await asyncio.sleep(_LOOK_AGAIN_S)
        # A manager that was cut off has the others elect a leader anew when it is back; until then nobody answers.
        with contextlib.suppress(PlatformError):
            await self._all_run()
            await self._greet(self._agents[node])

    async def _removed(self, what: str, remove: Callable[[], Awaitable[Any]]) -> Iterable[str]:
        """Remove; again while Docker says that it is still in use. What is left, in words."""
        deadline = time.monotonic() + _REMOVE_SECONDS
        while True:
            try:
                with self._daemon.asking(f"remove the {what}"):
                    found = await remove()
            except PlatformError as error:
                if error.code == "not-found":
                    return ()
                if error.code == "daemon-died" or time.monotonic() > deadline:
                    return (f"{what}: {error}",)
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                return tuple(found) if isinstance(found, list) else ()

    async def _released(self) -> Iterable[str]:
        """Wait until the agents have ended: Swarm says that they are removed, and stops them after that.

        Of the other nodes the tasks are all that can be seen; their containers go a moment later.
        """
        docker = self._daemon.docker
        network = DockerNetwork(docker, self._network)  # type: ignore[no-untyped-call]
        mine = json.dumps({"label": [f"{OWNER}=agent", f"{RUN}={self._run}"]})
        deadline = time.monotonic() + _REMOVE_SECONDS
        while True:
            left = []
            with self._daemon.asking("see the agents gone"):
                if any(task.get("ServiceID") == self._service for task in await docker.tasks.list()):
                    left.append("agent tasks")
                left += [
                    f"agent container {one.id[:12]}"
                    for one in await docker.containers.list(all="true", filters=mine)
                ]
            try:
                with self._daemon.asking("see the agents' network gone"):
                    await network.show()
                left.append("agent network")
            except PlatformError as error:
                if error.code != "not-found":
                    raise
            if not left or time.monotonic() > deadline:
                return left
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _subnets(network: DockerNetwork) -> list[str]:
    """Its address ranges; the Swarm gives them out a moment after it has been made. Raises what aiodocker raises."""
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            shown = await network.show()
            if found := [str(entry["Subnet"]) for entry in shown["IPAM"].get("Config") or ()]:
                return found
            await asyncio.sleep(_LOOK_AGAIN_S)


def _address_on(task: dict[str, Any] | Any, network: str) -> str:
    for attachment in task.get("NetworksAttachments") or ():
        if attachment["Network"]["ID"] == network:
            return str(next(iter(attachment.get("Addresses") or ()), "")).partition("/")[0]
    return ""


def _lacking_image(names: Iterable[str], what: str) -> PlatformError:
    nodes = sorted(names)
    ways = "; ".join(f"`docker save {AGENT_IMAGE} | ssh {node} docker load`" for node in nodes)
    return PlatformError(
        "image-missing",
        f"the image {AGENT_IMAGE} {what} on {'node' if len(nodes) == 1 else 'nodes'} {', '.join(nodes)}",
        f"bring it there: {ways}; or through a registry that every node reaches",
    )
