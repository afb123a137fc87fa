"""Two contenders of one run at the same time: each its own container, faults, records and end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from breakroom.journal.records import Record, TaskChanged
from breakroom.platforms.base import RunInfo
from breakroom.platforms.docker.front import FrontKind
from breakroom.platforms.docker.platform import DockerPlatform
from breakroom.spec.drill import Contender
from docker_lab.lab import Host
from platforms_docker.deployed import Deployed, service

RUN = "20260101-000000-test-ef56"


class Side(Deployed):
    """One of the two; its container is found by the trial's label."""

    def __init__(self, host: Host, directory: Path, trial: str) -> None:
        super().__init__(host, directory)
        self.trial = trial

    @property
    def container(self) -> str:
        label = f"label=breakroom.trial={self.trial}"
        (name,) = self.host.docker("ps", "-aq", "--no-trunc", "--filter", label).split()
        return name


@pytest.mark.parametrize("front", ["native", "breakroom"])
def test_two_contenders_of_one_run_do_not_disturb_each_other(
    docker_host: Host, tmp_path: Path, front: FrontKind
) -> None:
    directory = tmp_path / RUN
    directory.mkdir()
    sides = [Side(docker_host, directory, f"test/{name}/1") for name in ("single", "single-restart")]

    async def story() -> None:
        platform = DockerPlatform(front=front, environment={"DOCKER_HOST": docker_host.docker_host})
        heard: list[Record] = []
        await platform.open(RunInfo(run_id=RUN, directory=directory), heard.append)
        try:
            await asyncio.gather(*(_deployed(platform, side) for side in sides))
            await _played(*sides)
            # Each looks only for what is its own, though the other's is there.
            lefts = [await sides[0].deployment.remove()]
            assert sides[1].inspect()["State"]["Running"]
            lefts.append(await sides[1].deployment.remove())
            assert lefts == [(), ()]
        finally:
            for side in sides:
                if hasattr(side, "deployment"):
                    await side.deployment.remove()
            assert await platform.close() == ()

    asyncio.run(story())
    for side in sides:
        assert {getattr(record, "trial", side.trial) for record in side.records} == {side.trial}


async def _deployed(platform: DockerPlatform, side: Side) -> None:
    name = side.trial.split("/")[1]
    spec = service(restart="always" if name.endswith("restart") else "no", memory=64 << 20)
    contender = Contender(name=name, runs_as="container", service=spec)
    side.began(await platform.deploy(contender, trial=side.trial, directory=side.directory, emit=side.emit))


async def _played(single: Side, restarted: Side) -> None:
    """Faults on both at once, each seen on its own side alone."""
    tasks = await asyncio.gather(single.running(), restarted.running())
    first, second = single.deployment, restarted.deployment
    assert first.endpoint != second.endpoint
    holds = await asyncio.gather(
        first.throttle_cpu(tasks[0], 0.5),
        second.pause(tasks[1]),
        first.fill_memory(tasks[0], 4 << 20),
        first.impair(tasks[0], {"partition": True}),
        second.impair(tasks[1], {"partition": True}),
    )
    assert [evidence.holds for evidence in holds] == [True] * 5
    assert restarted.inspect()["HostConfig"]["CpuQuota"] == 0
    assert single.inspect()["State"]["Paused"] is False
    await asyncio.gather(
        first.impair(tasks[0], None), first.free_memory(tasks[0]), first.unthrottle_cpu(tasks[0])
    )
    # One side's healing is not the other's.
    (view,) = await second.tasks()
    assert view.state == "running"
    assert (await second.impair(tasks[1], None)).means in {"nft", "ingress"}
    await second.unpause(tasks[1])
    await asyncio.gather(first.signal_task(tasks[0], "SIGKILL"), second.signal_task(tasks[1], "SIGKILL"))
    await asyncio.gather(single.ended(), restarted.ended(), restarted.running(2))
    assert len(single.begins()) == 1
    for side, task in ((single, tasks[0]), (restarted, tasks[1])):
        assert {change.task.partition(".")[0] for change in side.of(TaskChanged)} == {task}
