"""Marks and bands for the plots: moments worth a line, and each task's life as stretches of one state.

Called by `analysis.trial`. Pure.
"""

from __future__ import annotations

from breakroom.analysis.actions import OPERATORS
from breakroom.analysis.facts import TERMINAL_STATES, Action, TaskLife, TrialFacts
from breakroom.analysis.reasons import reason
from breakroom.analysis.recovery import Recovery
from breakroom.analysis.results import Band, Mark
from breakroom.journal.records import UpdateChanged

__all__ = ["bands", "marks"]


def marks(facts: TrialFacts, recovery: Recovery | None) -> tuple[Mark, ...]:
    """What was done, how updates went, and the recovery's moments, in order of time."""
    found = [mark for action in facts.actions for mark in _of_action(facts, action)]
    found += [mark for change in facts.updates for mark in _of_update(facts, change)]
    for act in facts.acts:
        label = reason("mark.operator-act", kind=act.kind, modelled=act.by == "operator-model")
        found.append(Mark(at_s=facts.seconds(act.done or act.begun), kind="operator", label=label))
    if recovery is not None:
        for name, at in recovery.moments.items():
            if name != "fault" and at is not None:
                label = reason("mark." + name.replace("_", "-"))
                found.append(Mark(at_s=facts.seconds(at), kind=name, label=label))
    return tuple(sorted(found, key=lambda mark: mark.at_s))


def _of_action(facts: TrialFacts, action: Action) -> list[Mark]:
    """Planned acts stand where their command was given, faults where they took effect."""
    if action.by in OPERATORS:
        return []
    if not action.applies:
        label = reason("mark.inapplicable", kind=action.kind)
        return [Mark(at_s=facts.seconds(action.begun), kind="inapplicable", label=label)]
    if not action.planned:
        return _of_fault(facts, action) if action.by == "timeline" else []
    if action.done is None:
        return []
    replicas = action.detail.get("replicas")
    label = reason("mark.action", kind=action.kind)
    if action.kind == "scale" and replicas is not None:
        label = reason("mark.scale", replicas=int(replicas), by=action.by)
    return [Mark(at_s=facts.seconds(action.begun), kind=action.kind, label=label)]


_UPDATE_STATES = {
    "completed": "mark.update-completed",
    "paused": "mark.update-paused",
    "rollback_started": "mark.rollback-started",
    "rollback_completed": "mark.rollback-completed",
    "rollback_paused": "mark.rollback-paused",
}
"""Swarm's states of an update that are worth a line; that it has begun its own mark says."""


def _of_update(facts: TrialFacts, change: UpdateChanged) -> list[Mark]:
    code = _UPDATE_STATES.get(change.state)
    return [] if code is None else [Mark(at_s=facts.seconds(change.t), kind="update", label=reason(code))]


def _of_fault(facts: TrialFacts, action: Action) -> list[Mark]:
    found = []
    if action.proved_t is not None or "proved" in action.stages:
        at = action.proved_t if action.proved_t is not None else action.stages["proved"]
        label = reason("mark.fault", kind=action.kind, tasks=len(action.tasks))
        found.append(Mark(at_s=facts.seconds(at), kind="fault", label=label))
    elif "unproved" in action.stages:
        label = reason("mark.fault-unproved", kind=action.kind)
        found.append(Mark(at_s=facts.seconds(action.begun), kind="fault", label=label))
    if "undone" in action.stages:
        label = reason("mark.undone", kind=action.kind)
        found.append(Mark(at_s=facts.seconds(action.stages["undone"]), kind="undone", label=label))
    return found


def bands(facts: TrialFacts, end: int) -> tuple[Band, ...]:
    """Every task's life up to `end` (ns), by slot, then by creation; terminal stretches last until the end."""
    found: list[Band] = []
    for life in sorted(facts.tasks.values(), key=lambda life: (life.slot, life.created)):
        found += _life(facts, life, end)
    return tuple(found)


def _life(facts: TrialFacts, life: TaskLife, end: int) -> list[Band]:
    """State changes and rotation changes merged into one sequence of stretches."""
    moments = [(change.t, 0, change.state) for change in life.changes]
    moments += [
        (change.t, 1, "in" if change.in_rotation else "out")
        for change in facts.rotation
        if change.task == life.task
    ]
    stretches: list[tuple[int, str]] = []
    state, inside = "new", False
    for t, kind, value in sorted(moments, key=lambda moment: moment[:2]):
        if kind == 0:
            state = value
        else:
            inside = value == "in"
        shown = "rotation" if inside and state not in TERMINAL_STATES else state
        if stretches and stretches[-1][1] == shown:
            continue
        stretches.append((t, shown))
    limits = [t for t, _ in stretches[1:]] + [end]
    return [
        Band(
            task=life.task,
            slot=life.slot,
            version=life.version,
            state=state,
            from_s=facts.seconds(start),
            to_s=facts.seconds(min(until, end)),
        )
        for (start, state), until in zip(stretches, limits, strict=True)
        if min(until, end) > start
    ]
