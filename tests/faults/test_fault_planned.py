"""Planned acts and what the load brings about, on the real local platform: scaling, releases, illness, memory."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from breakroom.faults.base import FaultContext, FaultError, Injected
from breakroom.faults.registry import inject
from breakroom.journal.records import ActionChanged, Record, UndoDone, UndoPlanned, UpdateChanged
from breakroom.spec.drill import CpuStep, OomStep, RequestStep, RollbackStep, ScaleStep, Step, UpdateStep
from platforms_local.deployed import Lab, deployed, service

MIB = 1 << 20
SECOND = 1_000_000_000

Scenario = Callable[[Lab, FaultContext], Awaitable[None]]


def _on_local(
    tmp_path: Path, scenario: Scenario, *, runs_as: Literal["container", "service"] = "service", **spec: Any
) -> Lab:
    async def main() -> Lab:
        wanted = service(**spec)
        async with deployed(tmp_path, wanted, runs_as=runs_as) as lab:

            async def wait_for(
                matches: Callable[[Record], bool], *, since: int, within: int
            ) -> Record | None:
                def found() -> Record | None:
                    return next((r for r in lab.records if r.t >= since and matches(r)), None)

                with contextlib.suppress(AssertionError, TimeoutError):
                    async with asyncio.timeout(within / 1e9):
                        await lab.until(lambda: found() is not None, "record")
                return found()

            await lab.running()
            await lab.get()
            number = [wanted.deploy.replicas if runs_as == "service" else 1]
            ctx = FaultContext(
                trial="drill/test/1",
                deployment=lab.deployment,
                emit=lab.emit,
                now=time.monotonic_ns,
                wait_for=wait_for,
                choose=random.Random(1),
                keep=lambda _undo: None,
                memory_of=lambda _task: 0,
                memory_limit=64 * MIB,
                longest=10 * SECOND,
                runs_as=runs_as,
                releases=[wanted],
                wanted=lambda: number[0],
                want=lambda replicas: number.__setitem__(0, replicas),
            )
            await scenario(lab, ctx)
            return lab

    return asyncio.run(main())


def _stages(lab: Lab, action: str = "step-1") -> list[str]:
    return [r.stage for r in lab.records if isinstance(r, ActionChanged) and r.action == action]


def _play(step: Step, found: list[Injected]) -> Scenario:
    async def scenario(_lab: Lab, ctx: FaultContext) -> None:
        found.append(await inject(ctx, "step-1", step))

    return scenario


@pytest.mark.parametrize("replicas", [1, 3])
def test_scaling_is_proved_by_the_first_task_that_comes_or_goes(tmp_path: Path, replicas: int) -> None:
    found: list[Injected] = []

    async def scenario(lab: Lab, ctx: FaultContext) -> None:
        await lab.running(slot=2)
        found.append(await inject(ctx, "step-1", ScaleStep(replicas=replicas)))
        assert ctx.wanted() == replicas

    lab = _on_local(tmp_path, scenario, replicas=2)
    assert _stages(lab) == ["intended", "done", "proved"]
    assert found[0].proved_t is not None
    kinds = [type(r) for r in lab.records if isinstance(r, UndoPlanned | UndoDone | ActionChanged)]
    assert kinds[0] is UndoPlanned


def test_a_single_container_cannot_be_scaled_and_that_is_no_lack_of_proof(tmp_path: Path) -> None:
    found: list[Injected] = []
    lab = _on_local(tmp_path, _play(ScaleStep(replicas=6), found), runs_as="container")
    assert _stages(lab) == ["inapplicable"]
    assert found[0].proved_t is not None


def test_scaling_to_the_number_that_is_there_is_refused(tmp_path: Path) -> None:
    async def scenario(_lab: Lab, ctx: FaultContext) -> None:
        with pytest.raises(FaultError) as caught:
            await inject(ctx, "step-1", ScaleStep(replicas=1))
        assert caught.value.code == "no-change"

    _on_local(tmp_path, scenario)


@pytest.mark.parametrize("runs_as", ["container", "service"])
def test_a_release_is_brought_out_and_taken_back(
    tmp_path: Path, runs_as: Literal["container", "service"]
) -> None:
    async def scenario(lab: Lab, ctx: FaultContext) -> None:
        injected = await inject(ctx, "step-1", UpdateStep(environment={"APP": "two"}))
        assert injected.proved_t is not None
        new = await lab.running(version=2)
        assert ctx.releases[-1].environment["APP"] == "two"
        await inject(ctx, "step-2", RollbackStep())
        await lab.running(after=new.t, version=3 if runs_as == "container" else 1)
        assert ctx.releases[-1].environment == ctx.releases[0].environment

    lab = _on_local(tmp_path, scenario, runs_as=runs_as, environment={"APP": "one"})
    assert _stages(lab) == _stages(lab, "step-2") == ["intended", "done", "proved"]
    updates = [r.state for r in lab.records if isinstance(r, UpdateChanged)]
    assert ("updating" in updates) == (runs_as == "service")


def test_without_an_update_there_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    async def scenario(_lab: Lab, ctx: FaultContext) -> None:
        with pytest.raises(FaultError) as caught:
            await inject(ctx, "step-1", RollbackStep())
        assert caught.value.code == "no-release"

    _on_local(tmp_path, scenario)


def test_an_illness_is_proved_by_how_the_replica_then_answers(tmp_path: Path) -> None:
    found: list[Injected] = []
    step = RequestStep(method="GET", path="/", proof_path="/sick", proof_status=503)
    lab = _on_local(tmp_path, _play(step, found))
    assert _stages(lab) == ["intended", "done", "proved"]
    assert found[0].proved_t is not None


def test_a_replica_that_answers_as_before_is_not_proved_ill(tmp_path: Path) -> None:
    found: list[Injected] = []
    step = RequestStep(method="GET", path="/", proof_path="/", proof_status=503)
    lab = _on_local(tmp_path, _play(step, found))
    assert _stages(lab)[-1] == "unproved"
    assert found[0].proved_t is None


def test_a_request_that_is_answered_with_an_error_is_no_illness(tmp_path: Path) -> None:
    async def scenario(_lab: Lab, ctx: FaultContext) -> None:
        with pytest.raises(FaultError) as caught:
            await inject(ctx, "step-1", RequestStep(method="GET", path="/sick"))
        assert "503" in str(caught.value)

    lab = _on_local(tmp_path, scenario)
    assert _stages(lab) == ["intended", "failed"]


def test_less_processor_time_is_proved_and_given_back(tmp_path: Path) -> None:
    found: list[Injected] = []
    lab = _on_local(tmp_path, _play(CpuStep(share=0.2, lasts=SECOND), found))
    assert _stages(lab) == ["intended", "done", "proved"]
    assert found[0].proved_t is not None


def test_a_kill_at_the_memory_limit_is_proved_by_the_platform_and_the_kernel(tmp_path: Path) -> None:
    found: list[Injected] = []

    async def scenario(lab: Lab, ctx: FaultContext) -> None:
        (task,) = await lab.deployment.tasks()
        waiting = asyncio.ensure_future(inject(ctx, "step-1", OomStep(within=20 * SECOND)))
        await lab.until(lambda: _stages(lab) == ["intended"], "the fault to wait")
        for _ in range(60):
            with contextlib.suppress(Exception):
                await lab.deployment.request_task(task.id, "GET", "/")
            if waiting.done():
                break
        found.append(await waiting)

    leak = {"LEAK_BYTES": str(2 * MIB)}
    lab = _on_local(tmp_path, scenario, image="memory-leak-app:latest", memory=48 * MIB, environment=leak)
    assert _stages(lab) == ["intended", "done", "proved"]
    proved = next(r for r in lab.records if isinstance(r, ActionChanged) and r.stage == "proved")
    assert proved.proved_t == found[0].proved_t
    before, after = proved.detail["oom_kills_before"], proved.detail["oom_kills_after"]
    assert (before is None) == (after is None)
    assert before is None or after > before


def test_a_memory_limit_that_is_never_reached_leaves_the_fault_unproved(tmp_path: Path) -> None:
    found: list[Injected] = []
    lab = _on_local(tmp_path, _play(OomStep(within=200_000_000), found))
    assert _stages(lab) == ["intended", "unproved"]
    assert found[0].proved_t is None
