"""Less CPU time, requests past the published port, and memory's end, on a real Docker Engine, by the kernel's word."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from breakroom.agent import cgroups
from breakroom.journal.records import LogCaptured, TaskStats
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.cpu import cpu_evidence
from breakroom.spec.service import Deploy as DeploySpec
from breakroom.spec.service import Limits, Resources
from platforms_docker.deployed import service, shell
from platforms_swarm.inside import standing_in

if TYPE_CHECKING:
    from breakroom.platforms.docker.deployment import DockerDeployment
    from docker_lab.lab import Host
    from platforms_docker.conftest import Deploy

MIB = 1 << 20
_BUSY = "exec python3 -c 'while True: pass'"


def quota(deployment: DockerDeployment, task: str) -> float | None:
    """Cores that the kernel allows the container."""
    container, pid = deployment.target(task)
    most, period = cgroups.cpu_quota(pid, container)
    return None if most is None else most / period


def used(deployment: DockerDeployment, task: str) -> int:
    container, pid = deployment.target(task)
    return cgroups.cpu_ns(pid, container)


@pytest.mark.parametrize("cpus", [None, 0.5])
def test_cpu_is_throttled_by_the_kernel_and_given_back(deploy: Deploy, cpus: float | None) -> None:
    async def story() -> None:
        limits = DeploySpec(resources=Resources(limits=Limits(cpus=cpus)))
        async with deploy(replace(shell(_BUSY), deploy=limits)) as found:
            task = await found.running()
            assert quota(found.deployment, task) == cpus
            evidence = await found.deployment.throttle_cpu(task, 0.05)
            assert (evidence.holds, evidence.means) == (True, "cfs-quota")
            assert evidence.detail["quota_us"] / evidence.detail["period_us"] == pytest.approx(0.05)
            assert quota(found.deployment, task) == pytest.approx(0.05)
            # More by a second word, and still what it had before when it is over.
            await found.deployment.throttle_cpu(task, 0.1)
            assert quota(found.deployment, task) == pytest.approx(0.1)
            # A program that would take all there is gets no more than this, however long one looks.
            before, began = used(found.deployment, task), time.monotonic_ns()
            await found.until(lambda: time.monotonic_ns() - began > 2_000_000_000, "two seconds")
            share = (used(found.deployment, task) - before) / (time.monotonic_ns() - began)
            assert share < 0.2
            await found.deployment.unthrottle_cpu(task)
            await found.deployment.unthrottle_cpu(task)  # needless the second time
            assert quota(found.deployment, task) == cpus

    asyncio.run(story())


@pytest.mark.parametrize("policy", ["no", "always"])
def test_the_next_start_of_a_throttled_container_is_not_throttled(deploy: Deploy, policy: str) -> None:
    async def story() -> None:
        async with deploy(service(restart=policy)) as found:
            first = await found.running()
            await found.deployment.throttle_cpu(first, 0.02)
            await found.deployment.signal_task(first, "SIGKILL")
            await found.ended()
            if policy == "no":
                await found.until(lambda: found.inspect()["HostConfig"]["CpuQuota"] <= 0, "given back")
                await found.deployment.start()
            second = await found.running(2)
            await found.until(lambda: quota(found.deployment, second) is None, "all CPU time again")
            await found.deployment.unthrottle_cpu(first)

    asyncio.run(story())


def test_less_cpu_than_the_kernel_can_measure_out_is_refused(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            task = await found.running()
            with pytest.raises(PlatformError) as refused:
                await found.deployment.throttle_cpu(task, 0.001)
            assert refused.value.code == "unsupported"
            assert quota(found.deployment, task) is None
            await found.deployment.stop()
            await found.ended()
            with pytest.raises(ProcessLookupError):
                await found.deployment.throttle_cpu(task, 0.05)

    asyncio.run(story())


def test_a_daemon_without_quotas_says_so(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            task = await found.running()
            daemon = found.deployment.daemon
            assert daemon.info["CpuCfsQuota"] is True
            daemon.info["CpuCfsQuota"] = (
                False  # as one of rootless Docker on control groups of version 1 has it
            )
            with pytest.raises(PlatformError) as refused:
                await found.deployment.throttle_cpu(task, 0.05)
            assert refused.value.code == "unsupported"

    asyncio.run(story())


def test_what_nobody_could_read_back_or_is_more_than_asked_proves_nothing() -> None:
    assert not cpu_evidence(0.05, None, 1).holds
    assert not cpu_evidence(0.05, (None, 100_000), 1).holds
    assert not cpu_evidence(0.05, (10_000, 100_000), 1).holds
    assert cpu_evidence(0.05, (5_000, 100_000), 1).holds
    assert cpu_evidence(0.05, (2_000, 100_000), 1).holds


def test_a_task_is_asked_itself_and_falls_ill(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service(image="health-app:latest")) as found:
            task = await found.running()
            await found.until(lambda: bool(found.written()), "the program listens")
            ask = found.deployment.request_task
            status, body = await ask(task, "GET", "/health")
            assert status == 200
            assert '"ok"' in body
            assert (await ask(task, "POST", "/fail?mode=sick"))[0] == 200
            assert (await ask(task, "GET", "/health"))[0] == 503
            assert (await ask(task, "GET", "/nowhere"))[0] == 404
            with pytest.raises(PlatformError) as refused:
                await ask(task, "GET", "no path")
            assert refused.value.code == "unsupported"
            await ask(task, "POST", "/fail?mode=hang")
            with pytest.raises(PlatformError) as refused:
                await ask(task, "GET", "/health")
            assert refused.value.code == "no-answer"
            await found.deployment.signal_task(task, "SIGKILL")
            await found.ended()
            with pytest.raises(ProcessLookupError):
                await ask(task, "GET", "/health")

    asyncio.run(story())


def test_without_hands_a_task_is_asked_at_its_own_port(deploy: Deploy, docker_host: Host) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            task = await found.running()
            await found.until(lambda: bool(found.written()), "the program listens")
            found.deployment._hands = None
            status, body = await found.deployment.request_task(task, "GET", "/")
            assert status == 200
            assert task in body
            with pytest.raises(PlatformError) as refused:
                await found.deployment.request_task(task, "GET", "no path")
            assert refused.value.code == "unsupported"
            # What cannot be read back by nobody's hands is still read from this machine's own kernel.
            assert (await found.deployment.throttle_cpu(task, 0.5)).holds
            assert await found.deployment.oom_kills() == _counted()
            found.deployment.daemon.local = False
            assert not (await found.deployment.throttle_cpu(task, 0.4)).holds
            assert await found.deployment.oom_kills() is None
            found.deployment.daemon.local = True

    with standing_in(docker_host):
        asyncio.run(story())


def test_the_leaking_app_is_killed_for_memory_and_the_kernel_counts_it(deploy: Deploy) -> None:
    """The leak at one request each MiB, so that a hundred of them do what the course's thousands do."""

    async def story() -> None:
        leaking = service(
            image="memory-leak-app:latest", memory=64 * MIB, restart="always",
            environment={"LEAK_BYTES": str(MIB)},
        )  # fmt: skip
        async with deploy(leaking) as found:
            task = await found.running()
            await found.until(lambda: bool(found.written()), "the program listens")
            before = await found.deployment.oom_kills()
            assert before is not None
            assert before == _counted()
            for _ in range(100):
                if found.ends():
                    break
                await _visit(found.deployment, task)
            await found.ended()
            await found.until(lambda: any(end.oom_killed for end in found.ends()), "out of memory")
            end = found.ends()[0]
            assert (end.task, end.state, end.exit_code, end.signal) == (task, "failed", 137, 9)
            assert end.error == "task: non-zero exit (137)"
            after = await found.deployment.oom_kills()
            assert after is not None
            assert after > before
            most = max(stats.memory_bytes for stats in found.of(TaskStats))
            assert most <= 64 * MIB
            await found.until(lambda: bool(found.of(LogCaptured)), "its log")
            # The restart brings an app that leaks as before.
            second = await found.running(2)
            await found.until(lambda: len(found.written()) > 1, "it listens again")
            await _visit(found.deployment, second)

    asyncio.run(story())


async def _visit(deployment: Any, task: str) -> None:
    """One request; the one that ends the app has no answer."""
    try:
        await deployment.request_task(task, "GET", "/")
    except ProcessLookupError:
        return
    except PlatformError as error:
        if error.code != "no-answer":
            raise


def _counted() -> int:
    rows = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(rows["oom_kill"])
