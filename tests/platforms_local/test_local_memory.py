"""Memory limits, by the kernel's control group and by watching resident memory, against programs that want too much."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from breakroom.engine.shell.cgroups import Group, find_controller, sweep_leftovers
from breakroom.engine.shell.procfs import children_of
from breakroom.journal.records import TaskChanged
from platforms_local.deployed import deployed, eventually, exists, program, service

MIB = 1 << 20
LIMIT = 48 * MIB

# Takes 1 MiB at a time, up to 256.
HOG = "kept = [bytearray(b'x' * (1 << 20)) for _ in range(256)]; import signal; signal.pause()"

# Two processes that together want more than either alone may have.
PAIR = """
import os, signal
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
kept = bytearray(b"x" * (36 << 20))
signal.pause()
"""

MODEST = "kept = bytearray(b'x' * (8 << 20)); print('fits', flush=True); import signal; signal.pause()"

controller = find_controller()
needs_cgroup = pytest.mark.skipif(controller is None, reason="no memory control group can be made here")


async def _killed_for_memory(tmp_path: Path, code: str, means: str) -> TaskChanged:
    spec = service(code, memory=LIMIT, condition="none")
    async with deployed(tmp_path, spec, memory_limit=means) as lab:
        task = await lab.running()
        return await lab.over(task.task)


@pytest.mark.parametrize(
    "means", ["rss-watch", pytest.param("", marks=needs_cgroup)], ids=["watch", "cgroup"]
)
def test_a_task_over_its_limit_is_killed_and_called_out_of_memory(tmp_path: Path, means: str) -> None:
    end = asyncio.run(_killed_for_memory(tmp_path, HOG, means))
    assert (end.state, end.exit_code, end.signal, end.oom_killed) == ("failed", 137, 9, True)


def test_the_watch_counts_all_processes_of_a_task(tmp_path: Path) -> None:
    async def scenario() -> None:
        spec = service(PAIR, memory=LIMIT, condition="none")
        async with deployed(tmp_path, spec, memory_limit="rss-watch") as lab:
            task = await lab.running()
            _main, child = map(int, await lab.line(task.task))
            end = await lab.over(task.task)
            assert end.oom_killed
            await eventually(lambda: not exists(child), "end of the other process")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "means", ["rss-watch", pytest.param("", marks=needs_cgroup)], ids=["watch", "cgroup"]
)
def test_a_crash_below_the_limit_is_not_called_out_of_memory(tmp_path: Path, means: str) -> None:
    async def scenario() -> None:
        spec = service(MODEST, memory=LIMIT, condition="none")
        async with deployed(tmp_path, spec, memory_limit=means) as lab:
            task = await lab.running()
            assert await lab.line(task.task) == ["fits"]
            await lab.deployment.signal_task(task.task, "SIGKILL")
            end = await lab.over(task.task)
            assert (end.exit_code, end.oom_killed) == (137, False)

    asyncio.run(scenario())


@needs_cgroup
def test_a_dead_engines_group_is_swept_and_a_living_ones_is_not() -> None:
    assert controller is not None
    # The highest pid that Linux can give is below this number, so its owner is certainly dead.
    dead = Group(controller.directory / "breakroom-4194305-x", controller.version)
    dead.directory.mkdir()
    alive = controller.make(f"living-{time.monotonic_ns()}", LIMIT)
    try:
        assert sweep_leftovers() == []
        assert not dead.directory.exists()
        assert alive.directory.exists()
    finally:
        assert alive.remove()


@needs_cgroup
def test_groups_are_gone_when_their_deployment_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        assert controller is not None
        async with deployed(tmp_path, service(memory=LIMIT, replicas=2)) as lab:
            first, _second = await lab.running(slot=1), await lab.running(slot=2)
            engine = lab.deployment.engine_pid
            groups = list(controller.directory.glob(f"breakroom-{engine}-*"))
            assert len(groups) == 2
            await lab.deployment.signal_task(first.task, "SIGKILL")
            await lab.log(first.task)
        assert not list(controller.directory.glob(f"breakroom-{engine}-*"))

    asyncio.run(scenario())


# Serves its first life; wants too much in every later one.
LATER_HOG = """
import os, signal, sys
if os.path.exists(sys.argv[1]):
    kept = [bytearray(b"x" * (1 << 20)) for _ in range(256)]
open(sys.argv[1], "w").close()
signal.pause()
"""


@pytest.mark.parametrize(
    "means", ["rss-watch", pytest.param("", marks=needs_cgroup)], ids=["watch", "cgroup"]
)
def test_a_replacement_that_was_made_in_advance_is_limited_too(tmp_path: Path, means: str) -> None:
    async def scenario() -> None:
        command = program(LATER_HOG, str(tmp_path / "lived"))
        spec = service(command=command, memory=LIMIT, delay=0)
        async with deployed(tmp_path, spec, memory_limit=means) as lab:
            first = await lab.running()
            engine = lab.deployment.engine_pid
            await eventually((tmp_path / "lived").exists, "first life")
            # The engine's children: the ingress, the task, and the spare.
            await eventually(lambda: len(children_of(engine)) == 3, "spare")
            (spare,) = set(children_of(engine)) - {first.pid, min(children_of(engine))}
            await lab.deployment.signal_task(first.task, "SIGKILL")
            second = await lab.running(after=first.t)
            assert second.pid == spare
            assert (await lab.over(second.task)).oom_killed

    asyncio.run(scenario())
