"""How tasks end, and what the restart policy makes of it."""

# ruff: noqa: E501  # a row of the contract reads as a row of a table

from __future__ import annotations

from contract.program import service
from contract.rows import row, scenario
from contract.scene import SLACK, Scene, seconds

__all__: list[str] = []


@scenario(
    row("crash-failed", "A task killed by SIGKILL is failed: `task: non-zero exit (137)`", "M executor/container/errors.go"),
    row("crash-exit-code", "Its exit code is 137", "M executor/container/controller.go"),
    row("crash-desired", "The dead task is desired shutdown from then on", "SK orchestrator/restart"),
    row("replacement-ready", "Its replacement is created at once, desired ready, and prepared during the delay", "SK orchestrator/restart"),
    row("replacement-slot", "The replacement has the same slot", "SK orchestrator/restart"),
    row("restart-delay-first", "The first restart waits the delay too: old end to new start is not less", "SK orchestrator/restart"),
    row("restart-delay-second", "The second waits just as long: no backoff", "SK orchestrator/restart"),
    row("api-kill-replaced", "A task's container killed through the API is replaced too, as after a crash", "M executor/container/controller.go"),
    row("ps-history", "`service ps` shows older tasks of a slot below, with ` \\_ `", "CLI formatter/task.go"),
    row("ps-error", "`service ps` shows the error in double quotes: `task: non-zero exit (137)`", "CLI formatter/task.go"),
)  # fmt: skip
async def crash_and_restart(scene: Scene) -> None:
    delay = 2.5
    async with scene.deployed(service("crash", delay=delay)):
        first = await scene.running()
        await scene.deployment.signal_task(first.task, "SIGKILL")
        ended = await scene.over(first.task)
        await scene.until(lambda: len(scene.tasks(1)) == 2, "replacement in slot 1")
        waiting = scene.tasks()[-1]
        with scene.row("crash-failed"):
            assert (ended.state, ended.error) == ("failed", "task: non-zero exit (137)")
        with scene.row("crash-exit-code"):
            assert ended.exit_code == 137
        with scene.row("crash-desired"):
            assert (await scene.unwanted(first.task)).desired == "shutdown"
        with scene.row("replacement-slot"):
            assert scene.last(waiting).slot == first.slot
        second = await scene.running(beside=(first.task,))
        with scene.row("replacement-ready"):
            assert second.task == waiting
            early = [change for change in scene.changes(waiting) if change.desired == "ready"]
            assert early, "it never was desired ready"
            # That it is desired running now may be heard of after its container's start, from the engine's events.
            ready = next((change for change in early if change.state == "ready"), None)
            assert ready is not None, [change.state for change in early]
            assert seconds(ready, ended) < delay
            begun = [change for change in scene.changes(waiting) if change.state in {"starting", "running"}]
            assert all(seconds(change, ended) > delay - 0.05 for change in begun), begun
        with scene.row("restart-delay-first"):
            assert_delay(seconds(second, ended), delay)
        await scene.deployment.kill_through_api(task=second.task)
        again = await scene.over(second.task)
        third = await scene.running(beside=(first.task, second.task))
        with scene.row("api-kill-replaced"):
            assert (again.state, again.error) == ("failed", "task: non-zero exit (137)")
        with scene.row("restart-delay-second"):
            assert_delay(seconds(third, again), delay)
        table = await scene.deployment.overview()
        lines = table.splitlines()[1:]
        with scene.row("ps-history"):
            assert len(lines) == 3, table
            assert ["\\_" in line for line in lines] == [False, True, True], table
        with scene.row("ps-error"):
            assert ['"task: non-zero exit (137)"' in line for line in lines] == [False, True, True], table


def assert_delay(took: float, delay: float, *, slack: float = SLACK) -> None:
    """Old end to new running: not less than the delay (50 ms for two clocks' rounding), not much more."""
    assert delay - 0.05 <= took <= delay + slack, f"{took:.2f} s with a delay of {delay} s"


@scenario(
    row("exit-0-complete", "A task that exits 0 is complete, `finished`, without an error", "SK agent/exec/controller.go"),
    row("any-replaces-complete", "Condition any replaces a task that is complete", "SK orchestrator/restart"),
    row("history-5", "A slot keeps 5 tasks in all, the newest ones", "SK taskreaper, TaskHistoryRetentionLimit"),
)  # fmt: skip
async def exit_zero_any(scene: Scene) -> None:
    async with scene.deployed(service("done", EXIT_AFTER="0.3", EXIT_CODE="0", delay=0.2)):
        await scene.until(lambda: len(scene.tasks()) >= 8, "eighth task")
        ended = await scene.over(scene.tasks()[0])
        with scene.row("exit-0-complete"):
            assert (ended.state, ended.message, ended.error) == ("complete", "finished", "")
        with scene.row("any-replaces-complete"):
            assert {change.slot for task in scene.tasks() for change in scene.changes(task)} == {1}
        with scene.row("history-5"):
            kept = [view.id for view in await scene.views(1)]
            assert len(kept) in {5, 6}, kept
            await scene.watched(1)
            kept = [view.id for view in await scene.views(1)]
            order = scene.tasks()
            assert sorted(kept, key=order.index) == order[-len(kept) :], (kept, order)
            assert len(kept) in {5, 6}, kept


