"""Agents on a three-node Swarm: acts on every node, messages of others refused, and everything removed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from agent.agent_kit import PORT, target, until
from breakroom.agent.messages import seal
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import opened
from breakroom.platforms.docker.hands_image import AGENT_IMAGE
from breakroom.platforms.docker.hands_remote import Agents
from docker_lab.lab import STATE, Host

pytestmark = pytest.mark.timeout(500)  # on a busy machine a Swarm takes its time to start and to end services
RUN = "20261123-220000-test-dcba21"
SOCKET = f"{STATE}/sockets/{{{{.Node.Hostname}}}}"
Hosts = tuple[Host, ...]


@asynccontextmanager
async def _agents(hosts: Hosts) -> AsyncIterator[tuple[Agents, list[str]]]:
    """The agents, and their nodes' ids in the order of the hosts; afterwards nothing of them may be anywhere."""
    async with opened({"DOCKER_HOST": hosts[0].docker_host}) as daemon:
        agents = await Agents.open(daemon, RUN, node_socket=SOCKET)
        try:
            yield agents, [host.docker("info", "-f", "{{.Swarm.NodeID}}").strip() for host in hosts]
        finally:
            assert await agents.close() == ()
    _nothing_left(hosts)


def _nothing_left(hosts: Hosts) -> None:
    for host in hosts:
        until(partial(_none, host, "ps", "-aq"))
        until(partial(_none, host, "network", "ls", "-q"))
    assert _none(hosts[0], "service", "ls", "-q")
    assert _none(hosts[0], "secret", "ls", "-q")


def _none(host: Host, *words: str) -> bool:
    return host.docker(*words, "--filter", "label=breakroom").split() == []


def test_remote_agents_act_on_every_node(agent_hosts: Hosts) -> None:
    targets = [target(host) for host in agent_hosts]

    async def main() -> None:
        async with _agents(agent_hosts) as (agents, nodes):
            assert not agents.reaches("nowhere")
            for node, one in zip(nodes, targets, strict=True):
                hands = agents.hands(node)
                await hands.act({"act": "signal", "signal": "SIGSTOP", **one.named})
                assert (await hands.act({"act": "process-state", **one.named}))["state"] == "T"
                await hands.act({"act": "signal", "signal": "SIGCONT", **one.named})
            last = agents.hands(nodes[2])
            # Left in force: closing sweeps it from a node whose Docker breakroom cannot ask.
            await last.act({"act": "partition-set", "within_s": 600, **targets[2].named})
            await last.act({"act": "memory-fill", "bytes": 1 << 20, "within_s": 600, **targets[2].named})
            assert not targets[2].reached()
            with pytest.raises(PlatformError) as caught:
                await last.act({"act": "signal", "signal": "SIGKILL", "container": targets[2].id, "pid": 1})
            assert caught.value.code == "not-in-container"
        assert targets[2].reached()

    try:
        asyncio.run(main())
    finally:
        for one in targets:
            one.host.docker("rm", "-f", one.id)


def test_remote_agents_have_the_engine_change_only_the_runs_own_containers(agent_hosts: Hosts) -> None:
    ours = target(agent_hosts[1], "--label", f"breakroom.run={RUN}")
    theirs = target(agent_hosts[1])

    async def main() -> None:
        async with _agents(agent_hosts) as (agents, nodes):
            hands = agents.hands(nodes[1])
            looked = await hands.act({"act": "docker-look", **ours.named})
            assert (looked["status"], looked["oom_killed"]) == ("running", False)
            assert looked["cpu"] == {"NanoCpus": 0, "CpuPeriod": 0, "CpuQuota": 0}
            less = {"CpuPeriod": 100_000, "CpuQuota": 5_000}
            told = await hands.act({"act": "docker-cpu", "limits": less, **ours.named})
            assert told["cpu"] == {"NanoCpus": 0, **less}
            assert (await hands.act({"act": "cpu-quota", **ours.named}))["quota_us"] == 5_000
            asked = {"act": "request", "port": PORT, "method": "GET", "path": "/", **ours.named}
            assert (await hands.act(asked))["status"] == 200
            assert (await hands.act({"act": "oom-kills"}))["oom_kills"] >= 0
            for limits in ({"Memory": 1 << 30}, {"CpuQuota": "all"}, {}, None):
                with pytest.raises(PlatformError) as caught:
                    await hands.act({"act": "docker-cpu", "limits": limits, **ours.named})
                assert caught.value.code == "bad-act"
            with pytest.raises(PlatformError) as caught:
                await hands.act({"act": "docker-cpu", "limits": less, **theirs.named})
            assert caught.value.code == "not-ours"
        assert theirs.host.docker("inspect", "-f", "{{.HostConfig.CpuQuota}}", theirs.id).strip() == "0"

    try:
        asyncio.run(main())
    finally:
        for one in (ours, theirs):
            one.host.docker("rm", "-f", one.id)


