"""The person of an unattended run: notices that a container is dead after a while, and starts it again.

Run by `director.trial` beside a contender that has an `operator`. The model's times are the drill's
(`operator.reacts_after`, `acts_for`); everything it does is written with `by: operator-model`, so that the analysis
marks each number that contains it as modelled (3-measurement, rule 4). The restart itself is real.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from breakroom.director.state import TrialState
from breakroom.journal.records import ActionChanged, Record, TaskChanged
from breakroom.platforms.base import Deployment, Emit, PlatformError
from breakroom.spec.drill import OperatorModel

__all__ = ["operate"]


async def operate(
    model: OperatorModel, deployment: Deployment, state: TrialState, emit: Emit, now: Callable[[], int]
) -> None:
    """Restart the container whenever nothing of it is alive, for as long as this runs. Ends by cancellation."""
    acts = 0
    while True:
        await state.until(lambda: _dead(state), within=None)
        await asyncio.sleep((model.reacts_after + model.acts_for) / 1e9)
        if not _dead(state):
            continue
        acts += 1
        await _restart(f"operator-{acts}", deployment, state, emit, now, model)


def _dead(state: TrialState) -> bool:
    return bool(state.tasks) and not any(task.alive for task in state.tasks.values())


async def _restart(
    action: str,
    deployment: Deployment,
    state: TrialState,
    emit: Emit,
    now: Callable[[], int],
    model: OperatorModel,
) -> None:
    known = frozenset(state.tasks)
    detail = {"reacts_after_ns": model.reacts_after, "acts_for_ns": model.acts_for}

    def write(
        stage: str, *, proved_t: int | None = None, tasks: tuple[str, ...] = (), reason: str = ""
    ) -> int:
        at = now()
        emit(
            ActionChanged(
                t=at,
                trial=state.trial,
                action=action,
                kind="restart",
                by="operator-model",
                stage=stage,  # type: ignore[arg-type]  # the literal stages, just below
                tasks=tasks,
                proved_t=proved_t,
                detail={**detail, "reason": reason} if reason else detail,
            )
        )
        return at

    def started(record: Record) -> bool:
        return isinstance(record, TaskChanged) and record.task not in known and record.state == "running"

    since = write("intended")
    try:
        await deployment.start()
    except PlatformError as error:
        write("failed", reason=str(error))
        return
    write("done")
    record = await state.wait_for(started, since=since, within=60_000_000_000)
    if isinstance(record, TaskChanged):
        write("proved", proved_t=record.t, tasks=(record.task,))
    else:
        write("unproved")
