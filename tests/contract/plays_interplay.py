"""Updates that are disturbed: by failures beside a running task, by scaling, by another update, by a rollback."""

# ruff: noqa: E501  # a row of the contract reads as a row of a table

from __future__ import annotations

from breakroom.platforms.base import PlatformError
from contract.program import check, rolling, service
from contract.rows import row, scenario
from contract.scene import Scene, seconds

__all__: list[str] = []


@scenario(
    row("start-first-failing", "start-first: a new task that fails leaves the old one as it is: it serves on", "SK manager/orchestrator/update"),
    row("start-first-failing-state", "… and the update is paused", "SK manager/orchestrator/update"),
)  # fmt: skip
async def start_first_failing(scene: Scene) -> None:
    config = rolling(order="start-first", monitor=2)
    async with scene.deployed(service("sffail", update=config, delay=1)):
        old = await scene.running()
        await scene.deployment.update(
            scene.fit(
                service(
                    "sffail",
                    update=config,
                    delay=1,
                    healthcheck=check(),
                    HEALTHY_AFTER="1000",
                    TERM_CODE="143",
                )
            )
        )
        await scene.update_state("paused")
        with scene.row("start-first-failing-state"):
            assert [change.state for change in scene.updates()] == ["updating", "paused"]
        await scene.watched(3)
        with scene.row("start-first-failing"):
            last = scene.last(old.task)
            assert (last.state, last.desired) == ("running", "running"), (last.state, last.desired)


@scenario(
    row("start-first-43081", "start-first with failure_action continue: the update completes, and the old task is stopped although no new one runs", "moby#43081, seen"),
)  # fmt: skip
async def start_first_continue(scene: Scene) -> None:
    config = rolling(order="start-first", monitor=1, action="continue")
    sickly = service(
        "sfcontinue", update=config, delay=1, healthcheck=check(), HEALTHY_AFTER="1000", TERM_CODE="143"
    )
    async with scene.deployed(service("sfcontinue", update=config, delay=1)):
        old = await scene.running()
        await scene.deployment.update(scene.fit(sickly))
        await scene.update_state("completed")
        with scene.row("start-first-43081"):
            await scene.unwanted(old.task)
            assert all(scene.first(task, "running") is None for task in scene.tasks() if task != old.task)


@scenario(
    row("scale-in-update", "Scaling in the midst of an update begins it anew: the delay between slots is cut short", "SK orchestrator/replicated, update Supervisor.Update"),
    row("scale-in-update-done", "… and every slot gets a new task", "SK manager/orchestrator/update"),
)  # fmt: skip
async def scale_in_update(scene: Scene) -> None:
    delay = 60.0
    config = rolling(delay=delay)
    async with scene.deployed(service("midscale", replicas=2, update=config)):
        old = await scene.all_running(2)
        ids = tuple(change.task for change in old)
        await scene.deployment.update(
            scene.fit(service("midscale", replicas=2, update=config, RELEASE="two"))
        )
        first = await scene.record_of_new("running", beside=ids)
        await scene.deployment.scale(3)
        await scene.running(slot=3)
        other = next(change for change in old if change.slot != first.slot)
        second = await scene.running(slot=other.slot, beside=ids)
        with scene.row("scale-in-update"):
            took = seconds(second, first)
            assert took < delay, f"{took:.1f} s between the slots with a delay of {delay:g} s"
        with scene.row("scale-in-update-done"):
            await scene.wanted_slots([1, 2, 3])
            wanted = [view for view in await scene.views() if view.desired == "running"]
            assert [view.slot for view in wanted] == [1, 2, 3]
            assert not {view.id for view in wanted} & set(ids)


@scenario(
    row("update-in-update", "Another update in the midst of one takes its place: all slots end on the last spec", "SK update Supervisor.Update"),
    row("update-in-update-states", "… reported as updating and, once, completed", "SK manager/controlapi, update"),
)  # fmt: skip
async def update_in_update(scene: Scene) -> None:
    config = rolling(delay=2)
    async with scene.deployed(service("twoups", replicas=2, update=config)):
        ids = tuple(change.task for change in await scene.all_running(2))
        await scene.deployment.update(scene.fit(service("twoups", replicas=2, update=config, RELEASE="two")))
        first = await scene.record_of_new("running", beside=ids)
        await scene.deployment.update(
            scene.fit(service("twoups", replicas=2, update=config, RELEASE="three"))
        )
        await scene.update_state("completed")
        with scene.row("update-in-update"):
            wanted = [view for view in await scene.views() if view.desired == "running"]
            assert [view.slot for view in wanted] == [1, 2]
            assert not {view.id for view in wanted} & {*ids, first.task}
        with scene.row("update-in-update-states"):
            states = [change.state for change in scene.updates()]
            assert states[0] == "updating"
            assert states[-1] == "completed"
            assert states.count("completed") == 1
            assert set(states) == {"updating", "completed"}, states


