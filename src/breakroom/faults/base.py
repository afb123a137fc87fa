"""What every fault has in common: its context, its life in the journal, and the registry by step type.

The director builds a `FaultContext` for a trial and calls `inject` for each step of the timeline; a fault module
(`faults.kill`, …) does one kind and registers itself. A fault's life is written as it happens:

    UndoPlanned → ActionChanged intended → done → proved | unproved → (later) undone, UndoDone

`UndoPlanned` is on disk before anything is touched, also where there is nothing to take back, so that a reader of a
journal that was cut off knows for certain what was in force.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from breakroom.journal.records import ActionChanged, Record, UndoDone, UndoPlanned
from breakroom.platforms.base import Deployment, Emit, TaskView
from breakroom.spec.drill import Step

__all__ = ["ActionLog", "Fault", "FaultContext", "FaultError", "Injected"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """A fault that was injected. `proved_t` None: no evidence of effect. `undo` None: nothing to take back."""

    action: str
    proved_t: int | None
    undo: Callable[[], Awaitable[None]] | None = None


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
