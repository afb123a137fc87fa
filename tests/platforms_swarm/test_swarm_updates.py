"""Updates that go well and that fail, on a real Swarm of one node, in the words that the analysis reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from breakroom.journal.records import TaskChanged, UpdateChanged
from breakroom.spec.service import Healthcheck, ServiceSpec, UpdateConfig
from docker_lab.lab import Host, Lab
from platforms_swarm.inside import standing_in
from platforms_swarm.swarming import SECOND, Swarming, opened_run, web

Action = Literal["pause", "rollback"]
KNOWN = {
    "updating", "paused", "completed", "rollback_started", "rollback_paused", "rollback_completed",
}  # fmt: skip
"""All that Swarm says (swarmkit api/types.proto, UpdateStatus), and all that the engine does."""


@pytest.fixture(scope="module")
def swarm_host(swarm_lab: Lab) -> Iterator[Host]:
    """A Swarm of one node; this process stands on it."""
    host = swarm_lab.hosts[0]
    host.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        with standing_in(host):
            yield host
    finally:
        host.docker("swarm", "leave", "--force", check=False)


def service(action: Action, *, healthy: bool = True) -> ServiceSpec:
    spec = web(replicas=3, healthy=healthy)
    # Without a delay a second slot may be begun before the first one's failure stops the update: to an updater a task
    # that has ended has come up.
    update = UpdateConfig(failure_action=action, delay=2 * SECOND, monitor=2 * SECOND)
    return replace(spec, deploy=replace(spec.deploy, update_config=update))


def told(run: Swarming) -> list[str]:
    """The states of the update, each when it came."""
    states = [record.state for record in run.of(UpdateChanged)]
    assert set(states) <= KNOWN
    return [state for number, state in enumerate(states) if number == 0 or states[number - 1] != state]


def versions(run: Swarming) -> set[int]:
    return {record.version for record in run.of(TaskChanged) if record.state == "running"}


async def test_a_new_release_by_image_and_environment_keeps_the_replicas_scaled_to(
    swarm_host: Host, tmp_path: Path
) -> None:
    first = web(replicas=1)
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(first)
        await run.serving(1)
        endpoint = deployment.endpoint
        await deployment.scale(3)
        await run.serving(3)
        told_before = len(run.of(UpdateChanged))
        await deployment.update(replace(first, image="improved-app:v2", environment={"APP_VERSION": "v2.1"}))
        await run.until(lambda: told(run)[-1:] == ["completed"], "the update's end")
        updated = await run.serving(3)
        answers = {(await deployment.request_task(task.id, "GET", "/"))[1] for task in updated}
        await deployment.remove()

    assert told_before == 0  # a scale is no update
    assert told(run) == ["updating", "completed"]
    assert {task.version for task in updated} == {2}
    assert all('"v2.1"' in answer for answer in answers)
    assert deployment.endpoint == endpoint
    new = {record.task for record in run.of(TaskChanged) if record.version == 2}
    assert {record.image for record in run.of(TaskChanged) if record.task in new} == {"improved-app:v2"}


@pytest.mark.parametrize("why", ["exits", "never-healthy"])
@pytest.mark.parametrize("action", ["pause", "rollback"])
async def test_a_bad_release_stops_as_its_failure_action_says(
    swarm_host: Host, tmp_path: Path, why: str, action: Action
) -> None:
    good = service(action)
    never = Healthcheck(test=("CMD-SHELL", "exit 1"), interval=SECOND // 4, timeout=2 * SECOND, retries=2)
    bad = replace(good, environment={"PORT": "none"}) if why == "exits" else replace(good, healthcheck=never)
    end = "paused" if action == "pause" else "rollback_completed"
    async with opened_run(swarm_host, tmp_path) as run:
        deployment = await run.deploy(good)
        await run.serving(3)
        await deployment.update(bad)
        await run.until(lambda: told(run)[-1:] == [end], f"the update {end}")
        states, messages = told(run), [record.message for record in run.of(UpdateChanged)]
        if action == "rollback":
            assert {task.version for task in await run.serving(3)} == {1}
        else:
            assert [task.version for task in await run.serving(2)] == [1, 1]
            # A person takes it back.
            await deployment.rollback()
            await run.until(lambda: told(run)[-1:] == ["rollback_completed"], "the rollback's end")
            assert {task.version for task in await run.serving(3)} == {1}
        await deployment.remove()

    failed = [
        record
        for record in run.of(TaskChanged)
        if record.version == 2 and record.state in {"failed", "complete"} and record.desired == "running"
    ]
    assert failed
    # Never healthy, it is asked to stop, and exits 0: Swarm calls that *complete* (tests/contract, `trap-complete`).
    assert {(record.state, record.error) for record in failed} == (
        {("failed", "task: non-zero exit (2)")} if why == "exits" else {("complete", "")}
    )
    if action == "pause":
        assert states == ["updating", "paused"]
        assert messages[-1].startswith("update paused due to failure or early termination of task ")
        assert messages[-1].rpartition(" ")[2] in {record.task for record in failed}
    else:
        assert states == ["updating", "rollback_started", "rollback_completed"]
        # A rollback may be over before it was seen to begin; then nobody knows its reason in Swarm's words.
        assert messages[1].startswith("update rolled back due to failure") or not messages[1]
        assert messages[-1] == "rollback completed"
        times = [record.t for record in run.of(UpdateChanged)]
        # Swarm has no time of its own for an automatic rollback's beginning; it is no earlier than its cause.
        assert times == sorted(times)
        assert times[1] >= failed[0].t
