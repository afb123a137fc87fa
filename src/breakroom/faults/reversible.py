"""Faults that stay in force and are taken back: what all of them do in the same order.

Used by `faults.pause`, `hang`, `memory`, `network`, `partition`, `drain` and `node_loss`; each says only how it acts on
one subject (a task or a node), how that is taken back, and how it is seen that there is nothing left to take back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from breakroom.faults.base import ActionLog, FaultContext, FaultError, Injected, Undo
from breakroom.platforms.base import Evidence, PlatformError

__all__ = ["Reversible", "task_lives"]

_OVER = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversible:
    """One fault on some subjects. `act` and `take_back` are called for each subject by itself."""

    kind: str
    undo: str
    """What the undo journal calls it: `unpause`, `heal`, …"""
    subjects: tuple[str, ...]
    tasks: tuple[str, ...]
    """The replicas concerned, for the analysis."""
    act: Callable[[str], Awaitable[Evidence]]
    take_back: Callable[[str], Awaitable[None]]
    """Raises if it could not be done."""
    lives: Callable[[str], Awaitable[bool]]
    """Whether the subject is there to be taken back from."""
    lasts: int | None
    detail: dict[str, Any] = field(default_factory=dict)

    async def inject(self, ctx: FaultContext, action: str) -> Injected:
        """Write the undo, act, prove.

        Raises:
            FaultError: it could not be done; what had been done of it is taken back at once.
        """
        log = ActionLog(ctx=ctx, action=action, kind=self.kind, tasks=self.tasks, detail=dict(self.detail))
        begun: list[str] = []
        done = False

        async def take_back() -> None:
            nonlocal done
            if not done:
                done = True
                await self._take_back(log, begun)

        undo = Undo(action=action, take_back=take_back)
        where = {subject: ctx.deployment.undo_args(subject) for subject in self.subjects}
        log.plan_undo(self.undo, subjects=where, **self.detail)
        ctx.keep(undo)
        log.stage("intended")
        evidence: list[Evidence] = []
        try:
            for subject in self.subjects:
                begun.append(subject)
                evidence.append(await self.act(subject))
        except (ProcessLookupError, PlatformError) as error:
            log.stage("failed", reason=str(error))
            await take_back()
            code = error.code if isinstance(error, PlatformError) else "target-gone"
            raise FaultError(code, f"{self.kind}: {error}") from error
        at = log.stage("done")
        undo.due = None if self.lasts is None else at + self.lasts
        seen: dict[str, Any] = {
            "means": sorted({one.means for one in evidence}),
            "evidence": [
                {"subject": s, **one.detail} for s, one in zip(self.subjects, evidence, strict=True)
            ],
        }
        if not all(one.holds for one in evidence):
            log.stage("unproved", **seen)
            return Injected(action=action, proved_t=None)
        proved_t = min(one.t for one in evidence)
        log.stage("proved", proved_t=proved_t, **seen)
        return Injected(action=action, proved_t=proved_t)

    async def _take_back(self, log: ActionLog, begun: list[str]) -> None:
        """Undo it for each subject, the last first. A subject that is gone needs nothing; nothing is raised."""
        failures, needless = [], []
        begun_t = log.ctx.now()
        for subject in reversed(begun):
            try:
                if await self.lives(subject):
                    await self.take_back(subject)
                else:
                    needless.append(subject)
            except ProcessLookupError:
                # Its process is no more, though the platform may not have heard of that yet.
                needless.append(subject)
            except PlatformError as error:
                if await self._gone(subject):
                    needless.append(subject)
                else:
                    failures.append(f"{subject}: {error}")
        log.stage("undone", undo_begun_t=begun_t, needless=needless, failures=failures)
        said = [f"gone by then: {', '.join(needless)}"] if needless else []
        log.undo_done(ok=not failures, message="; ".join([*failures, *said]))

    async def _gone(self, subject: str) -> bool:
        """Whether the subject has ended meanwhile, or the whole platform, which took it along."""
        try:
            return not await self.lives(subject)
        except PlatformError as error:
            return error.code in {"engine-died", "removed"}


def task_lives(ctx: FaultContext) -> Callable[[str], Awaitable[bool]]:
    """Whether a task is there: known to the platform, and not over."""

    async def lives(task: str) -> bool:
        return any(view.id == task and view.state not in _OVER for view in await ctx.deployment.tasks())

    return lives
