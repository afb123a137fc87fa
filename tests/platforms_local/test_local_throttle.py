"""CPU time that is bounded, by the kernel's quota and by a duty cycle: felt by real programs, seen in /proc."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from breakroom.engine.shell.quota import find_quota
from breakroom.journal.records import HealthChanged, TaskStats
from breakroom.platforms.local import LocalPlatform
from breakroom.spec.service import Healthcheck
from platforms_local.deployed import MS, SERVE, Lab, deployed, eventually, exists, program, service

# Uses all the CPU time that it gets; told to stop, it needs a third of a second of it to end politely.
BURN = """
import signal, sys, time
def end(*_):
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    pass
"""

# Two of them, and later a third.
PAIR = """
import os, time
first = os.fork()
until = time.process_time() + 0.2
while first and time.process_time() < until:
    pass
if first:
    print(first, flush=True)
    if os.fork() == 0:
        os.setsid()
while True:
    pass
"""
controller = find_quota()
needs_cgroup = pytest.mark.skipif(controller is None, reason="no CPU control group can be made here")
both = pytest.mark.parametrize(
    "memory_limit", [pytest.param("", marks=needs_cgroup, id="quota"), pytest.param("rss-watch", id="cycle")]
)
Scenario = Callable[[Lab, str, int], Awaitable[None]]


def _with_a_container(
    tmp_path: Path, scenario: Scenario, *, code: str = BURN, memory_limit: str = "", grace: int = 10_000 * MS
) -> None:
    """Run a container, wait for its first words, and give task and pid to the scenario."""
    spec = replace(service(command=program(code)), stop_grace_period=grace, restart="always")

    async def main() -> None:
        async with deployed(tmp_path, spec, runs_as="container", memory_limit=memory_limit) as lab:
            task = await lab.running()
            assert task.pid is not None
            await lab.line(task.task)
            await scenario(lab, task.task, task.pid)

    asyncio.run(main())


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _groups_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")


def _cpu_group(lab: Lab) -> Path:
    assert controller is not None
    pattern = "cpu*" if controller.version == 1 else "*"
    (group,) = controller.directory.glob(f"breakroom-{lab.deployment.engine_pid}-{pattern}")
    return group


def _throttled(group: Path) -> int:
    words = (group / "cpu.stat").read_text().split()
    return int(words[words.index("nr_throttled") + 1])


async def _share_used(pids: set[int], seconds: float) -> float:
    """CPU time that the processes use of so much time."""

    def used() -> float:
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)

    begun, before = asyncio.get_running_loop().time(), used()
    await asyncio.sleep(seconds)
    return (used() - before) / (asyncio.get_running_loop().time() - begun)


async def _seen(pid: int, states: str) -> None:
    await eventually(lambda: _state(pid) in states, f"process in one of the states {states}")


@both
def test_a_busy_process_gets_no_more_than_its_share_until_it_is_let_go(
    tmp_path: Path, memory_limit: str
) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        evidence = await lab.deployment.throttle_cpu(task, 0.1)
        assert evidence.holds
        how = (await LocalPlatform(memory_limit=memory_limit).capabilities()).how
        assert how["cpu_throttle"] == evidence.means == ("duty-cycle" if memory_limit else "cfs-quota")
        # An upper bound, which a busy machine cannot break.
        assert await _share_used({pid}, 1.5) < 0.25
        await lab.deployment.unthrottle_cpu(task)
        before = sum(psutil.Process(pid).cpu_times()[:2])
        await eventually(
            lambda: sum(psutil.Process(pid).cpu_times()[:2]) > before + 0.5, "CPU time used freely"
        )

    _with_a_container(tmp_path, scenario, memory_limit=memory_limit)


@needs_cgroup
def test_the_quota_is_the_kernels_and_it_counts_the_stops(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        assert controller is not None
        evidence = await lab.deployment.throttle_cpu(task, 0.05)
        words = {key: evidence.detail[key] for key in ("share", "quota_us", "period_us", "outside")}
        assert words == {"share": 0.05, "quota_us": 5_000, "period_us": 100_000, "outside": 0}
        group = _cpu_group(lab)
        assert str(pid) in (group / "cgroup.procs").read_text().split()
        before = evidence.detail["nr_throttled"]
        await eventually(lambda: _throttled(group) > before + 3, "stops in the kernel's counter")
        if controller.version == 1:
            assert (group / "cpu.cfs_quota_us").read_text().strip() == "5000"
            await lab.deployment.unthrottle_cpu(task)
            assert (group / "cpu.cfs_quota_us").read_text().strip() == "-1"
        else:
            assert (group / "cpu.max").read_text().split() == ["5000", "100000"]
            await lab.deployment.unthrottle_cpu(task)
            assert (group / "cpu.max").read_text().split()[0] == "max"
        again = await lab.deployment.throttle_cpu(task, 0.2)
        assert (again.holds, again.detail["quota_us"]) == (True, 20_000)
        assert _cpu_group(lab) == group

    _with_a_container(tmp_path, scenario)


@both
def test_all_processes_of_a_task_share_what_it_has_those_too_that_are_born_later(
    tmp_path: Path, memory_limit: str
) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        (word,) = await lab.line(task)
        assert (await lab.deployment.throttle_cpu(task, 0.2)).holds
        pids: set[int] = {pid, int(word)}

        def three() -> bool:
            pids.update(child.pid for child in psutil.Process(pid).children())
            return len(pids) == 3

        await eventually(three, "third process")
        assert await _share_used(pids, 2.0) < 0.4
        if not memory_limit:
            assert {str(one) for one in pids} <= set((_cpu_group(lab) / "cgroup.procs").read_text().split())

    _with_a_container(tmp_path, scenario, code=PAIR, memory_limit=memory_limit)


def test_without_a_group_both_states_are_seen_in_the_process_table(tmp_path: Path) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        evidence = await lab.deployment.throttle_cpu(task, 0.3)
        assert (evidence.holds, evidence.means) == (True, "duty-cycle")
        assert evidence.detail == {"share": 0.3, "running_us": 30_000, "stopped_us": 70_000}
        for _ in range(3):
            await _seen(pid, "T")
            await _seen(pid, "RS")
        await lab.deployment.unthrottle_cpu(task)
        assert _state(pid) in "RST"
        await _seen(pid, "RS")
        states = set()
        for _ in range(200):
            await asyncio.sleep(0.002)
            states.add(_state(pid))
        assert "T" not in states

    _with_a_container(tmp_path, scenario, memory_limit="rss-watch")


@both
def test_what_is_paused_stays_so_and_is_short_of_time_afterwards(tmp_path: Path, memory_limit: str) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        await lab.deployment.throttle_cpu(task, 0.5)
        assert (await lab.deployment.pause(task)).holds
        # Several turns of the cycle; the only proof of nothing is time.
        assert await _share_used({pid}, 0.5) == 0
        if memory_limit:
            assert _state(pid) == "T"
        await lab.deployment.unpause(task)
        before = sum(psutil.Process(pid).cpu_times()[:2])
        await eventually(lambda: sum(psutil.Process(pid).cpu_times()[:2]) > before, "process that goes on")
        assert await _share_used({pid}, 1.0) < 0.8
        await lab.deployment.pause(task)
        await lab.deployment.unthrottle_cpu(task)
        assert await _share_used({pid}, 0.3) == 0
        await lab.deployment.unpause(task)
        await _seen(pid, "RS")

    _with_a_container(tmp_path, scenario, memory_limit=memory_limit)


@both
def test_what_hangs_stays_so(tmp_path: Path, memory_limit: str) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        await lab.deployment.throttle_cpu(task, 0.5)
        await lab.deployment.signal_task(task, "SIGSTOP")
        await _seen(pid, "T")
        assert await _share_used({pid}, 0.5) == 0
        await lab.deployment.unthrottle_cpu(task)
        assert await _share_used({pid}, 0.3) == 0
        await lab.deployment.throttle_cpu(task, 0.5)
        await lab.deployment.signal_inside(task, "process_time", "SIGCONT")
        before = sum(psutil.Process(pid).cpu_times()[:2])
        await eventually(lambda: sum(psutil.Process(pid).cpu_times()[:2]) > before, "process that goes on")

    _with_a_container(tmp_path, scenario, memory_limit=memory_limit)


@both
def test_a_throttled_process_can_end_as_politely_as_any(tmp_path: Path, memory_limit: str) -> None:
    async def scenario(lab: Lab, task: str, _pid: int) -> None:
        # With so little it would need half a minute to end, and be killed after ten seconds.
        assert (await lab.deployment.throttle_cpu(task, 0.01)).holds
        await lab.deployment.stop()
        end = await lab.over(task)
        assert (end.state, end.exit_code) == ("shutdown", 0)

    _with_a_container(tmp_path, scenario, memory_limit=memory_limit)


@both
def test_one_that_hangs_and_is_throttled_is_killed_after_its_grace(tmp_path: Path, memory_limit: str) -> None:
    async def scenario(lab: Lab, task: str, pid: int) -> None:
        await lab.deployment.throttle_cpu(task, 0.2)
        await lab.deployment.signal_task(task, "SIGSTOP")
        await _seen(pid, "T")
        await lab.deployment.stop()
        assert (await lab.over(task)).exit_code == 137

    _with_a_container(tmp_path, scenario, memory_limit=memory_limit, grace=300 * MS)


@both
def test_a_crash_is_heard_of_and_the_replacement_is_not_throttled(tmp_path: Path, memory_limit: str) -> None:
    async def scenario(lab: Lab, task: str, _pid: int) -> None:
        assert (await lab.deployment.throttle_cpu(task, 0.02)).holds
        await lab.deployment.signal_task(task, "SIGKILL")
        end = await lab.over(task)
        assert (end.state, end.exit_code) == ("failed", 137)
        again = await lab.running(after=end.t)
        assert again.pid is not None
        used = psutil.Process(again.pid).cpu_times
        await eventually(lambda: sum(used()[:2]) > 0.5, "CPU time used freely")
        assert f"breakroom-{lab.deployment.engine_pid}-cpu" not in _groups_of(again.pid)
        await lab.deployment.unthrottle_cpu(task)

    _with_a_container(tmp_path, scenario, memory_limit=memory_limit)


@both
def test_throttled_processes_die_with_the_engine_and_no_group_is_left(
    tmp_path: Path, memory_limit: str
) -> None:
    engines = []

    async def scenario(lab: Lab, task: str, pid: int) -> None:
        await lab.deployment.throttle_cpu(task, 0.05)
        engines.append(lab.deployment.engine_pid)
        os.kill(engines[0], signal.SIGKILL)
        await eventually(lambda: not exists(pid), "end of the process")

    _with_a_container(tmp_path, scenario, memory_limit=memory_limit)
    assert controller is None or not list(controller.directory.glob(f"breakroom-{engines[0]}-*"))


@both
def test_the_limit_of_memory_holds_for_a_throttled_task(tmp_path: Path, memory_limit: str) -> None:
    async def scenario() -> None:
        spec = service(memory=96 << 20)
        async with deployed(tmp_path, spec, memory_limit=memory_limit) as lab:
            task = await lab.running()
            await lab.get()
            assert (await lab.deployment.throttle_cpu(task.task, 0.1)).holds
            await lab.record(TaskStats, lambda r: r.task == task.task and r.memory_bytes > 0, "sample")
            await lab.deployment.fill_memory(task.task, 128 << 20)
            assert (await lab.over(task.task)).oom_killed

    asyncio.run(scenario())


@both
def test_a_starved_service_is_late_and_its_health_is_still_probed(tmp_path: Path, memory_limit: str) -> None:
    check = Healthcheck(test=("HTTP", "/"), interval=50 * MS, timeout=10_000 * MS, retries=5)
    # Each answer costs 20 ms of CPU time: at 2 % of a core that is a second.
    code = SERVE.replace(
        "        with client:\n",
        "        with client:\n            t = os.times()\n"
        "            while sum(os.times()[:2]) < sum(t[:2]) + 0.02: pass\n",
    )

    async def scenario() -> None:
        async with deployed(tmp_path, service(code, healthcheck=check), memory_limit=memory_limit) as lab:
            task = await lab.running()
            await lab.get()
            evidence = await lab.deployment.throttle_cpu(task.task, 0.02)
            assert evidence.holds
            begun = asyncio.get_running_loop().time()
            for _ in range(2):
                await lab.get()
            # A lower bound: the answers need more CPU time than the task is given in less.
            assert asyncio.get_running_loop().time() - begun > 0.5
            await lab.record(HealthChanged, lambda r: r.t > evidence.t, "probe of the starved task")

    assert "os.times" in code
    asyncio.run(scenario())
