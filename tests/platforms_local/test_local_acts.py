"""What is done to tasks on purpose, on the real local platform: seen in /proc, in control groups, and by users."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from breakroom.engine.shell.cgroups import find_controller
from breakroom.engine.shell.freezer import freezer_means
from breakroom.journal.records import HealthChanged, TaskChanged, TaskStats
from breakroom.platforms.base import PlatformError
from breakroom.platforms.local import LocalPlatform
from breakroom.spec.service import Healthcheck
from platforms_local.deployed import MS, SERVE, Lab, deployed, eventually, exists, service

# Serves, and has a child that is called by a name of its own.
FAMILY = (
    "import os, sys\n"
    "if os.fork() == 0:\n"
    "    os.execv(sys.executable, [sys.executable, '-c', 'import signal; signal.pause()', 'worker-' + 'process'])\n"
    f"{SERVE}"
)
MIB = 1 << 20

Scenario = Callable[[Lab, str, int], Awaitable[None]]


def _with_one_task(tmp_path: Path, scenario: Scenario, **spec: Any) -> None:
    """Deploy one replica, give its id and pid to the scenario, and remove it."""
    memory_limit = spec.pop("memory_limit", "")

    async def main() -> None:
        async with deployed(tmp_path, service(**spec), memory_limit=memory_limit) as lab:
            task = await lab.running()
            assert task.pid is not None
            await lab.get()
            await scenario(lab, task.task, task.pid)

    asyncio.run(main())


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _events(pid: int) -> str:
    """`cgroup.events` of the process's version 2 group."""
    path = next(
        line.split(":", 2)[2]
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        if line.startswith("0::")
    )
    root = next(
        p for p in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")) if (p / "cgroup.procs").exists()
    )
    return (root / path.strip("/") / "cgroup.events").read_text()


async def _is_answered(lab: Lab, within: float) -> bool:
    def ask() -> bool:
        try:
            with urllib.request.urlopen(lab.deployment.endpoint.url(), timeout=within) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    return await asyncio.to_thread(ask)


async def _seconds(lab: Lab) -> float:
    """How long one request takes."""
    begun = time.monotonic()
    await lab.get()
    return time.monotonic() - begun


