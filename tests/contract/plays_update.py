"""Rolling updates and rollbacks."""

# ruff: noqa: E501  # a row of the contract reads as a row of a table

from __future__ import annotations

from contract.program import S, rolling, service
from contract.rows import row, scenario
from contract.scene import SLACK, Scene, seconds

__all__: list[str] = []


def new_tasks(scene: Scene, old: set[str]) -> list[str]:
    """Tasks made since."""
    return [task for task in scene.tasks() if task not in old]


@scenario(
    row("update-states", "An update reports updating, then completed", "SK manager/orchestrator/update"),
    row("update-texts", "… with the texts `update in progress` and `update completed`", "SK manager/orchestrator/update"),
    row("stop-first-order", "stop-first: a slot's new task starts after its old one has ended", "SK update, restart"),
    row("update-one-by-one", "parallelism 1: a slot's old task is asked to stop when the slot before runs anew", "SK manager/orchestrator/update"),
    row("update-delay", "… and `delay` later", "SK manager/orchestrator/update"),
    row("update-delay-last", "The delay is waited after the last slot too, then the monitor, before completed", "SK manager/orchestrator/update"),
    row("update-slots", "An update keeps the slot numbers", "SK manager/orchestrator/update"),
    row("rollback-manual", "`service rollback` brings the spec before back: rollback_started, rollback_completed", "SK manager/controlapi"),
    row("rollback-text", "… with `manually requested rollback` and `rollback completed`", "SK manager/controlapi, update"),
    row("rollback-twice", "A rollback of a rollback brings the newer spec back again", "SK manager/controlapi"),
)  # fmt: skip
async def stop_first(scene: Scene) -> None:
    delay, monitor = 1.5, 1.0
    config = rolling(delay=delay, monitor=monitor)
    async with scene.deployed(service("stopfirst", replicas=2, update=config)):
        old = await scene.all_running(2)
        ids = {change.task for change in old}
        await scene.deployment.update(
            scene.fit(service("stopfirst", replicas=2, update=config, RELEASE="two"))
        )
        done = await scene.update_state("completed")
        new = [await scene.running(slot=slot, beside=tuple(ids)) for slot in (1, 2)]
        with scene.row("update-states"):
            assert [change.state for change in scene.updates()] == ["updating", "completed"]
        with scene.row("update-texts"):
            assert [change.message for change in scene.updates()] == [
                "update in progress",
                "update completed",
            ]
        with scene.row("stop-first-order"):
            for before, after in zip(old, new, strict=True):
                assert seconds(after, await scene.over(before.task)) >= -0.05
        by_time = sorted(new, key=lambda change: change.t)
        last_old = next(change for change in old if change.slot == by_time[1].slot)
        with scene.row("update-one-by-one"):
            assert seconds(await scene.over(last_old.task), by_time[0]) > 0
        with scene.row("update-delay"):
            # Two seconds of it are the drain before the stop signal.
            took = seconds(await scene.over(last_old.task), by_time[0])
            assert delay + 1.9 <= took <= delay + SLACK, f"{took:.2f} s"
        with scene.row("update-delay-last"):
            took = seconds(done, by_time[1])
            assert delay + monitor - 0.1 <= took <= delay + monitor + SLACK, f"{took:.2f} s"
        with scene.row("update-slots"):
            assert sorted(change.slot for change in new) == [1, 2]
        await scene.deployment.rollback()
        finished = await scene.update_state("rollback_completed")
        with scene.row("rollback-manual"):
            assert [change.state for change in scene.updates()][2:] == [
                "rollback_started",
                "rollback_completed",
            ]
            views = [view for view in await scene.views() if view.desired == "running"]
            images = [scene.last(view.id).task for view in views]
            assert not set(images) & {change.task for change in new}
        with scene.row("rollback-text"):
            assert [change.message for change in scene.updates()][2:] == [
                "manually requested rollback",
                "rollback completed",
            ]
        with scene.row("rollback-twice"):
            known = set(scene.tasks())
            await scene.deployment.rollback()
            again = await scene.update_state("rollback_completed", 2)
            assert again.t > finished.t
            assert len(new_tasks(scene, known)) == 2


@scenario(
    row("start-first-order", "start-first: a slot's old task is asked to stop only when its new one runs", "SK manager/orchestrator/update"),
    row("start-first-beside", "… so for a while the slot has two running tasks", "SK manager/orchestrator/update"),
)  # fmt: skip
async def start_first(scene: Scene) -> None:
    config = rolling(order="start-first")
    async with scene.deployed(service("startfirst", update=config)):
        old = await scene.running()
        await scene.deployment.update(scene.fit(service("startfirst", update=config, RELEASE="two")))
        new = await scene.running(beside=(old.task,))
        with scene.row("start-first-order"):
            unwanted = await scene.unwanted(old.task)
            # A poll that sees both changes at once may report them in either order.
            order = [r for r in scene.records if getattr(r, "task", "") in {old.task, new.task}]
            assert order.index(new) <= order.index(unwanted) + 1, (
                "the old one was let go before the new one ran"
            )
        with scene.row("start-first-beside"):
            assert seconds(await scene.over(old.task), new) > 0
        await scene.update_state("completed")


