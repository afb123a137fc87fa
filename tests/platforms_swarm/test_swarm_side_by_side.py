"""Contenders of one run at the same time under Swarm: a container and two services, each with its own faults."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from breakroom.journal.records import Record, RotationChanged, TaskChanged
from breakroom.platforms.base import Deployment
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec
from docker_lab.lab import Host, Lab
from platforms_swarm.inside import standing_in
from platforms_swarm.swarming import Swarming, opened_run, web
from told.records import Told

TRIALS = {"single": "container", "orchestrated": "service", "eager": "service"}


class Side(Told):
    """One contender, and all that was heard of it."""

    deployment: Deployment

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.trial = f"test/{name}/1"

    @property
    def inside(self) -> set[str]:
        """Tasks in rotation, by the records."""
        found: set[str] = set()
        for record in self.of(RotationChanged):
            (found.add if record.in_rotation else found.discard)(record.task)
        return found

    async def serving(self, count: int) -> list[str]:
        await self.until(lambda: len(self.inside) == count, f"{count} tasks of {self.name} in rotation")
        return sorted(self.inside)


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


async def _deploy(run: Swarming, side: Side, spec: ServiceSpec) -> None:
    runs_as: Any = TRIALS[side.name]
    contender = Contender(name=side.name, runs_as=runs_as, service=spec)
    side.deployment = await run.platform.deploy(
        contender, trial=side.trial, directory=run.directory, emit=side.emit
    )


async def test_three_contenders_of_one_run_do_not_disturb_each_other(
    swarm_host: Host, tmp_path: Path
) -> None:
    sides = [Side(name) for name in TRIALS]
    single, orchestrated, eager = sides
    async with opened_run(swarm_host, tmp_path) as run:
        try:
            await asyncio.gather(*(_deploy(run, side, web(healthy=False)) for side in sides))
            (lone,), pair, other = await asyncio.gather(
                single.serving(1), orchestrated.serving(2), eager.serving(2)
            )
            assert len({side.deployment.endpoint.port for side in sides}) == 3

            # Faults on all of them at once.
            seen = await asyncio.gather(
                single.deployment.throttle_cpu(lone, 0.5),
                orchestrated.deployment.throttle_cpu(pair[0], 0.3),
                eager.deployment.pause(other[0]),
                orchestrated.deployment.fill_memory(pair[1], 4 << 20),
                eager.deployment.impair(other[1], {"partition": True}),
                single.deployment.impair(lone, {"partition": True}),
            )
            assert [evidence.holds for evidence in seen] == [True] * 6
            quotas = [await _quota(swarm_host, side) for side in sides]
            assert quotas == [{"50000"}, {"30000", "0"}, {"0"}]
            await asyncio.gather(
                single.deployment.impair(lone, None),
                single.deployment.unthrottle_cpu(lone),
                orchestrated.deployment.free_memory(pair[1]),
                orchestrated.deployment.unthrottle_cpu(pair[0]),
                eager.deployment.impair(other[1], None),
                eager.deployment.unpause(other[0]),
            )

            # Acts on all of them at once, each heard of on its own side alone.
            await asyncio.gather(
                single.deployment.signal_task(lone, "SIGKILL"),
                orchestrated.deployment.scale(3),
                eager.deployment.update(web(image="improved-app:v2", healthy=False)),
            )
            await single.serving(0)
            await orchestrated.serving(3)
            await eager.until(lambda: not eager.inside & set(other), "the new release in place of the old")
            await eager.serving(2)
            await single.deployment.start()
            await single.serving(1)
            assert set(pair) < orchestrated.inside

            # The first that goes takes nothing of the others along, and is not kept by them.
            assert await eager.deployment.remove() == ()
            assert await orchestrated.serving(3) == sorted(orchestrated.inside)
            lefts = await asyncio.gather(single.deployment.remove(), orchestrated.deployment.remove())
            assert not any(lefts)
        finally:
            for side in sides:
                if hasattr(side, "deployment"):
                    await side.deployment.remove()

    for side in sides:
        trials = {getattr(record, "trial", side.trial) for record in _of_trials(side.records)}
        assert trials == {side.trial}
    tasks = [{record.task for record in side.of(TaskChanged)} for side in sides]
    assert not tasks[0] & tasks[1]
    assert not tasks[1] & tasks[2]


def _of_trials(records: list[Record]) -> list[Record]:
    return [record for record in records if getattr(record, "trial", "")]


async def _quota(host: Host, side: Side) -> set[str]:
    """The quotas that Docker has for the contender's containers."""
    label = f"label=breakroom.trial={side.trial}"
    names = (await asyncio.to_thread(host.docker, "ps", "-q", "--filter", label)).split()
    shown = await asyncio.to_thread(host.docker, "inspect", "-f", "{{.HostConfig.CpuQuota}}", *names)
    return set(shown.split())