def test_remote_agents_refuse_forged_and_replayed_messages(agent_hosts: Hosts) -> None:
    async def main() -> None:
        async with _agents(agent_hosts) as (agents, nodes):
            relay, agent = agents._relay, agents._agents[nodes[1]]
            assert relay is not None
            recorded: list[str] = []
            ask = relay.ask

            async def recording(address: str, line: str, wait: float) -> str:
                recorded.append(line)
                return await ask(address, line, wait)

            relay.ask = recording  # type: ignore[method-assign]
            await agents.act({"act": "probe"}, node=nodes[1])
            relay.ask = ask  # type: ignore[method-assign]
            # An agent that was not heard of for a while is greeted anew before it is asked.
            probing = next(line for line in recorded if "probe" in line)

            async def told(line: str, node: str = nodes[1]) -> Any:
                return json.loads(await ask(agents._agents[node].address, line, 10)).get("refused")

            assert await told(probing) == "replayed"
            assert await told(probing, nodes[2]) == "not-for-me"
            assert await told(probing.replace("probe", "sweep")) == "forged"
            assert await told("GET / HTTP/1.1") == "malformed"
            request = json.loads(json.loads(probing)["body"])
            assert await told(seal(b"guessed", "request", {**request, "nonce": "0" * 32})) == "forged"
            late = {**request, "nonce": "1" * 32, "time_ns": request["time_ns"] - 3600 * 10**9}
            assert await told(seal(agents._key, "request", late)) == "stale"
            old = {**request, "nonce": "2" * 32, "session": "another"}
            assert await told(seal(agents._key, "request", old)) == "stale"
            assert agent.session

    asyncio.run(main())


def test_remote_agent_listens_on_the_runs_network_alone_and_holds_nothing(agent_hosts: Hosts) -> None:
    async def main() -> None:
        async with _agents(agent_hosts) as (agents, nodes):
            host = agent_hosts[1]
            (container,) = host.docker("ps", "-q", "--filter", "label=breakroom=agent").split()
            pid = host.docker("inspect", "-f", "{{.State.Pid}}", container).strip()
            listening = host.run("nsenter", f"--net=/proc/{pid}/ns/net", "ss", "-Hltn").splitlines()
            # Docker's own resolver is on 127.0.0.11.
            outside = [line.split()[3] for line in listening if "127.0.0.11" not in line]
            assert outside == [f"{agents._agents[nodes[1]].address}:7077"]
            assert "CapEff:\t0000000000000000" in host.run("cat", f"/proc/{pid}/status")

    asyncio.run(main())


def test_remote_agent_started_anew_is_met_again(agent_hosts: Hosts) -> None:
    async def main() -> None:
        async with _agents(agent_hosts) as (agents, nodes):
            before = agents._agents[nodes[1]].session
            agents._agents[nodes[1]].session = "of an earlier life"
            assert (await agents.act({"act": "probe"}, node=nodes[1]))["ok"]
            assert agents._agents[nodes[1]].session == before

    asyncio.run(main())


def test_remote_node_is_cut_off_and_comes_back_by_itself(agent_hosts: Hosts) -> None:
    async def main() -> None:
        async with _agents(agent_hosts) as (agents, nodes):
            within = 20
            told = await agents.act(
                {"act": "partition-set", "scope": "node", "within_s": within}, node=nodes[2]
            )
            # The answer came out before the cut did.
            assert told["after_s"] > 0
            assert _connects(agent_hosts[0], agent_hosts[2])
            await asyncio.to_thread(until, lambda: not _connects(agent_hosts[0], agent_hosts[2]))
            with pytest.raises(PlatformError) as caught:
                await agents.act({"act": "partition-show", "scope": "node"}, node=nodes[2])
            assert caught.value.code == "agent-silent"
            await asyncio.to_thread(until, lambda: _connects(agent_hosts[0], agent_hosts[2]), 60)
            async with asyncio.timeout(120):
                while (seen := await _seen(agents, nodes[2])) is None:  # noqa: ASYNC110  # Swarm's to decide
                    await asyncio.sleep(0.5)
            assert not seen["active"]

    asyncio.run(main())


def test_remote_agents_say_which_node_lacks_the_image(agent_hosts: Hosts) -> None:
    poor = agent_hosts[2]
    poor.docker("tag", AGENT_IMAGE, "kept:latest")
    poor.docker("rmi", AGENT_IMAGE)

    async def main() -> None:
        async with opened({"DOCKER_HOST": agent_hosts[0].docker_host}) as daemon:
            with pytest.raises(PlatformError) as caught:
                await Agents.open(daemon, RUN, node_socket=SOCKET)
            assert caught.value.code == "image-missing"
            assert poor.namespace in str(caught.value)
            assert agent_hosts[1].namespace not in str(caught.value)
            assert f"docker save {AGENT_IMAGE} | ssh {poor.namespace} docker load" in caught.value.hint

    try:
        asyncio.run(main())
        _nothing_left(agent_hosts)
    finally:
        poor.docker("tag", "kept:latest", AGENT_IMAGE)
        poor.docker("rmi", "kept:latest")


async def _seen(agents: Agents, node: str) -> dict[str, Any] | None:
    """What a node's agent says of its partition; None while the Swarm has not taken the node back."""
    try:
        return await agents.act({"act": "partition-show", "scope": "node"}, node=node)
    except PlatformError as error:
        if error.code != "agent-silent":
            raise
        return None


def _connects(one: Host, other: Host) -> bool:
    """Whether one node gets a connection to the port on which the other gossips with its cluster."""
    tries = f"import socket; socket.create_connection(('{other.address}', 7946), 1).close()"
    words = one.command(sys.executable, "-c", tries)
    return subprocess.run(words, capture_output=True, check=False).returncode == 0
