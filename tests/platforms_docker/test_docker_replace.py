"""What an operator does to a container without an orchestrator: a new release in its place, and a restart."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from breakroom.journal.records import HealthChanged, LogCaptured, RotationChanged, TaskChanged
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.clock import parse_time
from breakroom.spec.service import Healthcheck
from platforms_docker.deployed import SECOND, Deployed, service, shell

if TYPE_CHECKING:
    from platforms_docker.conftest import Deploy


async def served_version(found: Deployed) -> str:
    """Which release answers at the users' port, once one does."""
    words = ("curl", "-s", "-m", "2", "-o", "/dev/null", "-D", "-", found.deployment.endpoint.url())
    for _ in range(150):
        head = await asyncio.to_thread(found.host.run, *words, check=False)
        for line in head.splitlines():
            if line.lower().startswith("x-version:"):
                return line.split()[-1]
        await asyncio.sleep(0.1)
    raise AssertionError("nobody answers at the users' port")


def test_another_release_takes_the_containers_place(deploy: Deploy) -> None:
    check = Healthcheck(test=("HTTP", "/health"), interval=SECOND // 5, timeout=5 * SECOND)

    async def story() -> None:
        async with deploy(service(environment={"MARK": "old"})) as found:
            first = await found.running()
            endpoint, old = found.deployment.endpoint, found.inspect()
            assert await served_version(found) == "v1"

            new = service(image="improved-app:v2", environment={"MARK": "new"}, healthcheck=check)
            await found.deployment.replace(new)
            second = await found.running(2)
            assert await served_version(found) == "v2"
            shown = found.inspect()
            assert found.deployment.endpoint == endpoint
            assert shown["Id"] != old["Id"]
            assert shown["Id"].startswith(second)
            assert shown["Name"] == old["Name"]
            assert "MARK=new" in shown["Config"]["Env"]
            for label in ("breakroom", "breakroom.run", "breakroom.trial"):
                assert shown["Config"]["Labels"][label] == old["Config"]["Labels"][label]
            assert shown["NetworkSettings"]["Ports"] == old["NetworkSettings"]["Ports"]

            assert found.states(first) == ["starting", "running", "shutdown"]
            assert found.states(second) == ["starting", "running"]
            versions = {change.task: (change.version, change.image) for change in found.of(TaskChanged)}
            assert versions == {first: (1, "improved-app:latest"), second: (2, "improved-app:v2")}
            end, begun = found.ends()[0], found.begins()[1]
            assert end.t < begun.t
            assert begun.platform_unix_ns == parse_time(shown["State"]["StartedAt"])
            views = await found.deployment.tasks()
            assert [(view.id, view.version, view.in_rotation) for view in views] == [
                (second, 2, True),
                (first, 1, False),
            ]
            assert [(r.task, r.in_rotation) for r in found.of(RotationChanged)] == [
                (first, True),
                (first, False),
                (second, True),
            ]
            # The one that was taken away had its log kept, and the new one's health check is followed.
            assert "listening" in next(log.tail for log in found.of(LogCaptured) if log.task == first)
            await found.until(
                lambda: any(one.task == second and one.ok for one in found.of(HealthChanged)), "a probe"
            )
            # The new container is under the same acts as the old one was.
            await found.deployment.signal_task(second, "SIGKILL")
            assert (await found.ended(2)).task == second
            await found.deployment.start()
            assert await found.running(3) == f"{second}.2"
            with pytest.raises(ProcessLookupError):
                await found.deployment.signal_task(first, "SIGKILL")

    asyncio.run(story())


def test_a_release_without_its_image_leaves_the_old_one_running(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            task = await found.running()
            with pytest.raises(PlatformError) as refused:
                await found.deployment.replace(service(image="improved-app:v7"))
            assert refused.value.code == "image-missing"
            assert "breakroom images" in refused.value.hint or "docker pull" in refused.value.hint
            assert found.states(task) == ["starting", "running"]
            assert found.inspect()["State"]["Running"]

    asyncio.run(story())


def test_a_release_that_cannot_be_started_leaves_nobody_and_can_be_taken_back(deploy: Deploy) -> None:
    async def story() -> None:
        good = service()
        async with deploy(good) as found:
            await found.running()
            with pytest.raises(PlatformError) as refused:
                await found.deployment.replace(replace(good, entrypoint=("no-such-program",)))
            assert refused.value.code == "program-missing"
            await found.until(lambda: len(found.ends()) == 2, "the end of what never ran")
            assert found.ends()[1].version == 2
            assert found.inspect()["State"]["Status"] == "created"
            # Back to the release before: once more another container.
            await found.deployment.replace(good)
            await found.until(lambda: found.begins()[-1].version == 3, "the old release again")

    asyncio.run(story())


@pytest.mark.parametrize("paused", [False, True])
def test_replacing_waits_for_the_old_one_to_finish_its_work(deploy: Deploy, *, paused: bool) -> None:
    """As `docker stop` does; a container that stands still is let go on, or it could not."""
    line = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"

    async def story() -> None:
        old = replace(shell(line), stop_signal="SIGTERM")
        async with deploy(old) as found:
            task = await found.running()
            await found.until(lambda: found.written() == ["ready"], "the trap")
            if paused:
                assert (await found.deployment.pause(task)).holds
            await found.deployment.replace(shell("exec sleep 600"))
            end = next(end for end in found.ends() if end.task == task)
            assert (end.state, end.exit_code) == ("shutdown", 0)
            assert next(log.tail for log in found.of(LogCaptured) if log.task == task).split() == [
                "ready",
                "bye",
            ]

    asyncio.run(story())


@pytest.mark.parametrize("state", ["running", "paused", "stopped", "hung"])
def test_restart_brings_it_back_from_any_state(deploy: Deploy, state: str) -> None:
    async def story() -> None:
        since = time.time_ns()
        async with deploy(replace(service(), stop_grace_period=SECOND)) as found:
            first = await found.running()
            await found.until(lambda: bool(found.written()), "the program listens")
            if state == "paused":
                await found.deployment.pause(first)
            elif state == "hung":
                await found.deployment.signal_task(first, "SIGSTOP")
            elif state == "stopped":
                await found.deployment.stop()
                await found.ended()
            await found.deployment.restart()
            second = await found.running(2)
            assert second == f"{first}.2"
            end = found.ends()[0]
            assert (end.task, end.state, end.desired) == (first, "shutdown", "shutdown")
            assert end.signal == (9 if state == "hung" else None)
            assert await served_version(found) == "v1"
            shown = found.inspect()
            assert shown["RestartCount"] == 0
            assert found.begins()[1].platform_unix_ns == parse_time(shown["State"]["StartedAt"])
            if state != "stopped":
                assert any(event["Action"] == "restart" for event in found.events(since))
            assert [change.version for change in found.begins()] == [1, 1]

    asyncio.run(story())