@scenario(
    row("on-failure-complete", "Condition on-failure leaves a task that exits 0 alone", "SK orchestrator/restart"),
    row("on-failure-desired", "That task is desired shutdown all the same", "SK orchestrator/restart"),
)  # fmt: skip
async def exit_zero_on_failure(scene: Scene) -> None:
    async with scene.deployed(
        service("once", EXIT_AFTER="0.3", EXIT_CODE="0", condition="on-failure", delay=0.1)
    ):
        ended = await scene.over((await scene.running()).task)
        with scene.row("on-failure-complete"):
            assert ended.state == "complete"
            assert await scene.nothing_new(2.5, lambda: len(scene.tasks()))
        with scene.row("on-failure-desired"):
            assert scene.last(ended.task).desired == "shutdown"


@scenario(
    row("exit-3-failed", "A task that exits 3 is failed: `task: non-zero exit (3)`", "M executor/container/errors.go"),
    row("on-failure-replaces", "Condition on-failure replaces it", "SK orchestrator/restart"),
)  # fmt: skip
async def exit_three_on_failure(scene: Scene) -> None:
    async with scene.deployed(
        service("three", EXIT_AFTER="0.3", EXIT_CODE="3", condition="on-failure", delay=0.3)
    ):
        first = await scene.running()
        ended = await scene.over(first.task)
        with scene.row("exit-3-failed"):
            assert (ended.state, ended.error, ended.exit_code) == ("failed", "task: non-zero exit (3)", 3)
        with scene.row("on-failure-replaces"):
            await scene.running(beside=(first.task,))


@scenario(
    row("none-never", "Condition none replaces nothing, not even a failed task", "SK orchestrator/restart"),
)  # fmt: skip
async def exit_three_none(scene: Scene) -> None:
    async with scene.deployed(service("never", EXIT_AFTER="0.3", EXIT_CODE="3", condition="none", delay=0.1)):
        ended = await scene.over((await scene.running()).task)
        with scene.row("none-never"):
            assert ended.state == "failed"
            assert await scene.nothing_new(2.5, lambda: len(scene.tasks()))


@scenario(
    row("max-attempts", "max_attempts 2: the slot's first task and two more, then none", "SK orchestrator/restart"),
)  # fmt: skip
async def max_attempts(scene: Scene) -> None:
    async with scene.deployed(service("twice", EXIT_AFTER="0.2", max_attempts=2, delay=0.2)):
        await scene.until(lambda: len(scene.tasks()) >= 3, "third task")
        await scene.over(scene.tasks()[2])
        with scene.row("max-attempts"):
            assert await scene.nothing_new(3, lambda: len(scene.tasks()))
            assert len(scene.tasks()) == 3


@scenario(
    row("attempts-window", "With a window, only restarts within it count: a task that lives longer is replaced for ever", "SK orchestrator/restart"),
)  # fmt: skip
async def attempts_window(scene: Scene) -> None:
    async with scene.deployed(service("window", EXIT_AFTER="1.6", max_attempts=1, window=1.2, delay=0.1)):
        with scene.row("attempts-window"):
            await scene.until(lambda: len(scene.tasks()) >= 4, "fourth task")


@scenario(
    row("attempts-window-stops", "… and one that fails sooner uses its attempts up", "SK orchestrator/restart"),
)  # fmt: skip
async def attempts_window_short(scene: Scene) -> None:
    async with scene.deployed(service("windowed", EXIT_AFTER="0.2", max_attempts=2, window=60, delay=0.1)):
        with scene.row("attempts-window-stops"):
            await scene.until(lambda: len(scene.tasks()) >= 3, "third task")
            await scene.over(scene.tasks()[2])
            assert await scene.nothing_new(3, lambda: len(scene.tasks()))
            assert len(scene.tasks()) == 3


@scenario(
    row("stop-shutdown", "A task asked to stop is shutdown in the end, whatever it exits with", "SK agent/exec/controller.go"),
    row("stop-grace", "One that ignores SIGTERM is killed when its grace period is over (2 s of drain before)", "M daemon/stop.go"),
    row("attempts-reset", "A new spec resets the attempts of max_attempts", "SK orchestrator/restart"),
)  # fmt: skip
async def stopping(scene: Scene) -> None:
    spec = service("stop", max_attempts=1, delay=0.1, grace=2, TERM_CODE="never")
    async with scene.deployed(spec):
        first = await scene.running()
        await scene.deployment.signal_task(first.task, "SIGKILL")
        await scene.over(first.task)
        second = await scene.running(beside=(first.task,))
        await scene.deployment.update(
            scene.fit(service("stop", max_attempts=1, delay=0.1, grace=2, RELEASE="two"))
        )
        asked = await scene.unwanted(second.task)
        ended = await scene.over(second.task)
        with scene.row("stop-shutdown"):
            assert ended.state == "shutdown"
        with scene.row("stop-grace"):
            took = seconds(ended, asked)
            assert 3.8 <= took <= 4 + SLACK, f"{took:.2f} s from desired shutdown to the end"
        third = await scene.running(beside=(first.task, second.task))
        await scene.deployment.signal_task(third.task, "SIGKILL")
        with scene.row("attempts-reset"):
            await scene.running(beside=(first.task, second.task, third.task))
