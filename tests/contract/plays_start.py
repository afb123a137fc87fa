"""Starting, slots, scaling, and the texts a user reads."""

# ruff: noqa: E501  # a row of the contract reads as a row of a table

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from breakroom.engine.core.model import TaskState
from breakroom.platforms.base import PlatformError
from breakroom.spec.service import ServiceSpec
from contract.program import service
from contract.rows import FRONTED, row, scenario
from contract.scene import Scene
from docker_lab.base_image import BASE_IMAGE

__all__: list[str] = []

PS_COLUMNS = ["ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS"]


def columns(table: str) -> list[str]:
    """The headers of a docker/cli table, which stand three or more spaces apart."""
    return re.split(r"\s{3,}", table.splitlines()[0].strip())


@scenario(
    row("start-forward", "A task's observed state only moves forward, up to running", "SK api/types.proto"),
    row("start-message", "A running task's message is `started`", "SK agent/exec/controller.go"),
    row("slots-numbered", "Replicas have slots 1, 2, 3, …; each task is desired running", "SK orchestrator/replicated"),
    row("scale-up-lowest", "Scaling up fills the lowest free slot numbers", "SK orchestrator/replicated/slot.go"),
    row("scale-down-highest", "On one node, scaling down takes the highest slots", "SK orchestrator/replicated/services.go"),
    row("scale-keeps-others", "Scaling leaves the tasks that stay as they are", "SK orchestrator/replicated/services.go"),
    row("ps-columns", "`service ps` has docker/cli's eight columns", "CLI formatter/task.go"),
    row("ps-since", "`service ps` says how long: `Running 2 seconds ago`", "CLI formatter/task.go"),
)  # fmt: skip
async def start_and_scale(scene: Scene) -> None:
    async with scene.deployed(service("scale", replicas=2)):
        first, second = await scene.all_running(2)
        with scene.row("slots-numbered"):
            views = [view for view in await scene.views() if view.state == "running"]
            assert sorted(view.slot for view in views) == [1, 2]
            assert {view.desired for view in views} == {"running"}
        with scene.row("start-message"):
            assert {first.message, second.message} == {"started"}
        with scene.row("ps-columns"):
            assert columns(await scene.deployment.overview()) == PS_COLUMNS
        with scene.row("ps-since"):
            lines = (await scene.deployment.overview()).splitlines()[1:]
            since = r"Running\s+Running (less than a second|1 second|\d+ seconds) ago"
            assert all(re.search(since, line) for line in lines), lines
        await scene.deployment.scale(4)
        await scene.all_running(4)
        with scene.row("scale-up-lowest"):
            assert sorted({view.slot for view in await scene.views() if view.desired == "running"}) == [
                1,
                2,
                3,
                4,
            ]
        await scene.deployment.scale(1)
        gone = [task for slot in (2, 3, 4) for task in scene.tasks(slot)]
        for task in gone:
            await scene.unwanted(task)
        with scene.row("scale-down-highest"):
            assert {view.slot for view in await scene.views() if view.desired == "running"} == {1}
        with scene.row("scale-keeps-others"):
            assert scene.tasks(1) == [first.task]
            assert scene.last(first.task).state == "running"
        with scene.row("start-forward"):
            for task in scene.tasks():
                states = [TaskState[change.state.upper()] for change in scene.changes(task)]
                assert states == sorted(states), (task, [state.word for state in states])


@scenario(
    row("scale-down-running", "Scaling down gives up a slot that does not run before one that does", "SK orchestrator/slotsByRunningState"),
    row("scale-up-hole", "Scaling up fills the hole that this left", "SK orchestrator/replicated/slot.go"),
)  # fmt: skip
async def scale_with_a_hole(scene: Scene) -> None:
    async with scene.deployed(service("hole", replicas=3, delay=25)):
        one, two, three = await scene.all_running(3)
        await scene.deployment.signal_task(one.task, "SIGKILL")
        await scene.over(one.task)
        await scene.until(lambda: len(scene.tasks(1)) == 2, "replacement in slot 1")
        await scene.deployment.scale(2)
        await scene.unwanted(scene.tasks(1)[-1])
        with scene.row("scale-down-running"):
            assert scene.last(two.task).desired == scene.last(three.task).desired == "running"
        await scene.deployment.scale(3)
        with scene.row("scale-up-hole"):
            again = await scene.running(slot=1, beside=(one.task,))
            assert again.slot == 1


