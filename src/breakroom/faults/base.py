"""What every fault has in common: its context, its targets, its life in the journal, and how it is taken back.

The director builds a `FaultContext` for a trial and calls `inject` for each step of the timeline; a fault module
(`faults.kill`, …) does one kind and registers itself. A fault's life is written as it happens:

    UndoPlanned → ActionChanged intended → done → proved | unproved → (later) undone, UndoDone

`UndoPlanned` is on disk before anything is touched, also where there is nothing to take back, so that a reader of a
journal that was cut off knows for certain what was in force. A fault that stays in force hands its `Undo` to the
director before it acts: an interruption in the middle of the act is undone like the whole.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from breakroom.journal.records import ActionChanged, Record, UndoDone, UndoPlanned
from breakroom.platforms.base import Deployment, Emit, TaskView
from breakroom.spec.drill import Step
from breakroom.spec.drill_steps import TaskCount
from breakroom.spec.service import ServiceSpec

__all__ = [
    "PROOF_WITHIN",
    "ActionLog",
    "Fault",
    "FaultContext",
    "FaultError",
    "Injected",
    "Undo",
    "choose_tasks",
    "serving_tasks",
]

PROOF_WITHIN = 2_000_000_000
"""How long the evidence for a fault's effect is waited for, in nanoseconds, unless the fault says otherwise."""


class FaultError(Exception):
    """The fault could not be injected; `code` is stable, the text says why."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class WaitForRecord(Protocol):
    """Waits for a record of the trial, past ones since `since` included; None when `within` ns have passed."""

    def __call__(
        self, matches: Callable[[Record], bool], *, since: int, within: int
    ) -> Awaitable[Record | None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultContext:
    """What a fault may use: the deployment, the journal, a seeded source of choice, and the clock."""

    trial: str
    deployment: Deployment
    emit: Emit
    now: Callable[[], int]
    wait_for: WaitForRecord
    choose: random.Random
    """Seeded by the run's seed and the repeat alone: every contender's choices come from the same stream."""
    keep: Callable[[Undo], None]
    """Takes charge of an undo before its fault is injected: it is carried out at the trial's end, whatever happens."""
    memory_of: Callable[[str], int | None]
    """The memory that a task used when it was last sampled, in bytes; None: not known."""
    memory_limit: int | None
    """What its limit is, in bytes."""
    longest: int
    """Nothing can be in force longer, in ns: for what heals itself should everything else fail."""
    runs_as: Literal["container", "service"]
    releases: list[ServiceSpec]
    """What was deployed so far, the present spec last. An update adds to it."""
    wanted: Callable[[], int]
    """How many replicas are wanted now."""
    want: Callable[[int], None]
    """Another number is wanted from now on."""


@dataclass(slots=True, kw_only=True)
class Undo:
    """How one fault is taken back. `take_back` never raises for what it finds; it writes that down."""

    action: str
    take_back: Callable[[], Awaitable[None]]
    due: int | None = None
    """When (ns of the clock); None: at the trial's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """A fault that was injected. `proved_t` None: no evidence of effect."""

    action: str
    proved_t: int | None


@dataclass(slots=True, kw_only=True)
class ActionLog:
    """Writes one action's stages, so that each fault states only what is its own."""

    ctx: FaultContext
    action: str
    kind: str
    tasks: tuple[str, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)

    def plan_undo(self, kind: str, **args: Any) -> None:
        """Write how the fault is to be taken back. Must come before the fault."""
        self.ctx.emit(
            UndoPlanned(t=self.ctx.now(), trial=self.ctx.trial, undo=self.action, kind=kind, args=args)
        )

    def undo_done(self, *, ok: bool, message: str = "") -> None:
        """Write that it was taken back, or need not be."""
        self.ctx.emit(
            UndoDone(t=self.ctx.now(), trial=self.ctx.trial, undo=self.action, ok=ok, message=message)
        )

    def stage(self, stage: str, *, t: int | None = None, proved_t: int | None = None, **detail: Any) -> int:
        """Write a stage; returns its time."""
        at = self.ctx.now() if t is None else t
        self.ctx.emit(
            ActionChanged(
                t=at,
                trial=self.ctx.trial,
                action=self.action,
                kind=self.kind,
                by="timeline",
                stage=stage,  # type: ignore[arg-type]  # the callers pass the literal stages
                tasks=self.tasks,
                proved_t=proved_t,
                detail={**self.detail, **detail},
            )
        )
        return at


class Fault(Protocol):
    """One kind of fault."""

    async def __call__(self, ctx: FaultContext, action: str, step: Step) -> Injected:
        """Inject, and wait for the proof.

        Raises:
            FaultError: it could not be injected; nothing is in force.
        """
        ...


def serving_tasks(tasks: list[TaskView]) -> list[TaskView]:
    """The tasks a fault may aim at, in the order of their slots: those that users reach now."""
    return sorted((task for task in tasks if task.in_rotation), key=lambda task: (task.slot, task.id))


async def choose_tasks(ctx: FaultContext, wanted: TaskCount, what: str) -> list[TaskView]:
    """So many of the replicas in rotation, neighbours in line, the first one chosen by the trial's seed.

    Raises:
        FaultError: no replica is in rotation; `what` says what could not be done to it.
    """
    candidates = serving_tasks(await ctx.deployment.tasks())
    if not candidates:
        raise FaultError("no-target", f"no replica was in rotation, so there was nothing to {what}")
    # The draw is a number from 0 to 1 scaled by the count, so that one seed means "the same place in line" for
    # contenders with different numbers of replicas.
    first = int(ctx.choose.random() * len(candidates))
    count = len(candidates) if wanted == "all" else min(wanted, len(candidates))
    return [candidates[(first + i) % len(candidates)] for i in range(count)]
