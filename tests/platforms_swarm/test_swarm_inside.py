"""Less CPU time, requests to one task, and memory's end under a real Swarm of one node, by the kernel's own word."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from breakroom.agent import cgroups, kernel
from breakroom.journal.records import TaskChanged
from breakroom.platforms.base import PlatformError, TaskView
from breakroom.platforms.swarm.service import SwarmDeployment
from breakroom.spec.service import Deploy, Limits, Resources, RestartPolicy
from docker_lab.lab import Host, Lab
from platforms_swarm.inside import standing_in
from platforms_swarm.swarming import SECOND, opened_run, web

MIB = 1 << 20


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


def quota(task: TaskView) -> float | None:
    """Cores that the kernel allows the task's container."""
    most, period = cgroups.cpu_quota(task.pid or 0, task.container)
    return None if most is None else most / period


def cut_off(task: TaskView) -> bool:
    """Whether a table of breakroom's stands in the task's network namespace."""
    words = ["nsenter", "-t", str(task.pid), "-n", "nft", "list", "tables"]
    return "breakroom" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


async def test_all_tasks_are_cut_off_and_healed_together(swarm_host: Host, tmp_path: Path) -> None:
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(web())
        tasks = await run.serving(2)

        evidence = await deployment.impair("*", {"partition": True})
        during = [cut_off(task) for task in tasks]
        healed = await deployment.impair("*", None)
        after = [cut_off(task) for task in tasks]
        again = await deployment.impair("*", None)
    assert (evidence.holds, evidence.means) == (True, "nft")
    assert set(evidence.detail["tasks"]) == {task.id for task in tasks}
    assert (during, after) == ([True, True], [False, False])
    assert (healed.holds, again.holds) == (True, True)


async def test_one_task_is_throttled_and_the_other_is_not(swarm_host: Host, tmp_path: Path) -> None:
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(web())
        first, second = await run.serving(2)

        evidence = await deployment.throttle_cpu(first.id, 0.05)
        during = (quota(first), quota(second))
        await deployment.unthrottle_cpu(first.id)
        after = (quota(first), quota(second))
        await deployment.throttle_cpu(first.id, 0.05)
        await deployment.signal_task(first.id, "SIGKILL")
        await run.until(lambda: bool(run.inside - {first.id, second.id}), "the replacement")
        await deployment.unthrottle_cpu(first.id)  # it is gone by then
        (new,) = [task for task in await deployment.tasks() if task.in_rotation and task.id != second.id]
        of_new = quota(new)
        with pytest.raises(ProcessLookupError):
            await deployment.throttle_cpu(first.id, 0.05)
        with pytest.raises(PlatformError) as refused:
            await deployment.throttle_cpu(second.id, 0.001)
        await deployment.remove()

    assert (evidence.holds, evidence.means) == (True, "cfs-quota")
    assert evidence.detail["witness"] == "cgroup"
    assert during == (0.05, None)
    assert after == (None, None)
    assert of_new is None
    assert refused.value.code == "unsupported"


async def test_a_limit_of_the_services_own_is_given_back(swarm_host: Host, tmp_path: Path) -> None:
    limited = web(replicas=1, healthy=False)
    limited = replace(limited, deploy=replace(limited.deploy, resources=Resources(limits=Limits(cpus=0.5))))
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(limited)
        (task,) = await run.serving(1)
        before = quota(task)
        assert (await deployment.throttle_cpu(task.id, 0.1)).holds
        during = quota(task)
        await deployment.unthrottle_cpu(task.id)
        after = quota(task)
        await deployment.remove()

    assert (before, during, after) == (0.5, 0.1, 0.5)


async def test_one_task_is_asked_itself_and_falls_ill(swarm_host: Host, tmp_path: Path) -> None:
    async with opened_run(swarm_host, tmp_path) as run:
        capabilities = await run.platform.capabilities()
        deployment = await run.deploy(web(image="health-app:latest", healthy=False))
        first, second = await run.serving(2)

        async def health(task: TaskView) -> int:
            return (await deployment.request_task(task.id, "GET", "/health"))[0]

        _, body = await deployment.request_task(first.id, "GET", "/")
        before = (await health(first), await health(second))
        await deployment.request_task(first.id, "POST", "/fail?mode=sick")
        during = (await health(first), await health(second))
        await deployment.request_task(second.id, "POST", "/fail?mode=hang")
        with pytest.raises(PlatformError) as hung:
            await health(second)
        await deployment.signal_task(second.id, "SIGKILL")
        await run.until(lambda: second.id not in run.inside, "its end")
        with pytest.raises(ProcessLookupError):
            await health(second)
        await deployment.remove()

    assert not {"request", "cpu"} & capabilities.cannot.keys()
    # The app answers by the id that Swarm gave the task: it was this one, not whoever is next in turn.
    assert json.loads(body)["task"] == first.id
    assert before == (200, 200)
    assert during == (503, 200)
    assert hung.value.code == "no-answer"


async def test_memorys_end_is_told_of_a_task_and_counted_by_the_kernel(
    swarm_host: Host, tmp_path: Path
) -> None:
    leaking = replace(
        web(image="memory-leak-app:latest", replicas=1, healthy=False),
        environment={"LEAK_BYTES": str(MIB)},
        deploy=Deploy(
            replicas=1,
            restart_policy=RestartPolicy(delay=SECOND // 2),
            resources=Resources(limits=Limits(memory=64 * MIB)),
        ),
    )
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(leaking)
        (task,) = await run.serving(1)
        before = await deployment.oom_kills()
        assert before == kernel.oom_kills()

        def killed() -> list[TaskChanged]:
            return [record for record in run.of(TaskChanged) if record.oom_killed]

        for _ in range(120):
            if not await _visited(deployment, task.id):
                break
        await run.until(lambda: any(record.state == "failed" for record in killed()), "out of memory")
        after = await deployment.oom_kills()
        await run.until(lambda: bool(run.inside - {task.id}), "the replacement")
        await deployment.remove()

    end = killed()[-1]
    assert {record.task for record in killed()} == {task.id}
    assert (end.exit_code, end.signal, end.error) == (137, 9, "task: non-zero exit (137)")
    assert before is not None
    assert after is not None
    assert after > before


async def _visited(deployment: SwarmDeployment, task: str) -> bool:
    """One request; whether it was answered."""
    try:
        await deployment.request_task(task, "GET", "/")
    except ProcessLookupError:
        return False
    except PlatformError as error:
        if error.code != "no-answer":
            raise
        return False
    return True


async def test_what_is_a_persons_on_a_container_is_refused_of_a_service(
    swarm_host: Host, tmp_path: Path
) -> None:
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(web(replicas=1, healthy=False))
        for act in (
            deployment.start(), deployment.stop(), deployment.restart(), deployment.replace(web())
        ):  # fmt: skip
            with pytest.raises(PlatformError) as refused:
                await act
            assert refused.value.code == "unsupported"
        await deployment.remove()