@scenario(
    row("parallelism-2", "parallelism 2 of 3: two slots at once, the third when one of them is done", "SK manager/orchestrator/update"),
)  # fmt: skip
async def parallelism_two(scene: Scene) -> None:
    config = rolling(parallelism=2)
    async with scene.deployed(service("two", replicas=3, update=config)):
        old = await scene.all_running(3)
        ids = tuple(change.task for change in old)
        await scene.deployment.update(scene.fit(service("two", replicas=3, update=config, RELEASE="two")))
        await scene.update_state("completed")
        new = sorted([await scene.running(slot=slot, beside=ids) for slot in (1, 2, 3)], key=lambda c: c.t)
        ends = sorted([await scene.over(task) for task in ids], key=lambda c: c.t)
        with scene.row("parallelism-2"):
            assert ends[1].t < new[0].t + int(1.9 * S), "the second old one was not stopped beside the first"
            assert ends[2].t > new[0].t, "the third was stopped before one of the first was done"


@scenario(
    row("parallelism-0", "parallelism 0: all slots at once", "SK manager/orchestrator/update"),
)  # fmt: skip
async def parallelism_zero(scene: Scene) -> None:
    config = rolling(parallelism=0)
    async with scene.deployed(service("zero", replicas=3, update=config)):
        old = await scene.all_running(3)
        ids = tuple(change.task for change in old)
        await scene.deployment.update(scene.fit(service("zero", replicas=3, update=config, RELEASE="two")))
        await scene.update_state("completed")
        new = sorted([await scene.running(slot=slot, beside=ids) for slot in (1, 2, 3)], key=lambda c: c.t)
        ends = sorted([await scene.over(task) for task in ids], key=lambda c: c.t)
        with scene.row("parallelism-0"):
            assert ends[2].t < new[0].t + int(1.9 * S)


@scenario(
    row("failure-pause", "failure_action pause: the update is paused", "SK manager/orchestrator/update"),
    row("failure-pause-text", "… `update paused due to failure or early termination of task <id>`, a new task's id", "SK manager/orchestrator/update"),
    row("failure-pause-rest", "… and slots not begun keep their old tasks", "SK manager/orchestrator/update"),
    row("paused-rollback", "A paused update can be rolled back by hand", "SK manager/controlapi"),
)  # fmt: skip
async def failure_pause(scene: Scene) -> None:
    config = rolling(monitor=10.0, delay=4.0)
    async with scene.deployed(service("pause", replicas=2, update=config, delay=0.5)):
        old = await scene.all_running(2)
        ids = {change.task for change in old}
        await scene.deployment.update(
            scene.fit(service("pause", replicas=2, update=config, delay=0.5, EXIT_AFTER="0.3"))
        )
        paused = await scene.update_state("paused")
        with scene.row("failure-pause"):
            assert [change.state for change in scene.updates()] == ["updating", "paused"]
        with scene.row("failure-pause-text"):
            start = "update paused due to failure or early termination of task "
            assert paused.message.startswith(start), paused.message
            assert paused.message.removeprefix(start) in new_tasks(scene, ids), paused.message
        with scene.row("failure-pause-rest"):
            kept = [change for change in old if scene.last(change.task).desired == "running"]
            assert len(kept) == 1
            assert scene.last(kept[0].task).state == "running"
        await scene.deployment.rollback()
        with scene.row("paused-rollback"):
            await scene.update_state("rollback_completed")


@scenario(
    row("failure-continue", "failure_action continue: the update goes on and completes", "SK manager/orchestrator/update"),
)  # fmt: skip
async def failure_continue(scene: Scene) -> None:
    config = rolling(monitor=1.0, action="continue")
    async with scene.deployed(service("goon", replicas=2, update=config, delay=1)):
        await scene.all_running(2)
        await scene.deployment.update(
            scene.fit(service("goon", replicas=2, update=config, delay=1, EXIT_AFTER="0.3"))
        )
        await scene.update_state("completed")
        with scene.row("failure-continue"):
            assert [change.state for change in scene.updates()] == ["updating", "completed"]


