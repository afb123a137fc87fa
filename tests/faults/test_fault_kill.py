"""The kill fault against real processes: what it writes, in which order, and when it must not claim an effect."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from breakroom.faults.base import FaultContext, FaultError, Injected
from breakroom.faults.kill import kill
from breakroom.journal.records import ActionChanged, Record, TaskChanged, UndoDone, UndoPlanned
from breakroom.platforms.base import Endpoint, TaskView
from breakroom.spec.drill import KillStep

TRIAL = "kill/test/1"
IDLE = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"


@dataclass
class ProcessDeployment:
    """Real child processes as tasks; their exits are reported when the kernel says so."""

    emit: Callable[[Record], None]
    endpoint: Endpoint = field(default_factory=lambda: Endpoint(host="127.0.0.1", port=1))
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    watchers: list[asyncio.Task[None]] = field(default_factory=list)

    async def add(self, task: str, code: str = IDLE, *, ready: bool = False) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
        )
        if ready:
            assert process.stdout is not None
            await process.stdout.readline()
        self.processes[task] = process
        self.watchers.append(asyncio.ensure_future(self._watch(task, process)))

    async def _watch(self, task: str, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self.emit(
            TaskChanged(
                t=time.monotonic_ns(),
                trial=TRIAL,
                task=task,
                service="web",
                slot=1,
                node="n",
                state="failed",
                desired="running",
                exit_code=code if code >= 0 else 128 - code,
                signal=-code if code < 0 else None,
            )
        )

    async def tasks(self) -> list[TaskView]:
        return [
            TaskView(
                id=task,
                slot=slot,
                node="n",
                state="running",
                desired="running",
                in_rotation=True,
                healthy=None,
                pid=process.pid,
                version=1,
            )
            for slot, (task, process) in enumerate(self.processes.items(), start=1)
            if process.returncode is None
        ]

    async def signal_task(self, task: str, signal: str) -> None:
        number = getattr(__import__("signal"), signal)
        self.processes[task].send_signal(number)

    async def close(self) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*self.watchers)


def _play(
    scenario: Callable[[ProcessDeployment, FaultContext], asyncio.Future[Injected] | object], seed: int = 1
) -> tuple[Injected, list[Record]]:
    records: list[Record] = []

    async def wait_for(matches: Callable[[Record], bool], *, since: int, within: int) -> Record | None:
        deadline = time.monotonic_ns() + min(within, 300_000_000)
        while time.monotonic_ns() < deadline:
            for record in records:
                if record.t >= since and matches(record):
                    return record
            await asyncio.sleep(0.001)
        return None

    async def main() -> Injected:
        deployment = ProcessDeployment(records.append)
        ctx = FaultContext(
            trial=TRIAL,
            deployment=deployment,  # type: ignore[arg-type]  # only what the fault uses of a deployment
            emit=records.append,
            now=time.monotonic_ns,
            wait_for=wait_for,
            choose=random.Random(seed),
            keep=lambda _undo: None,
            memory_of=lambda _task: None,
            memory_limit=None,
            longest=10**10,
            runs_as="service",
            releases=[],
            wanted=lambda: 3,
            want=lambda _replicas: None,
        )
        try:
            return await scenario(deployment, ctx)  # type: ignore[misc,no-any-return]  # a coroutine function
        finally:
            await deployment.close()

    return asyncio.run(main()), records


def test_a_killed_process_is_proved_dead_by_its_exit_and_the_undo_is_written_first() -> None:
    async def scenario(deployment: ProcessDeployment, ctx: FaultContext) -> Injected:
        await deployment.add("a")
        return await kill(ctx, "step-1", KillStep())

    injected, records = _play(scenario)
    assert injected.proved_t is not None
    kinds = [type(record) for record in records]
    assert kinds[0] is UndoPlanned
    assert kinds.count(UndoDone) == 1
    actions = [record for record in records if isinstance(record, ActionChanged)]
    assert [action.stage for action in actions] == ["intended", "done", "proved"]
    exits = [record for record in records if isinstance(record, TaskChanged)]
    assert exits[0].signal == signal.SIGKILL
    assert actions[-1].proved_t == exits[0].t


def test_a_process_that_ignores_the_signal_leaves_the_fault_unproved() -> None:
    async def scenario(deployment: ProcessDeployment, ctx: FaultContext) -> Injected:
        await deployment.add("a", DEAF, ready=True)
        return await kill(ctx, "step-1", KillStep(signal="SIGTERM"))

    injected, records = _play(scenario)
    assert injected.proved_t is None
    assert [record.stage for record in records if isinstance(record, ActionChanged)][-1] == "unproved"


def test_as_many_replicas_die_as_the_step_asks_for() -> None:
    async def scenario(deployment: ProcessDeployment, ctx: FaultContext) -> Injected:
        for name in "abc":
            await deployment.add(name)
        return await kill(ctx, "step-1", KillStep(tasks=2))

    _, records = _play(scenario)
    done = next(r for r in records if isinstance(r, ActionChanged) and r.stage == "proved")
    assert len(set(done.tasks)) == 2
    assert done.detail["exit_codes"] == [137, 137]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_seed_always_chooses_the_same_replica(seed: int) -> None:
    async def scenario(deployment: ProcessDeployment, ctx: FaultContext) -> Injected:
        for name in "abc":
            await deployment.add(name)
        return await kill(ctx, "step-1", KillStep())

    chosen = []
    for _ in range(2):
        _, records = _play(scenario, seed)
        chosen.append(next(r.tasks for r in records if isinstance(r, ActionChanged)))
    assert chosen[0] == chosen[1]


def test_without_a_replica_in_rotation_nothing_is_injected() -> None:
    async def scenario(_deployment: ProcessDeployment, ctx: FaultContext) -> Injected:
        return await kill(ctx, "step-1", KillStep())

    with pytest.raises(FaultError, match="nothing to kill"):
        _play(scenario)
