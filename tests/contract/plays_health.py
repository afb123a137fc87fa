"""Health: what it gates, and what becomes of a task that loses it."""

# ruff: noqa: E501  # a row of the contract reads as a row of a table

from __future__ import annotations

import time
from typing import Literal

from contract.program import S, check, service
from contract.rows import row, scenario
from contract.scene import SLACK, Scene, seconds

__all__: list[str] = []

UNHEALTHY = "task: non-zero exit (143): dockerexec: unhealthy container"


@scenario(
    row("health-gates", "With a healthcheck a task stays starting until its first success; only then it runs", "M executor/container/controller.go Start"),
)  # fmt: skip
async def health_gate(scene: Scene) -> None:
    async with scene.deployed(
        service("gate", healthcheck=check(retries=30), HEALTHY_AFTER="2.5", TERM_CODE="143")
    ):
        running = await scene.running()
        with scene.row("health-gates"):
            starting = scene.first(running.task, "starting")
            assert starting is not None, "never seen starting"
            took = seconds(running, starting)
            assert 2.3 <= took <= 2.5 + SLACK, f"{took:.2f} s of starting"


@scenario(
    row("health-first-probe", "The first probe comes one interval after the start", "M daemon/health.go"),
)  # fmt: skip
async def first_probe(scene: Scene) -> None:
    async with scene.deployed(service("probe", healthcheck=check(interval=2.0))):
        running = await scene.running()
        with scene.row("health-first-probe"):
            starting = scene.first(running.task, "starting")
            assert starting is not None
            took = seconds(running, starting)
            assert 1.9 <= took <= 2 + SLACK, f"{took:.2f} s"


@scenario(
    row("unhealthy-failed", "An unhealthy task is stopped: failed, `task: non-zero exit (143): dockerexec: unhealthy container`", "M executor/container/controller.go Wait"),
    row("unhealthy-exit-code", "Its exit code is what it answered SIGTERM with", "M executor/container/controller.go Wait"),
    row("unhealthy-drain", "The stop signal comes 2 s after the failing probe", "M defaultGossipConvergeDelay"),
    row("unhealthy-replaced", "… and replaced like any failed task", "SK orchestrator/restart"),
)  # fmt: skip
async def unhealthy(scene: Scene) -> None:
    interval, retries = 0.6, 2
    async with scene.deployed(
        service(
            "ill", healthcheck=check(interval=interval, retries=retries, start_period=30), TERM_CODE="143"
        )
    ):
        well = await scene.running()
        asked = time.monotonic_ns()
        await scene.deployment.signal_task(well.task, "SIGUSR1")
        ended = await scene.over(well.task)
        with scene.row("unhealthy-failed"):
            assert (ended.state, ended.error) == ("failed", UNHEALTHY)
        with scene.row("unhealthy-exit-code"):
            assert ended.exit_code == 143
        with scene.row("unhealthy-drain"):
            # The second probe that fails comes one interval after the first at the earliest, then the 2 s begin.
            took = (ended.t - asked) / S
            assert interval + 1.9 <= took <= 4 + SLACK, f"{took:.2f} s"
        with scene.row("unhealthy-replaced"):
            await scene.running(beside=(well.task,))


async def trap(scene: Scene, condition: Literal["any", "on-failure"], term: str) -> tuple[str, str, bool]:
    """What a task comes to that exits with `term` when it is stopped for its health; whether it is replaced."""
    name = f"trap{condition.replace('-', '')}{term}"
    async with scene.deployed(
        service(name, condition=condition, healthcheck=check(start_period=30), TERM_CODE=term, delay=0.1)
    ):
        well = await scene.running()
        await scene.deployment.signal_task(well.task, "SIGUSR1")
        ended = await scene.over(well.task)
        replaced = not await scene.nothing_new(2.5, lambda: len(scene.tasks())) or len(scene.tasks()) > 1
        return ended.state, ended.error, replaced


@scenario(
    row("trap-complete", "An unhealthy task that exits 0 on its SIGTERM is complete, without an error", "M executor/container/controller.go Wait"),
    row("trap-on-failure", "… and condition on-failure does not replace it: the trap", "SK orchestrator/restart"),
)  # fmt: skip
async def trap_on_failure(scene: Scene) -> None:
    state, error, replaced = await trap(scene, "on-failure", "0")
    with scene.row("trap-complete"):
        assert (state, error) == ("complete", "")
    with scene.row("trap-on-failure"):
        assert not replaced


@scenario(
    row("trap-any", "Condition any replaces it", "SK orchestrator/restart"),
)  # fmt: skip
async def trap_any(scene: Scene) -> None:
    state, _, replaced = await trap(scene, "any", "0")
    with scene.row("trap-any"):
        assert state == "complete"
        assert replaced


@scenario(
    row("never-healthy", "A task that never gets healthy never runs; it is failed and replaced", "M executor/container/controller.go Start"),
    row("never-healthy-error", "Its error says why", "M executor/container/controller.go Start"),
)  # fmt: skip
async def never_healthy(scene: Scene) -> None:
    async with scene.deployed(
        service("sickly", healthcheck=check(), HEALTHY_AFTER="1000", TERM_CODE="143", delay=0.1)
    ):
        first = await scene.until_task()
        ended = await scene.over(first.task)
        with scene.row("never-healthy"):
            assert scene.first(first.task, "running") is None
            assert ended.state == "failed"
            await scene.until(lambda: len(scene.tasks()) > 1, "replacement")
        with scene.row("never-healthy-error"):
            assert ended.error == UNHEALTHY, (ended.error, ended.message, ended.exit_code)


@scenario(
    row("dies-while-starting", "A task that dies before it is healthy is failed with its exit code", "M executor/container/controller.go Start"),
)  # fmt: skip
async def dies_while_starting(scene: Scene) -> None:
    async with scene.deployed(
        service("early", healthcheck=check(interval=5), EXIT_AFTER="0.5", EXIT_CODE="4", delay=30)
    ):
        ended = await scene.over((await scene.until_task()).task)
        with scene.row("dies-while-starting"):
            assert (ended.state, ended.error) == ("failed", "task: non-zero exit (4)"), (
                ended.state,
                ended.error,
                ended.message,
            )


@scenario(
    row("complete-while-starting", "A task that exits 0 before it is healthy: what it comes to", "M executor/container/controller.go Start"),
)  # fmt: skip
async def completes_while_starting(scene: Scene) -> None:
    async with scene.deployed(
        service("early0", healthcheck=check(interval=5), EXIT_AFTER="0.5", EXIT_CODE="0", delay=30)
    ):
        ended = await scene.over((await scene.until_task()).task)
        with scene.row("complete-while-starting"):
            assert (ended.state, ended.error) == ("complete", ""), (ended.state, ended.error, ended.message)