@scenario(
    row("failure-rollback", "failure_action rollback: rollback_started, then rollback_completed", "SK manager/orchestrator/update"),
    row("failure-rollback-text", "… `update rolled back due to failure or early termination of task <id>`, `rollback completed`", "SK manager/orchestrator/update"),
    row("failure-rollback-spec", "… and every slot runs the spec before again", "SK manager/orchestrator/update"),
)  # fmt: skip
async def failure_rollback(scene: Scene) -> None:
    config = rolling(monitor=10.0, action="rollback")
    async with scene.deployed(service("back", replicas=2, update=config, delay=0.5)):
        old = await scene.all_running(2)
        ids = {change.task for change in old}
        await scene.deployment.update(
            scene.fit(service("back", replicas=2, update=config, delay=0.5, EXIT_AFTER="0.3"))
        )
        await scene.update_state("rollback_completed")
        with scene.row("failure-rollback"):
            states = [change.state for change in scene.updates()]
            assert states == ["updating", "rollback_started", "rollback_completed"]
        with scene.row("failure-rollback-text"):
            begun, ended = (change.message for change in scene.updates()[1:])
            start = "update rolled back due to failure or early termination of task "
            assert begun.startswith(start), begun
            assert begun.removeprefix(start) in new_tasks(scene, ids), begun
            assert ended == "rollback completed"
        with scene.row("failure-rollback-spec"):
            await scene.wanted_slots([1, 2])
            await scene.until(
                lambda: sum(scene.last(t).state == "running" for t in scene.tasks()) == 2, "two running tasks"
            )
            assert await scene.nothing_new(1.5, lambda: len(scene.tasks()))


@scenario(
    row("failure-ratio", "Failures ÷ slots up to max_failure_ratio are borne: the update completes", "SK manager/orchestrator/update"),
)  # fmt: skip
async def failure_ratio(scene: Scene) -> None:
    config = rolling(monitor=1.0, ratio=0.5, parallelism=0)
    async with scene.deployed(service("ratio", replicas=2, update=config, delay=8)):
        await scene.all_running(2)
        await scene.deployment.update(
            scene.fit(service("ratio", replicas=2, update=config, delay=8, EXIT_AFTER="0.3", FAIL_SLOT="1"))
        )
        await scene.until(lambda: len(scene.updates()) >= 2, "end of the update")
        with scene.row("failure-ratio"):
            assert [change.state for change in scene.updates()] == ["updating", "completed"]


@scenario(
    row("monitor-late", "A task that fails later than `monitor` after it ran does not count", "SK manager/orchestrator/update"),
)  # fmt: skip
async def monitor_late(scene: Scene) -> None:
    config = rolling(monitor=0.5, delay=4)
    async with scene.deployed(service("late", replicas=2, update=config, delay=0.2)):
        await scene.all_running(2)
        await scene.deployment.update(
            scene.fit(service("late", replicas=2, update=config, delay=0.2, EXIT_AFTER="8", FAIL_SLOT="1"))
        )
        await scene.until(lambda: len(scene.updates()) >= 2, "end of the update")
        with scene.row("monitor-late"):
            assert [change.state for change in scene.updates()] == ["updating", "completed"]


@scenario(
    row("rollback-fails", "A rollback that fails is paused: rollback_paused", "SK manager/orchestrator/update"),
    row("rollback-fails-text", "… with its text", "SK manager/orchestrator/update"),
)  # fmt: skip
async def rollback_fails(scene: Scene) -> None:
    config = rolling(monitor=10.0)
    broken = service("worse", update=config, rollback=config, delay=3, EXIT_AFTER="0.3")
    async with scene.deployed(broken):
        await scene.over((await scene.until_task()).task)
        good = service("worse", update=config, rollback=config, delay=3)
        await scene.deployment.update(scene.fit(good))
        await scene.update_state("completed")
        await scene.deployment.rollback()
        paused = await scene.update_state("rollback_paused")
        with scene.row("rollback-fails"):
            states = [change.state for change in scene.updates()]
            assert states[-2:] == ["rollback_started", "rollback_paused"], states
        with scene.row("rollback-fails-text"):
            start = "update paused due to failure or early termination of task "
            assert paused.message.startswith(start), paused.message


@scenario(
    row("update-same", "An update that changes nothing replaces nothing", "SK manager/orchestrator/update"),
    row("update-scale", "An update of the number alone is a scale: nobody is replaced", "SK orchestrator IsTaskDirty"),
    # Not on `swarm`: its `update` keeps the number that was scaled to, as `docker service update --image` does.
    on=("local", "swarm-api"),
)  # fmt: skip
async def update_without_change(scene: Scene) -> None:
    async with scene.deployed(service("same", replicas=2)):
        await scene.all_running(2)
        before = scene.tasks()
        await scene.deployment.update(scene.fit(service("same", replicas=2)))
        with scene.row("update-same"):
            assert await scene.nothing_new(1.5, lambda: len(scene.tasks()))
        await scene.deployment.update(scene.fit(service("same", replicas=3)))
        with scene.row("update-scale"):
            await scene.running(slot=3)
            assert scene.tasks()[:2] == before
            assert len(scene.tasks()) == 3
