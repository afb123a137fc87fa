"""Plain containers: what the container engine's own restart policies do, and what they do not."""

# ruff: noqa: E501  # a row of the contract reads as a row of a table

from __future__ import annotations

from itertools import pairwise

from breakroom.journal.records import HealthChanged
from contract.program import check, service
from contract.rows import CONTAINERS, row, scenario
from contract.scene import SLACK, Scene, seconds

__all__: list[str] = []

MIB = 1 << 20
# Fills its memory until it is killed.
FILL = "import os, time\nhold = []\nwhile True:\n    hold.append(os.urandom(1 << 20)); time.sleep(0.001)\n"


def starts(scene: Scene) -> int:
    """How often the container was started."""
    return len(scene.tasks())


@scenario(
    row("backoff-first", "The first restart comes after 100 ms", "M restartmanager.go defaultTimeout"),
    row("backoff-doubles", "… each later one after twice as long, while runs are shorter than 10 s", "M restartmanager.go ShouldRestart"),
    on=CONTAINERS,
)  # fmt: skip
async def always(scene: Scene) -> None:
    async with scene.deployed(service("always", restart="always", EXIT_AFTER="0.4"), "container"):
        await scene.until(lambda: starts(scene) >= 6, "sixth start")
        await scene.running(beside=tuple(scene.tasks()[:5]))
        tasks = scene.tasks()[:6]
        gaps = []
        for before, after in pairwise(tasks):
            ended = await scene.over(before)
            running = await scene.running(beside=tuple(t for t in scene.tasks() if t != after))
            gaps.append(seconds(running, ended))
        with scene.row("backoff-first"):
            assert 0.09 <= gaps[0] <= SLACK, gaps
        with scene.row("backoff-doubles"):
            # 0.1, 0.2, 0.4, 0.8, 1.6 s, and each the time of a container's start on top.
            assert all(gap >= 0.095 * 2**n for n, gap in enumerate(gaps)), gaps
            assert gaps[-1] <= 1.6 + SLACK, gaps


@scenario(
    row("always-crash", "restart always: a container that crashed is started again, as a new task of slot 1", "M restartmanager"),
    row("always-exit-code", "… the dead one is failed, with exit code 137", "M daemon/monitor.go"),
    row("api-kill-container", "A container killed through the API is not started again: it was wanted so", "M daemon/kill.go"),
    row("operator-start", "A person's `docker start` starts it again", "M daemon/start.go"),
    row("api-stop-container", "A container stopped through the API is not started again either", "M daemon/stop.go"),
    on=CONTAINERS,
)  # fmt: skip
async def always_crash(scene: Scene) -> None:
    async with scene.deployed(service("alwayscrash", restart="always"), "container"):
        first = await scene.running()
        await scene.deployment.signal_task(first.task, "SIGKILL")
        ended = await scene.over(first.task)
        with scene.row("always-exit-code"):
            assert (ended.state, ended.exit_code) == ("failed", 137)
        second = await scene.running(beside=(first.task,))
        with scene.row("always-crash"):
            assert second.slot == first.slot == 1
        await scene.deployment.kill_through_api(task=second.task)
        await scene.over(second.task)
        with scene.row("api-kill-container"):
            assert await scene.nothing_new(2.5, lambda: starts(scene))
        await scene.deployment.start()
        with scene.row("operator-start"):
            third = await scene.running(beside=(first.task, second.task))
        await scene.deployment.stop()
        await scene.over(third.task)
        with scene.row("api-stop-container"):
            assert await scene.nothing_new(2.5, lambda: starts(scene))


@scenario(
    row("no-restart", "restart no: a container that exits stays so", "M restartmanager"),
    on=CONTAINERS,
)  # fmt: skip
async def no_restart(scene: Scene) -> None:
    async with scene.deployed(service("norestart", EXIT_AFTER="0.3", EXIT_CODE="3"), "container"):
        ended = await scene.over((await scene.running()).task)
        with scene.row("no-restart"):
            assert (ended.state, ended.exit_code) == ("failed", 3)
            assert await scene.nothing_new(2, lambda: starts(scene))


@scenario(
    row("unless-stopped", "restart unless-stopped: an exit with 0 is followed by a start, too", "M restartmanager"),
    on=CONTAINERS,
)  # fmt: skip
async def unless_stopped(scene: Scene) -> None:
    spec = service("unlessstopped", restart="unless-stopped", EXIT_AFTER="0.3", EXIT_CODE="0")
    async with scene.deployed(spec, "container"):
        ended = await scene.over((await scene.running()).task)
        with scene.row("unless-stopped"):
            assert (ended.state, ended.exit_code) == ("complete", 0)
            await scene.until(lambda: starts(scene) >= 2, "second start")


@scenario(
    row("on-failure-limit", "restart on-failure:2: two starts more, then none", "M restartmanager"),
    on=CONTAINERS,
)  # fmt: skip
async def on_failure_limit(scene: Scene) -> None:
    spec = service("onfailure2", restart="on-failure:2", EXIT_AFTER="0.3", EXIT_CODE="3")
    async with scene.deployed(spec, "container"):
        await scene.until(lambda: starts(scene) >= 3, "third start")
        await scene.over(scene.tasks()[2])
        with scene.row("on-failure-limit"):
            assert await scene.nothing_new(3, lambda: starts(scene))
            assert starts(scene) == 3


@scenario(
    row("on-failure-zero", "restart on-failure: an exit with 0 is left alone", "M restartmanager"),
    on=CONTAINERS,
)  # fmt: skip
async def on_failure_zero(scene: Scene) -> None:
    spec = service("onfailure0", restart="on-failure", EXIT_AFTER="0.3", EXIT_CODE="0")
    async with scene.deployed(spec, "container"):
        await scene.over((await scene.running()).task)
        with scene.row("on-failure-zero"):
            assert await scene.nothing_new(2, lambda: starts(scene))


@scenario(
    row("unhealthy-container", "An unhealthy container is never restarted: it runs on, unhealthy", "moby#28400"),
    row("unhealthy-published", "… and its port is still published", "M daemon/health.go"),
    on=CONTAINERS,
)  # fmt: skip
async def unhealthy_container(scene: Scene) -> None:
    spec = service("illcontainer", restart="always", healthcheck=check(start_period=30))
    async with scene.deployed(spec, "container"):
        first = await scene.running()
        # It runs before it listens to signals; its health says that it does.
        await scene.record(HealthChanged, lambda r: r.status == "healthy", "healthy container")
        await scene.deployment.signal_task(first.task, "SIGUSR1")
        await scene.record(
            HealthChanged, lambda r: r.task == first.task and r.status == "unhealthy", "unhealthy container"
        )
        with scene.row("unhealthy-container"):
            assert await scene.nothing_new(3, lambda: starts(scene))
            assert scene.last(first.task).state == "running"
        with scene.row("unhealthy-published"):
            [view] = [view for view in await scene.views() if view.id == first.task]
            assert view.in_rotation


@scenario(
    row("oom-137", "A container above its memory limit is killed: exit code 137", "the kernel"),
    row("oom-killed", "… and said to be killed for its memory", "M State.OOMKilled"),
    on=CONTAINERS,
)  # fmt: skip
async def oom(scene: Scene) -> None:
    spec = service("oom", memory=48 * MIB, command=("python3", "-I", "-S", "-c", FILL))
    async with scene.deployed(spec, "container"):
        ended = await scene.over((await scene.running()).task)
        with scene.row("oom-137"):
            assert ended.exit_code == 137
        with scene.row("oom-killed"):
            assert ended.oom_killed