@scenario(
    row("image-missing", "An image that is not there is refused before anything is created, with a way out", "breakroom: Swarm itself accepts it and retries for ever"),
    on=FRONTED,
)  # fmt: skip
async def missing_image(scene: Scene) -> None:
    code = hint = ""
    try:
        async with scene.deployed(replace(service("noimage"), image="no-such-image:1", command=())):
            pass
    except PlatformError as error:
        code, hint = error.code, error.hint
    with scene.row("image-missing"):
        assert code in {"image-unknown", "image-missing"}, code or "it was deployed"
        assert hint


@scenario(
    row("rejected", "A task that cannot be prepared (its image is gone) is rejected, `preparing`, without having been started", "SK agent/exec/controller.go"),
    row("rejected-error", "… with the reason as its error; Swarm: `No such image: …`", "M executor/container/adapter.go"),
    row("rejected-retried", "… and is replaced after the delay, again and again", "SK orchestrator/restart"),
)  # fmt: skip
async def vanished_image(scene: Scene) -> None:
    spec, vanish = await _vanishing(scene)
    async with scene.deployed(replace(spec, deploy=service("vanish", delay=0.5).deploy)):
        first = await scene.running()
        await vanish()
        await scene.deployment.signal_task(first.task, "SIGKILL")
        await scene.over(first.task)
        await scene.until(lambda: len(scene.tasks()) >= 2, "replacement")
        second = await scene.over(scene.tasks()[1])
        with scene.row("rejected"):
            assert (second.state, second.message) == ("rejected", "preparing")
            states = {change.state for change in scene.changes(second.task)}
            assert not states & {"starting", "running"}, states
        with scene.row("rejected-error"):
            expected = "no such program" if scene.platform == "local" else "No such image: contract-vanish:1"
            assert second.error.startswith(expected), second.error
        with scene.row("rejected-retried"):
            await scene.until(lambda: len(scene.tasks()) >= 4, "fourth task")


@scenario(
    row("start-failed", "A program that cannot be executed: the task is failed, `starting`, and never ran", "M executor/container/controller.go Start"),
    row("start-failed-error", "… with the error `starting container failed: …`", "M executor/container/controller.go Start"),
)  # fmt: skip
async def broken_command(scene: Scene) -> None:
    program = "/no/such/program"
    if scene.platform == "local":
        # `local` looks for the program before it deploys; what it cannot see is that the interpreter is missing.
        program = str(_script(scene, "broken", "/no/such/interpreter"))
    async with scene.deployed(service("nocmd", command=(program,), delay=30)):
        ended = await scene.over((await scene.until_task()).task)
        with scene.row("start-failed"):
            assert (ended.state, ended.message) == ("failed", "starting")
            assert scene.first(ended.task, "running") is None
        with scene.row("start-failed-error"):
            assert ended.error.startswith("starting container failed: "), ended.error


async def _vanishing(scene: Scene) -> tuple[ServiceSpec, Callable[[], Awaitable[None]]]:
    """A service, and a way to take away what its tasks are made from."""
    spec = service("vanish")
    if scene.platform == "local":
        # The shell must have read its script before that goes; so it says that it has.
        begun = scene.directory / "vanish-begun"
        script = _script(scene, "vanish", shutil.which("sleep") or "", "1000", first=f": >'{begun}'")

        async def vanish() -> None:
            await scene.until(begun.exists, "the script's beginning")
            script.unlink()

        return replace(spec, command=(str(script),)), vanish
    await _docker("tag", BASE_IMAGE, "contract-vanish:1")

    async def untag() -> None:
        await _docker("rmi", "--force", "contract-vanish:1")

    return replace(spec, image="contract-vanish:1"), untag


def _script(scene: Scene, name: str, interpreter: str, argument: str = "", first: str = ":") -> Path:
    script = scene.directory / name
    script.write_text(
        f"#!/bin/sh\n{first}\nexec {interpreter} {argument}\n" if argument else f"#!{interpreter}\n"
    )
    script.chmod(0o755)
    return script


async def _docker(*words: str) -> None:
    process = await asyncio.create_subprocess_exec("docker", *words, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0, words
