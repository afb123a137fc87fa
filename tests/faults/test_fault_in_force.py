"""Faults that stay in force, on the real local platform: written before, proved, taken back whatever happened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from breakroom.faults.base import FaultContext, FaultError, Injected, Undo
from breakroom.faults.memory import to_fill
from breakroom.faults.registry import inject
from breakroom.journal.records import ActionChanged, Record, UndoDone, UndoPlanned
from breakroom.spec.drill import (
    DrainStep,
    HangStep,
    KillStep,
    MemoryStep,
    NetworkStep,
    PartitionStep,
    PauseStep,
    Step,
)
from platforms_local.deployed import Lab, deployed, eventually, service

MIB = 1 << 20
SECOND = 1_000_000_000

Scenario = Callable[[Lab, FaultContext, list[Undo]], Awaitable[None]]


def _on_local(tmp_path: Path, scenario: Scenario, **spec: Any) -> Lab:
    """Deploy, wait until it serves, and give it with a fault context to the scenario."""

    async def main() -> Lab:
        async with deployed(tmp_path, service(memory=256 * MIB, **spec)) as lab:

            async def wait_for(
                matches: Callable[[Record], bool], *, since: int, within: int
            ) -> Record | None:
                def found() -> Record | None:
                    return next((r for r in lab.records if r.t >= since and matches(r)), None)

                with contextlib.suppress(AssertionError):
                    async with asyncio.timeout(within / 1e9):
                        await lab.until(lambda: found() is not None, "record")
                return found()

            await lab.running()
            await lab.get()
            kept: list[Undo] = []
            ctx = FaultContext(
                trial="drill/test/1",
                deployment=lab.deployment,
                emit=lab.emit,
                now=time.monotonic_ns,
                wait_for=wait_for,
                choose=random.Random(1),
                keep=kept.append,
                memory_of=lambda _task: 0,
                memory_limit=256 * MIB,
                longest=10 * SECOND,
                runs_as="service",
                releases=[],
                wanted=lambda: 3,
                want=lambda _replicas: None,
            )
            await scenario(lab, ctx, kept)
            return lab

    return asyncio.run(main())


def _stages(lab: Lab, action: str = "step-1") -> list[str]:
    return [r.stage for r in lab.records if isinstance(r, ActionChanged) and r.action == action]


def _undone(lab: Lab) -> UndoDone:
    return next(record for record in lab.records if isinstance(record, UndoDone))


STEPS = [
    PauseStep(lasts=SECOND),
    HangStep(lasts=SECOND),
    MemoryStep(fill=8 * MIB, lasts=SECOND),
    MemoryStep(fill_to=0.2, lasts=SECOND),
    NetworkStep(delay=1_000_000, lasts=SECOND),
    NetworkStep(tasks="all", rate=10**6, lasts=SECOND),
    PartitionStep(lasts=SECOND),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{type(step).__name__}-{step.tasks}")
def test_a_fault_is_planned_proved_and_taken_back(tmp_path: Path, step: Step) -> None:
    async def scenario(lab: Lab, ctx: FaultContext, kept: list[Undo]) -> None:
        injected = await inject(ctx, "step-1", step)
        assert injected.proved_t is not None
        (undo,) = kept
        assert undo.due is not None
        assert undo.due > injected.proved_t
        await undo.take_back()
        await undo.take_back()
        await lab.get()

    lab = _on_local(tmp_path, scenario)
    assert _stages(lab) == ["intended", "done", "proved", "undone"]
    kinds = [type(r) for r in lab.records if isinstance(r, UndoPlanned | UndoDone | ActionChanged)]
    assert kinds[0] is UndoPlanned
    assert kinds.count(UndoDone) == 1
    assert _undone(lab).ok
    planned = next(record for record in lab.records if isinstance(record, UndoPlanned))
    assert all(where["platform"] == "local" for where in planned.args["subjects"].values())


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{type(step).__name__}-{step.tasks}")
def test_a_target_that_died_meanwhile_does_not_fail_the_undo(tmp_path: Path, step: Step) -> None:
    async def scenario(lab: Lab, ctx: FaultContext, kept: list[Undo]) -> None:
        (before,) = await lab.deployment.tasks()
        assert before.pid is not None
        await inject(ctx, "step-1", step)
        os.kill(before.pid, signal.SIGKILL)
        end = await lab.over(before.id)
        await lab.running(after=end.t)
        await kept[0].take_back()
        await lab.get()

    lab = _on_local(tmp_path, scenario)
    assert _stages(lab)[-1] == "undone"
    assert _undone(lab).ok


def test_an_interruption_in_the_middle_of_the_act_is_taken_back(tmp_path: Path) -> None:
    async def scenario(lab: Lab, ctx: FaultContext, kept: list[Undo]) -> None:
        (task,) = await lab.deployment.tasks()

        acting: asyncio.Task[Injected] = asyncio.create_task(inject(ctx, "step-1", HangStep()))
        await lab.until(lambda: any(isinstance(record, UndoPlanned) for record in lab.records), "plan")
        acting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acting
        await kept[0].take_back()

        async def state() -> str:
            return await lab.deployment.process_state(task.id)

        deadline = time.monotonic() + 10
        while await state() == "T":
            assert time.monotonic() < deadline
        await lab.get()

    lab = _on_local(tmp_path, scenario)
    assert _undone(lab).ok


def test_after_the_engines_death_there_is_nothing_to_take_back(tmp_path: Path) -> None:
    async def scenario(lab: Lab, ctx: FaultContext, kept: list[Undo]) -> None:
        await inject(ctx, "step-1", PauseStep())
        assert kept[0].due is None
        pid = lab.deployment.engine_pid
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: any(getattr(r, "code", "") == "engine-died" for r in lab.records), "death")
        await kept[0].take_back()

    lab = _on_local(tmp_path, scenario)
    assert _undone(lab).ok


def test_all_replicas_can_be_hit(tmp_path: Path) -> None:
    async def scenario(lab: Lab, ctx: FaultContext, kept: list[Undo]) -> None:
        for slot in (2, 3):
            await lab.running(slot=slot)
        await inject(ctx, "step-1", HangStep(tasks="all"))
        states = [await lab.deployment.process_state(task.id) for task in await lab.deployment.tasks()]
        assert states == ["T"] * 3
        await kept[0].take_back()

    _on_local(tmp_path, scenario, replicas=3)


def test_a_kill_by_command_line_ends_the_process_that_matches(tmp_path: Path) -> None:
    async def scenario(lab: Lab, ctx: FaultContext, _kept: list[Undo]) -> None:
        injected = await inject(ctx, "step-1", KillStep(match="create_server"))
        assert injected.proved_t is not None
        with pytest.raises(FaultError, match="no process of"):
            await inject(ctx, "step-2", KillStep(match="nobody is called so"))

    lab = _on_local(tmp_path, scenario)
    assert _stages(lab) == ["intended", "done", "proved"]
    assert _stages(lab, "step-2")[-1] == "failed"


def test_what_the_platform_refuses_leaves_nothing_in_force(tmp_path: Path) -> None:
    async def scenario(_lab: Lab, ctx: FaultContext, _kept: list[Undo]) -> None:
        with pytest.raises(FaultError, match="netem"):
            await inject(ctx, "step-1", NetworkStep(corrupt=0.1))
        with pytest.raises(FaultError, match="one node"):
            await inject(ctx, "step-2", DrainStep(node="any"))
        with pytest.raises(FaultError, match="breakroom itself talks to"):
            await inject(ctx, "step-3", PartitionStep(node="any"))

    lab = _on_local(tmp_path, scenario)
    for action in ("step-1", "step-2"):
        assert _stages(lab, action) == ["intended", "failed", "undone"]
    assert not _stages(lab, "step-3")


def test_a_share_of_the_limit_counts_what_is_used_already() -> None:
    step = MemoryStep(fill_to=0.9)
    assert to_fill(step, used=20 * MIB, limit=100 * MIB) == 70 * MIB
    assert to_fill(MemoryStep(fill=5), used=None, limit=None) == 5
    with pytest.raises(FaultError, match="in use already"):
        to_fill(step, used=95 * MIB, limit=100 * MIB)
    with pytest.raises(FaultError, match="no limit"):
        to_fill(step, used=1, limit=None)
