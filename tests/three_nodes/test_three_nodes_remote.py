"""Faults on the tasks of other nodes, by the agents there; and a node whose cable is pulled by somebody else."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from breakroom.journal.records import RotationChanged, TaskChanged
from breakroom.platforms.base import TaskView
from breakroom.platforms.docker.hands_image import AGENT_IMAGE
from breakroom.platforms.docker.hands_remote import NODE_SOCKET
from docker_lab.lab import STATE, Host
from platforms_swarm.inside import standing_in
from platforms_swarm.swarming import Swarming, opened_run, web
from three_nodes.cluster import Cluster, drill, until
from three_nodes.observer import Observer

pytestmark = pytest.mark.timeout(600)
_FILL = 48 << 20
_TOLD_S = 1.5
"""Tolerance between two who ask the manager every 100 and 300 ms."""


@pytest.fixture
def standing(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """This process is on the first host."""
    monkeypatch.setenv(NODE_SOCKET, f"{STATE}/sockets/{{{{.Node.Hostname}}}}")
    with standing_in(cluster.manager):
        yield cluster


class _Far:
    """A task on another node, as its own node sees it."""

    def __init__(self, cluster: Cluster, run: Swarming, task: TaskView) -> None:
        name = cluster.manager.docker("node", "inspect", "--format", "{{.Description.Hostname}}", task.node)
        self.host: Host = cluster.host(name.strip())
        self.id = task.id
        self.container = task.container
        shown = json.loads(self.host.docker("inspect", task.container))[0]
        self.pid = int(shown["State"]["Pid"])
        networks = shown["NetworkSettings"]["Networks"].values()
        self.address = next((one["IPAddress"] for one in networks if one["IPAddress"]), "")
        sandbox = shown["NetworkSettings"]["SandboxKey"]
        routes = self.host.run(
            "nsenter", f"--net={sandbox}", "ip", "-4", "-o", "addr", "show", "scope", "global"
        )
        self.addresses = re.findall(r"inet (172\.[0-9.]+)/", routes)

    def state(self) -> str:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def answers(self) -> bool:
        url = f"http://{self.addresses[0]}:3000/health"
        return bool(self.host.run("curl", "--silent", "--max-time", "2", url, check=False))

    def inspected(self, template: str) -> str:
        return self.host.docker("inspect", "--format", template, self.container).strip()

    def used_mib(self) -> float:
        said = self.host.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", self.container)
        return float(said.partition("MiB")[0])


def test_faults_reach_tasks_of_other_nodes_and_are_taken_back(standing: Cluster, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened_run(standing.manager, tmp_path) as run:
            deployment = await run.deploy(web(replicas=4, healthy=False))
            serving = await run.serving(4)
            here = next(node for node in await deployment.nodes() if node.here)
            view = next(task for task in serving if task.node not in {here.id, here.name})
            far = _Far(standing, run, view)
            assert far.answers()

            await deployment.signal_task(far.id, "SIGSTOP")
            assert (await deployment.process_state(far.id), far.state()) == ("T", "T")
            await deployment.signal_task(far.id, "SIGCONT")
            assert "T" not in {await deployment.process_state(far.id), far.state()}
            assert far.pid in await deployment.signal_inside(far.id, "improved_app", "SIGCONT")

            cut = await deployment.impair(far.id, {"partition": True})
            assert (cut.holds, cut.means) == (True, "nft")
            assert not far.answers()
            await deployment.impair(far.id, None)
            assert far.answers()

            filled = await deployment.fill_memory(far.id, _FILL)
            assert filled.holds
            assert far.used_mib() > _FILL >> 20
            await deployment.free_memory(far.id)
            assert far.used_mib() < _FILL >> 20

            frozen = await deployment.pause(far.id)
            assert frozen.holds
            assert far.inspected("{{.State.Paused}}") == "true"
            await deployment.unpause(far.id)
            await deployment.unpause(far.id)  # needless the second time
            assert far.inspected("{{.State.Paused}}") == "false"

            await deployment.signal_task(far.id, "SIGKILL")
            await run.until(lambda: "failed" in run.states(far.id), "the death")
            ends = [one for one in run.of(TaskChanged) if one.task == far.id and one.state == "failed"]
            assert ends[0].exit_code == 137
            await run.until(lambda: far.id not in run.inside and len(run.inside) == 4, "the replacement")

            await _cable_pulled(standing, run)
            await deployment.remove()

    asyncio.run(main())


async def _cable_pulled(cluster: Cluster, run: Swarming) -> None:
    """Nothing of breakroom's cuts the node off: what it tells must be what happened."""
    assert run.deployment is not None
    serving = await run.serving(4)
    on = {
        node.name: [task.id for task in serving if task.node in {node.id, node.name}]
        for node in await run.deployment.nodes()
        if not node.here
    }
    name, tasks = max(on.items(), key=lambda item: len(item[1]))
    host = cluster.host(name)
    assert tasks
    with Observer(cluster.manager, (host,)) as observer:
        # Not before it is seen alive.
        await asyncio.to_thread(until, lambda: name in observer.nodes, "the node")
        host.cut()
        await run.until(lambda: not run.inside & set(tasks) and len(run.inside) == 4, "the new tasks")
        down, silent = observer.called(name, "down", 0), observer.silent(host)
        host.heal()
        await asyncio.to_thread(cluster.ready)
        await asyncio.to_thread(until, lambda: observer.back(host) is not None, "its answers")
    assert down is not None
    assert silent is not None
    assert 5 < (down - silent) / 1e9 < 25
    left = [one for one in run.of(RotationChanged) if one.task in tasks and not one.in_rotation]
    assert len(left) == len(tasks)
    assert all(abs(one.t - down) / 1e9 < _TOLD_S for one in left)
    row = next(node for node in await run.deployment.nodes() if node.name == name)
    now = await run.deployment.tasks()
    assert not [task for task in now if task.node in {row.id, name} and task.in_rotation]


def test_node_without_the_agents_image_is_named_with_the_way_out(cluster: Cluster) -> None:
    lacking = cluster.hosts[2]
    lacking.docker("tag", AGENT_IMAGE, "kept:1")
    lacking.docker("rmi", AGENT_IMAGE)
    try:
        ended = cluster.run(drill(["node_loss: {node: worker, for: 5s}"]))
    finally:
        lacking.docker("tag", "kept:1", AGENT_IMAGE)
        lacking.docker("rmi", "kept:1")
    assert ended.code == 3, ended.said
    said = " ".join(ended.said.split())
    assert lacking.namespace in said, ended.said
    assert cluster.hosts[1].namespace not in said
    assert f"docker save {AGENT_IMAGE} | ssh {lacking.namespace} docker load" in said