def test_a_paused_task_is_frozen_and_answers_again_when_it_goes_on(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        evidence = await lab.deployment.pause(task)
        assert evidence.holds
        assert evidence.means == freezer_means()
        if evidence.means == "freezer":
            assert "frozen 1" in _events(pid)
        else:
            assert _state(pid) == "T"
        assert not await _is_answered(lab, 0.3)
        await lab.deployment.unpause(task)
        assert await _is_answered(lab, 10)
        assert exists(pid)

    _with_one_task(tmp_path, scenario)


def test_where_no_group_can_be_made_every_process_is_stopped(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        (child,) = await lab.deployment.signal_inside(task, "worker-process", "SIGCONT")
        evidence = await lab.deployment.pause(task)
        assert (evidence.holds, evidence.means) == (True, "sigstop")
        assert (_state(pid), _state(child)) == ("T", "T")
        await lab.deployment.unpause(task)
        await eventually(lambda: {_state(pid), _state(child)} == {"S"}, "process that goes on")

    _with_one_task(tmp_path, scenario, code=FAMILY, memory_limit="rss-watch")


def test_health_is_not_probed_while_a_task_is_paused(tmp_path: Path) -> None:
    check = Healthcheck(test=("HTTP", "/"), interval=50 * MS, timeout=200 * MS, retries=50)

    async def scenario(lab: Lab, task: str, _pid: int) -> None:
        first = await lab.record(HealthChanged, lambda r: r.ok, "healthy probe")
        await lab.deployment.pause(task)
        probes = sum(isinstance(record, HealthChanged) for record in lab.records)
        # Long enough for several probes to come and to fail; the only proof of nothing is time.
        stats = sum(isinstance(record, TaskStats) for record in lab.records)
        await lab.until(
            lambda: sum(isinstance(r, TaskStats) for r in lab.records) >= stats + 4, "four samples of memory"
        )
        assert sum(isinstance(record, HealthChanged) for record in lab.records) == probes
        await lab.deployment.unpause(task)
        await lab.until(
            lambda: sum(isinstance(r, HealthChanged) for r in lab.records) > probes + 1, "probe after it"
        )
        assert all(r.ok for r in lab.records if isinstance(r, HealthChanged) and r.t >= first.t)

    _with_one_task(tmp_path, scenario, healthcheck=check)


def test_a_paused_task_can_be_stopped(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        await lab.deployment.pause(task)
        await lab.deployment.scale(0)
        await lab.over(task)
        assert not exists(pid)

    _with_one_task(tmp_path, scenario)


def test_a_paused_task_dies_with_the_engine(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        await lab.deployment.pause(task)
        os.kill(lab.deployment.engine_pid, signal.SIGKILL)
        await eventually(lambda: not exists(pid), "end of the frozen process")

    _with_one_task(tmp_path, scenario)


def test_a_hanging_process_is_seen_in_its_state(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        assert await lab.deployment.process_state(task) in {"S", "R"}
        await lab.deployment.signal_task(task, "SIGSTOP")
        await eventually(lambda: _state(pid) == "T", "stopped process")
        assert await lab.deployment.process_state(task) == "T"
        assert not await _is_answered(lab, 0.3)
        await lab.deployment.signal_task(task, "SIGCONT")
        assert await _is_answered(lab, 10)
        assert await lab.deployment.process_state("nobody") == ""

    _with_one_task(tmp_path, scenario)


def test_only_the_processes_that_match_are_signalled(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        assert await lab.deployment.signal_inside(task, "no-such-word", "SIGKILL") == ()
        (child,) = await lab.deployment.signal_inside(task, "worker-process", "SIGKILL")
        assert child != pid
        await eventually(lambda: not exists(child), "end of the worker")
        assert exists(pid)
        with pytest.raises(ProcessLookupError):
            await lab.deployment.signal_inside("nobody", "x", "SIGKILL")

    _with_one_task(tmp_path, scenario, code=FAMILY)


@pytest.mark.parametrize("means", ["", "rss-watch"])
def test_memory_is_used_inside_the_limit_and_given_back(tmp_path: Path, means: str) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        evidence = await lab.deployment.fill_memory(task, 64 * MIB)
        assert evidence.holds
        before, used = evidence.detail["before_bytes"], evidence.detail["used_bytes"]
        assert 0.9 * 64 * MIB <= used - before <= 1.2 * 64 * MIB
        sample = await lab.record(
            TaskStats, lambda r: r.task == task and r.memory_bytes > used * 0.9, "full sample"
        )
        assert sample.memory_limit_bytes == 256 * MIB
        await lab.deployment.free_memory(task)
        await lab.record(
            TaskStats, lambda r: r.t > sample.t and r.memory_bytes < before + 16 * MIB, "sample after it"
        )
        assert exists(pid)

    if not means and find_controller() is None:
        pytest.skip("no memory control group can be made here")
    _with_one_task(tmp_path, scenario, memory=256 * MIB, memory_limit=means)


@pytest.mark.parametrize("means", ["", "rss-watch"])
def test_pressure_over_the_limit_kills_the_application_not_the_filler(tmp_path: Path, means: str) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        evidence = await lab.deployment.fill_memory(task, 128 * MIB)
        assert evidence.holds
        assert evidence.detail["killed_for_memory"] == 1
        end = await lab.over(task)
        assert end.oom_killed
        assert not exists(pid)
        await lab.deployment.free_memory(task)
        assert (await lab.running(after=end.t)).task != task

    if not means and find_controller() is None:
        pytest.skip("no memory control group can be made here")
    _with_one_task(tmp_path, scenario, memory=96 * MIB, memory_limit=means)


def test_a_delayed_link_is_felt_by_users_until_it_is_healed(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, _pid: int) -> None:
        evidence = await lab.deployment.impair(task, {"delay_ns": 150 * MS})
        assert (evidence.holds, evidence.means) == (True, "ingress")
        # One round trip to connect, and one for the request.
        assert await _seconds(lab) >= 0.3
        assert (await lab.deployment.impair(task, None)).holds
        await eventually_fast(lab)

    async def eventually_fast(lab: Lab) -> None:
        deadline = time.monotonic() + 10
        while await _seconds(lab) >= 0.3:
            assert time.monotonic() < deadline

    _with_one_task(tmp_path, scenario)


def test_an_impairment_of_an_unknown_task_is_not_claimed(tmp_path: Path) -> None:
    async def scenario(lab: Lab, _task: str, _pid: int) -> None:
        assert not (await lab.deployment.impair("nobody", {"delay_ns": 1})).holds

    _with_one_task(tmp_path, scenario)


def test_a_partition_of_all_holds_for_tasks_to_come(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        assert (await lab.deployment.impair("*", {"partition": True})).holds
        os.kill(pid, signal.SIGKILL)
        end = await lab.over(task)
        await lab.running(after=end.t)
        assert not await _is_answered(lab, 0.5)
        assert (await lab.deployment.impair("*", None)).holds
        await lab.get()

    _with_one_task(tmp_path, scenario)


@pytest.mark.parametrize("word", ["corrupt", "duplicate"])
def test_what_only_the_kernel_can_do_is_refused(tmp_path: Path, word: str) -> None:
    async def scenario(lab: Lab, task: str, _pid: int) -> None:
        with pytest.raises(PlatformError, match="netem") as caught:
            await lab.deployment.impair(task, {word: 0.1})
        assert caught.value.code == "unsupported"
        assert f"network.{word}" in (await LocalPlatform().capabilities()).cannot

    _with_one_task(tmp_path, scenario)


def test_a_task_killed_through_the_api_is_replaced(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, _pid: int) -> None:
        await lab.deployment.kill_through_api(task=task)
        end = await lab.over(task)
        assert (end.state, end.exit_code) == ("failed", 137)
        assert (await lab.running(after=end.t)).task != task

    _with_one_task(tmp_path, scenario)


def test_one_node_can_be_neither_drained_nor_cut_off(tmp_path: Path) -> None:
    async def scenario(lab: Lab, _task: str, _pid: int) -> None:
        (node,) = await lab.deployment.nodes()
        assert node.here
        for refused in (
            lab.deployment.set_availability(node.id, "drain"),
            lab.deployment.cut_node(node.id, 10**9),
        ):
            with pytest.raises(PlatformError, match="one node"):
                await refused
        await lab.deployment.heal_node(node.id)

    _with_one_task(tmp_path, scenario)


def test_acts_on_a_task_that_is_gone_say_so(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, _pid: int) -> None:
        await lab.deployment.signal_task(task, "SIGKILL")
        await lab.record(TaskChanged, lambda r: r.task == task and r.state == "failed", "end")
        for act in (
            lab.deployment.pause(task),
            lab.deployment.unpause(task),
            lab.deployment.fill_memory(task, MIB),
        ):
            with pytest.raises(ProcessLookupError):
                await act
        await lab.deployment.free_memory(task)

    _with_one_task(tmp_path, scenario)
