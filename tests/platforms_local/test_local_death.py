"""Nothing outlives what it belongs to: descendants their task, replicas their engine, the engine its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from breakroom.engine.shell.cgroups import find_controller
from breakroom.engine.shell.command import MARKER
from breakroom.engine.shell.procfs import children_of, marked_processes
from breakroom.journal.records import Problem, TaskChanged
from breakroom.platforms.base import PlatformError
from platforms_local.deployed import DAEMON, deployed, eventually, exists, service

# A child in the task's own session. Prints both pids.
GRANDCHILD = """
import os, signal
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
signal.pause()
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper, which only Linux has")


@pytest.mark.parametrize(
    "code", [GRANDCHILD, pytest.param(DAEMON, marks=linux_only)], ids=["child", "daemon"]
)
def test_what_a_crashed_task_started_dies_with_it(tmp_path: Path, code: str) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(code, condition="none")) as lab:
            task = await lab.running()
            main, other = map(int, await lab.line(task.task))
            assert main == task.pid
            assert exists(other)
            os.kill(main, signal.SIGKILL)
            await lab.over(task.task)
            await eventually(lambda: not exists(other), "end of the task's other process")

    asyncio.run(scenario())


@linux_only
def test_the_daemon_of_a_living_task_is_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(DAEMON, replicas=2, condition="none")) as lab:
            first, second = await lab.running(slot=1), await lab.running(slot=2)
            _, of_first = map(int, await lab.line(first.task))
            _, of_second = map(int, await lab.line(second.task))
            os.kill(first.pid or 0, signal.SIGKILL)
            await eventually(lambda: not exists(of_first), "end of the first task's daemon")
            assert exists(of_second)

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_replicas_die_with_their_engine_and_the_deployment_says_so(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(DAEMON, replicas=3, memory=64 << 20)) as lab:
            tasks = [await lab.running(slot=slot) for slot in (1, 2, 3)]
            pids = [int(pid) for task in tasks for pid in await lab.line(task.task)]
            marker = lab.deployment._client.marker
            os.kill(lab.deployment.engine_pid, signal.Signals[name])
            problem = await lab.record(
                Problem, lambda r: r.code == "engine-died", "word of the engine's death"
            )
            assert problem.severity == "error"
            await eventually(lambda: not any(map(exists, pids)), "end of all processes", within=1.0)
            assert marked_processes(MARKER, marker) == []
            with pytest.raises(PlatformError) as caught:
                await lab.deployment.tasks()
            assert caught.value.code == "engine-died"
        # Leaving the block removed the deployment and found nothing, control groups among it.

    asyncio.run(scenario())


def test_a_request_that_waits_fails_when_the_engine_dies(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service()) as lab:
            await lab.running()
            pid = lab.deployment.engine_pid
            os.kill(pid, signal.SIGSTOP)
            waiting = asyncio.ensure_future(lab.deployment.tasks())
            await asyncio.sleep(0)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(PlatformError) as caught:
                await waiting
            assert caught.value.code == "engine-died"

    asyncio.run(scenario())


PARENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from platforms_local.deployed import DAEMON, deployed, eventually, service
from breakroom.engine.shell.procfs import children_of
async def main():
    async with deployed(Path(sys.argv[1]), service(DAEMON, replicas=3, memory=64 << 20)) as lab:
        for slot in (1, 2, 3):
            task = await lab.running(slot=slot)
            await lab.line(task.task)
        # Three mains, three daemons, the ingress, and the process that was made in advance.
        await eventually(lambda: len(children_of(lab.deployment.engine_pid)) == 8, "spare")
        print(lab.deployment.engine_pid, lab.deployment._client.marker, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@linux_only
def test_no_process_of_a_run_outlives_a_killed_parent_by_a_second(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path), str(Path(__file__).parents[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            engine, marker = parent.stdout.readline().decode().split()
            marked = marked_processes(MARKER, marker)
        finally:
            parent.kill()
        parent.wait()
        # Three mains, three daemons and the ingress: the test would prove nothing with fewer.
        assert len(marked) == 7

        async def scenario() -> None:
            gone = lambda: not exists(int(engine)) and not marked_processes(MARKER, marker)  # noqa: E731
            await eventually(gone, "end of every process of the run", within=1.0)
            controller = find_controller()
            if controller is not None:
                assert list(controller.directory.glob(f"breakroom-{engine}-*")) == []

        asyncio.run(scenario())


def _own_children() -> list[int]:
    return children_of(os.getpid())


def test_a_rejected_deployment_leaves_no_engine(tmp_path: Path) -> None:
    async def scenario() -> None:
        before = _own_children()
        with pytest.raises(PlatformError):
            async with deployed(tmp_path, service(command=("/no/such/program",))):
                pass
        assert _own_children() == before

    asyncio.run(scenario())


def test_a_cancelled_deploy_leaves_no_engine(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def deploy() -> None:
            async with deployed(tmp_path, service()):
                raise AssertionError("it was to be cancelled before it was ready")

        before = _own_children()
        task = asyncio.ensure_future(deploy())
        log = tmp_path / "logs" / "drill-test-1" / "engine.log"
        await eventually(log.exists, "start of the engine")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert _own_children() == before

    asyncio.run(scenario())


def test_exits_during_a_burst_are_each_seen_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(replicas=20)) as lab:
            tasks = [await lab.running(slot=slot) for slot in range(1, 21)]
            for task in tasks:
                os.kill(task.pid or 0, signal.SIGKILL)
            for task in tasks:
                await lab.over(task.task)
            ends = [r.task for r in lab.records if isinstance(r, TaskChanged) and r.state == "failed"]
            assert sorted(ends) == sorted(task.task for task in tasks)

    asyncio.run(scenario())
