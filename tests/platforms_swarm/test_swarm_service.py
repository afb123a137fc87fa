"""A service's life on a real Swarm of one node, as the journal has it; the daemon's own word is the witness."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from breakroom.journal.records import (
    HealthChanged,
    LogCaptured,
    Problem,
    RotationChanged,
    TaskChanged,
    TaskStats,
    UpdateChanged,
)
from docker_lab.lab import Host, Lab
from platforms_swarm.inside import standing_in
from platforms_swarm.swarming import RUN, TRIAL, Swarming, opened_run, opened_run_that_may_leave, web

LIMIT = 128 << 20


@pytest.fixture(scope="module")
def swarm_host(swarm_lab: Lab) -> Iterator[Host]:
    """A Swarm of one node; this process stands on it."""
    host = swarm_lab.hosts[0]
    host.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        with standing_in(host):
            yield host
    finally:
        host.docker("swarm", "leave", "--force", check=False)


def inspected(host: Host, *words: str) -> Any:
    """What the daemon says of a thing."""
    return json.loads(host.docker("inspect", *words))[0]


def answerer(url: str) -> str:
    """Which task answers a request."""
    with urllib.request.urlopen(url, timeout=5) as response:
        return str(response.headers["X-Task-Id"])


async def test_tasks_serve_in_turn_and_a_crashed_one_is_replaced_in_its_slot(
    swarm_host: Host, tmp_path: Path
) -> None:
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(web())
        first, second = await run.serving(2)
        url = deployment.endpoint.url()
        assert [await asyncio.to_thread(answerer, url) for _ in range(4)] in (
            [first.id, second.id] * 2,
            [second.id, first.id] * 2,
        )
        shown = inspected(swarm_host, first.container)
        assert shown["HostConfig"]["Memory"] == LIMIT
        assert shown["Config"]["Labels"]["breakroom.run"] == RUN
        if json.loads(swarm_host.docker("info", "--format", "{{json .SwapLimit}}")):
            assert shown["HostConfig"]["MemorySwap"] == LIMIT

        await deployment.signal_task(first.id, "SIGKILL")
        known = {first.id, second.id}
        await run.until(lambda: bool(run.inside - known), "the replacement")
        (new,) = run.inside - known

        ends = [record for record in run.of(TaskChanged) if record.task == first.id and record.signal]
        assert (ends[0].state, ends[0].signal, ends[0].exit_code) == ("running", 9, 137)
        assert ends[-1].error == "task: non-zero exit (137)"
        assert (ends[-1].state, ends[-1].desired) == ("failed", "shutdown")
        cut = next(r for r in run.of(RotationChanged) if r.task == first.id and not r.in_rotation)
        assert cut.reason == "cut"
        assert cut.t <= next(record.t for record in ends if record.state == "failed")
        created = next(record for record in run.of(TaskChanged) if record.task == new)
        assert (created.slot, created.state) == (first.slot, "new")
        states = run.states(new)
        assert states[0] == "new"
        assert states[-1] == "running"
        assert "starting" in states
        assert any(record.ok and record.task == new for record in run.of(HealthChanged))
        await run.until(lambda: bool(run.of(LogCaptured)), "the dead task's log")
        log = run.of(LogCaptured)[0]
        assert log.task == first.id
        assert "listening" in (tmp_path / log.file).read_text()
        assert {record.memory_limit_bytes for record in run.of(TaskStats)} == {LIMIT}
        table = await deployment.overview()
        assert f"{deployment.name}.{first.slot}" in table
        assert "\\_ " in table
        assert '"task: non-zero exit (137)"' in table

        assert await deployment.remove() == ()
        assert swarm_host.docker("service", "ls", "-q") == ""
        assert swarm_host.docker("ps", "-aq") == ""
        assert run.inside == set()


async def test_scaling_updating_and_rolling_back_are_told_in_swarms_words(
    swarm_host: Host, tmp_path: Path
) -> None:
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(web(replicas=1))
        await run.serving(1)
        await deployment.scale(2)
        await run.serving(2)

        await deployment.update(web(image="improved-app:v2"))
        await run.until(lambda: said(run, "completed"), "the update's end")
        updated = await run.serving(2)
        await deployment.update(replace(web(image="improved-app:v2"), environment={"PORT": "none"}))
        await run.until(lambda: said(run, "paused"), "the bad update's end")
        await deployment.rollback()
        await run.until(lambda: said(run, "rollback_completed"), "the rollback's end")
        rolled = await run.serving(2)
        await deployment.remove()

    assert [task.version for task in updated] == [2, 2]
    assert {record.image for record in run.of(TaskChanged) if record.version == 2} == {"improved-app:v2"}
    bad = [record for record in run.of(TaskChanged) if record.version == 3 and record.state == "failed"]
    assert bad[0].error == "task: non-zero exit (2)"
    assert [task.version for task in rolled] == [2, 2]
    told = [(record.state, record.message) for record in run.of(UpdateChanged)]
    assert told[:2] == [("updating", "update in progress"), ("completed", "update completed")]
    paused = next(message for state, message in told if state == "paused")
    words, _, task = paused.rpartition(" ")
    assert words == "update paused due to failure or early termination of task"
    assert task in {record.task for record in bad}
    assert told[-1] == ("rollback_completed", "rollback completed")
    gone = [record for record in run.of(RotationChanged) if record.reason == "drain"]
    assert gone  # a task that is replaced is drained before it is stopped


def said(run: Swarming, state: str) -> bool:
    return any(record.state == state for record in run.of(UpdateChanged))


async def test_a_task_is_paused_and_killed_through_the_api(swarm_host: Host, tmp_path: Path) -> None:
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(web(replicas=1, healthy=False))
        (task,) = await run.serving(1)

        frozen = await deployment.pause(task.id)
        paused = inspected(swarm_host, task.container)["State"]["Paused"]
        await deployment.unpause(task.id)
        await deployment.unpause(task.id)  # needless the second time
        unpaused = inspected(swarm_host, task.container)["State"]["Paused"]
        hit = await deployment.signal_inside(task.id, "improved_app", "SIGCONT")
        letter = await deployment.process_state(task.id)
        await deployment.kill_through_api(task=task.id)
        await run.until(lambda: bool(run.inside - {task.id}), "the replacement")
        with pytest.raises(ProcessLookupError):
            await deployment.signal_task(task.id, "SIGKILL")
        await deployment.remove()

    assert (frozen.holds, frozen.means) == (True, "freezer")
    assert (paused, unpaused) == (True, False)
    assert hit == (task.pid,)
    assert letter in {"S", "R"}


async def test_a_drained_node_bears_a_mark_and_is_given_back(swarm_host: Host, tmp_path: Path) -> None:
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(web(replicas=1, healthy=False))
        await run.serving(1)
        (node,) = await deployment.nodes()

        drained = await deployment.set_availability(node.name, "drain")
        marked = inspected(swarm_host, node.id)["Spec"]
        await run.serving(0)
        given_back = await deployment.set_availability(node.id, "active")
        unmarked = inspected(swarm_host, node.id)["Spec"]
        await run.serving(1)
        await deployment.set_availability(node.id, "drain")
        await deployment.remove()
        # The run ends without taking it back.
    after = inspected(swarm_host, node.id)["Spec"]

    assert (node.here, node.leader, node.role) == (True, True, "manager")
    assert drained.holds
    assert given_back.holds
    assert marked["Availability"] == "drain"
    assert marked["Labels"]["breakroom.drained-by"] == RUN
    assert marked["Labels"]["breakroom.was-availability"] == "active"
    for spec in (unmarked, after):
        assert (spec["Availability"], spec.get("Labels") or {}) == ("active", {})


async def test_the_routing_mesh_is_tried_and_the_finding_told(swarm_host: Host, tmp_path: Path) -> None:
    async with opened_run(swarm_host, tmp_path) as run:
        found = await run.platform.capabilities()

    assert found.runs_as == {"container", "service"}
    assert "node_loss" in found.cannot  # one node
    assert found.how["published_port"] in {"ipvs-mesh", "host-mode-behind-breakroom-ingress"}
    assert "not tried" not in found.how["routing_mesh"]
    kernel_has_it = os.path.exists("/proc/net/ip_vs")  # noqa: ASYNC240, PTH110  # a look that blocks nobody
    assert (found.how["ingress"] == "ipvs") == kernel_has_it


async def test_a_daemon_that_dies_is_told_and_stops_nothing(swarm_host: Host, tmp_path: Path) -> None:
    async with opened_run_that_may_leave(swarm_host, tmp_path) as run:
        deployment = await run.deploy(web(replicas=1, healthy=False))
        await run.serving(1)

        swarm_host.stop_daemon()
        await run.until(lambda: any(r.code == "engine-died" for r in run.of(Problem)), "the daemon's death")
        left = await deployment.remove()
        left_by_run = await run.platform.close()
        swarm_host.start_daemon(tied=True)

    died = next(record for record in run.of(Problem) if record.code == "engine-died")
    assert died.severity == "error"
    assert "stopped answering" in str(died.params["message"])
    assert any(deployment.name in thing for thing in left)
    assert left_by_run
    labelled = swarm_host.docker("service", "ls", "-q", "--filter", f"label=breakroom.trial={TRIAL}")
    assert len(labelled.split()) == 1  # what `breakroom cleanup` will find
    swarm_host.docker("service", "rm", *labelled.split())