@scenario(
    row("rollback-none", "A rollback where there is no spec before is refused", "SK manager/controlapi: does not have a previous spec"),
    row("rollback-in-update", "A rollback in the midst of an update brings every slot back", "SK manager/controlapi"),
    row("rollback-in-update-keeps", "… and leaves slots that were not begun as they are", "SK manager/orchestrator/update"),
)  # fmt: skip
async def rollback_in_update(scene: Scene) -> None:
    config = rolling(delay=6)
    async with scene.deployed(service("midback", replicas=2, update=config)):
        old = await scene.all_running(2)
        ids = tuple(change.task for change in old)
        refused = False
        try:
            await scene.deployment.rollback()
        except PlatformError:
            refused = True
        with scene.row("rollback-none"):
            assert refused, "it was accepted"
        await scene.deployment.update(scene.fit(service("midback", replicas=2, update=config, RELEASE="two")))
        first = await scene.record_of_new("running", beside=ids)
        await scene.deployment.rollback()
        await scene.update_state("rollback_completed")
        with scene.row("rollback-in-update"):
            wanted = {view.slot: view.id for view in await scene.views() if view.desired == "running"}
            assert sorted(wanted) == [1, 2]
            assert first.task not in wanted.values()
        with scene.row("rollback-in-update-keeps"):
            other = next(change for change in old if change.slot != first.slot)
            assert wanted[other.slot] == other.task


@scenario(
    row("update-resume", "The same spec again resumes a paused update, once the delay after the last slot is over", "SK manager/controlapi, update Supervisor.Update"),
)  # fmt: skip
async def update_resume(scene: Scene) -> None:
    config = rolling(monitor=10, delay=4)
    worse = service("resume", replicas=2, update=config, delay=8, EXIT_AFTER="0.3")
    async with scene.deployed(service("resume", replicas=2, update=config, delay=8)):
        await scene.all_running(2)
        await scene.deployment.update(scene.fit(worse))
        await scene.until(lambda: bool(scene.updates()) and scene.updates()[-1].state != "updating", "end")
        states = [change.state for change in scene.updates()]
        # The worker in hand waits out its delay even so, and until then the update counts as under way.
        await scene.watched(5)
        if states[-1] == "paused":
            await scene.deployment.update(scene.fit(worse))
        with scene.row("update-resume"):
            assert states[-1] == "paused", states
            await scene.until(lambda: len(scene.updates()) > len(states), "news of the update")
            await scene.until(lambda: scene.updates()[-1].state == "paused", "end")
            assert [change.state for change in scene.updates()][len(states) :] == ["updating", "paused"]


@scenario(
    row("scale-rollback", "A scale is an update of the spec: a rollback after it brings the number before back", "SK manager/controlapi UpdateService"),
    row("scale-rollback-status", "… reported as rollback_completed in the end", "SK manager/orchestrator/update"),
)  # fmt: skip
async def scale_rollback(scene: Scene) -> None:
    async with scene.deployed(service("scaleback", replicas=1)):
        first = await scene.running()
        await scene.deployment.scale(3)
        await scene.all_running(3)
        await scene.deployment.rollback()
        with scene.row("scale-rollback"):
            await scene.wanted_slots([1])
            assert scene.last(first.task).desired == "running"
        with scene.row("scale-rollback-status"):
            # The start of it is over too soon for one who looks every 50 ms; its end stays.
            await scene.update_state("rollback_completed")
            assert await scene.nothing_new(1, lambda: len(scene.updates())), scene.updates()
            assert scene.updates()[-1].state == "rollback_completed"


@scenario(
    row("update-scale-rollback", "… so after an update and a scale, a rollback undoes the scale and leaves the update", "SK manager/controlapi UpdateService"),
)  # fmt: skip
async def update_scale_rollback(scene: Scene) -> None:
    config = rolling(monitor=0.5)
    async with scene.deployed(service("upscaleback", replicas=1, update=config)):
        old = await scene.running()
        await scene.deployment.update(scene.fit(service("upscaleback", update=config, RELEASE="two")))
        await scene.update_state("completed")
        new = await scene.running(beside=(old.task,))
        await scene.deployment.scale(2)
        await scene.running(slot=2)
        await scene.deployment.rollback()
        with scene.row("update-scale-rollback"):
            await scene.wanted_slots([1])
            await scene.watched(1)
            assert scene.last(new.task).desired == "running", "the update was rolled back"
