"""CPU time bounded in a version 2 hierarchy, where one group serves limit, freezer and quota: on a stock kernel."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from breakroom.engine.shell.quota import find_quota
from platforms_local.deployed import Lab, deployed, service

controller = find_quota()
pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(
        controller is None or controller.version == 1,
        reason="needs the CPU controller in a version 2 hierarchy: scripts/test-vm has it",
    ),
]


def _group_of(pid: int) -> Path:
    assert controller is not None
    (line,) = (one for one in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if one.startswith("0::"))
    return controller.directory / Path(line.removeprefix("0::")).name


@pytest.mark.parametrize("memory", [None, 256 << 20], ids=["unlimited", "limited"])
def test_a_task_is_frozen_and_bounded_in_one_group(tmp_path: Path, memory: int | None) -> None:
    async def scenario(lab: Lab) -> None:
        task = await lab.running()
        assert task.pid is not None
        await lab.get()
        evidence = await lab.deployment.throttle_cpu(task.task, 0.1)
        assert (evidence.holds, evidence.means) == (True, "cfs-quota")
        group = _group_of(task.pid)
        assert (group / "cpu.max").read_text().split() == ["10000", "100000"]
        assert (group / "memory.max").read_text().strip() == ("max" if memory is None else str(memory))
        paused = await lab.deployment.pause(task.task)
        assert (paused.holds, paused.means) == (True, "freezer")
        assert _group_of(task.pid) == group
        await lab.deployment.unpause(task.task)
        await lab.deployment.unthrottle_cpu(task.task)
        assert (group / "cpu.max").read_text().split()[0] == "max"
        await lab.get()

    async def main() -> None:
        async with deployed(tmp_path, service(memory=memory)) as lab:
            await scenario(lab)

    asyncio.run(main())
