"""The person of an unattended run: notices that a container is dead or answers nobody, and does something about it.

Run by `director.trial` beside a contender that has an `operator`. The model's times are the drill's
(`operator.reacts_after`, `acts_for`); everything it does is written with `by: operator-model`, so that the analysis
marks each number that contains it as modelled (3-measurement, rule 4). What it does is real: a dead container is
started, one that hangs is restarted, and if the trouble came with a new release, the release before is put back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from breakroom.director.state import TrialState
from breakroom.journal.records import ActionChanged, Record, TaskChanged
from breakroom.platforms.base import Deployment, Emit, PlatformError
from breakroom.spec.drill import OperatorModel
from breakroom.spec.service import ServiceSpec

__all__ = ["operate"]

_UP_WITHIN = 60_000_000_000


async def operate(
    model: OperatorModel,
    deployment: Deployment,
    state: TrialState,
    emit: Emit,
    now: Callable[[], int],
    releases: list[ServiceSpec],
) -> None:
    """Act whenever the container is dead or answers nobody, for as long as this runs. Ends by cancellation."""
    acts = 0
    acted = 0
    while True:
        await state.until(lambda: state.trouble_since is not None, within=None)
        since = max(state.trouble_since or now(), acted)
        await asyncio.sleep(max(0, since + model.reacts_after + model.acts_for - now()) / 1e9)
        if state.trouble_since is None:
            continue
        acts += 1
        act = _Act(f"operator-{acts}", model, state, emit, now)
        await act.carry_out(*_remedy(deployment, state, releases))
        acted = now()


def _remedy(
    deployment: Deployment, state: TrialState, releases: list[ServiceSpec]
) -> tuple[str, Callable[[], Awaitable[None]]]:
    """What a person would do, and its name in the journal."""
    if len(releases) > 1 and releases[-1] != releases[0]:
        before = releases[-2]

        async def put_back() -> None:
            await deployment.replace(before)
            releases.append(before)

        return "rollback", put_back
    if any(task.alive for task in state.tasks.values()):
        return "restart", deployment.restart
    return "restart", deployment.start


@dataclass(slots=True)
class _Act:
    """One act, as it goes into the journal."""

    action: str
    model: OperatorModel
    state: TrialState
    emit: Emit
    now: Callable[[], int]
    kind: str = field(default="", init=False)

    async def carry_out(self, kind: str, command: Callable[[], Awaitable[None]]) -> None:
        """Do it and see that a new run of the container comes up."""
        self.kind = kind
        known = frozenset(self.state.tasks)

        def started(record: Record) -> bool:
            return isinstance(record, TaskChanged) and record.task not in known and record.state == "running"

        since = self._write("intended")
        try:
            await command()
        except PlatformError as error:
            self._write("failed", reason=str(error))
            return
        self._write("done")
        record = await self.state.wait_for(started, since=since, within=_UP_WITHIN)
        if isinstance(record, TaskChanged):
            self._write("proved", proved_t=record.t, tasks=(record.task,))
        else:
            self._write("unproved")

    def _write(
        self, stage: str, *, proved_t: int | None = None, tasks: tuple[str, ...] = (), reason: str = ""
    ) -> int:
        at = self.now()
        detail = {"reacts_after_ns": self.model.reacts_after, "acts_for_ns": self.model.acts_for}
        self.emit(
            ActionChanged(
                t=at,
                trial=self.state.trial,
                action=self.action,
                kind=self.kind,
                by="operator-model",
                stage=stage,  # type: ignore[arg-type]  # the literal stages, just above
                tasks=tasks,
                proved_t=proved_t,
                detail={**detail, "reason": reason} if reason else detail,
            )
        )
        return at
