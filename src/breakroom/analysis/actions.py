"""What was done to the service on purpose, and which of it is the trial's fault.

Built and re-exported by `analysis.facts`. Pure. The timeline's actions are of three sorts: *faults*, which break
something; *planned* acts (a scale, an update, a rollback, the load's begin), which break nothing if all goes well; and
those that a contender has no such act for (`inapplicable`), which happen to it as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from breakroom.journal.records import ActionChanged

__all__ = ["IN_FORCE", "OPERATORS", "PLANNED", "RELEASES", "Action", "Fault", "actions_of", "faults_of"]

_SECOND = 1_000_000_000
_NOTICE_NS = _SECOND
"""No notice of an effect is later than this: a fault that was begun longer ago had no effect before."""
IN_FORCE = frozenset(
    {"pause", "hang", "memory", "network", "partition", "drain", "node_loss", "cpu", "request"}
)
"""Kinds of faults that last until they are taken back, or until their tasks are gone."""
RELEASES = frozenset({"update", "rollback"})
"""Kinds of acts that bring a release out."""
PLANNED = frozenset({"scale", "load"}) | RELEASES
"""Kinds of the timeline's acts that are no faults: nothing needs to fail because of them."""
OPERATORS = frozenset({"operator-model", "person"})
"""Who acts for a person."""
_BROUGHT_ABOUT = frozenset({"oom"})
"""Kinds of faults that are waited for: they begin with their effect, not with the waiting."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action with the moments of its stages."""

    action: str
    kind: str
    by: str
    tasks: tuple[str, ...]
    stages: dict[str, int]
    proved_t: int | None
    detail: dict[str, Any] = field(default_factory=dict)
    """What was meant to be done, and what was found out about it; of one name, the last word."""

    @property
    def begun(self) -> int:
        """When it was first heard of."""
        return min(self.stages.values())

    @property
    def done(self) -> int | None:
        """When the command was given."""
        return self.stages.get("done", self.stages.get("proved"))

    @property
    def applies(self) -> bool:
        """Whether the contender has such an act at all."""
        return "inapplicable" not in self.stages

    @property
    def planned(self) -> bool:
        """Whether it is an act that need not hurt anybody."""
        return self.kind in PLANNED


@dataclass(frozen=True, slots=True)
class Fault:
    """One action of the timeline. `effect` None: it was not proved to have taken effect."""

    action: Action
    effect: int | None
    refuted: bool
    """Whether the stage `unproved` or `failed` was reached (as opposed to nothing known yet)."""

    @property
    def applies(self) -> bool:
        """False: the contender has no such act. Then `effect` is the moment at which the others had theirs."""
        return self.action.applies

    @property
    def since(self) -> int:
        """From when on events may be its doing: its command, or what it was waited for."""
        return self.hits_from if self.action.kind in _BROUGHT_ABOUT else self.action.begun

    @property
    def hits_from(self) -> int:
        """From when on a failed request may be the fault's doing.

        The proof is a notice, handled a little after the effect: the connections of a killed process are reset before
        its exit is known. Nothing can fail because of a fault before it is injected.
        """
        if self.effect is None:
            return self.action.begun
        return min(max(self.action.begun, self.effect - _NOTICE_NS), self.effect)


def actions_of(changes: Iterable[ActionChanged]) -> tuple[Action, ...]:
    """Put the stages of each action together."""
    by_action: dict[str, list[ActionChanged]] = {}
    for change in changes:
        by_action.setdefault(change.action, []).append(change)
    return tuple(_action(of) for of in by_action.values())


def _action(changes: list[ActionChanged]) -> Action:
    stages: dict[str, int] = {}
    for change in changes:
        stages.setdefault(change.stage, change.t)
    proofs = [
        change.proved_t for change in changes if change.stage == "proved" and change.proved_t is not None
    ]
    tasks = tuple(dict.fromkeys(task for change in changes for task in change.tasks))
    first = changes[0]
    detail = {name: value for change in changes for name, value in change.detail.items()}
    return Action(first.action, first.kind, first.by, tasks, stages, min(proofs, default=None), detail)


def faults_of(actions: Iterable[Action]) -> tuple[Fault, ...]:
    """The timeline's actions in order; the load's begin only where the timeline has nothing else."""
    ordered = sorted(
        (action for action in actions if action.by == "timeline"), key=lambda action: action.begun
    )
    others = [action for action in ordered if action.kind != "load"]
    return tuple(_fault(action) for action in others or ordered)


def _fault(action: Action) -> Fault:
    if not action.applies:
        return Fault(action, action.stages["inapplicable"], refuted=False)
    proved = "proved" in action.stages
    effect = (action.proved_t or action.stages["proved"]) if proved else None
    refuted = not proved and ("unproved" in action.stages or "failed" in action.stages)
    return Fault(action, effect, refuted)
