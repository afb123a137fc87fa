"""Releases: how each went, what its users met, and what it cost in capacity.

Called by `analysis.trial` for every `update` and `rollback` of the timeline; of a container both mean that it is made
anew (`replace`). Pure. A release lasts from its command until the next one's (or the end of observation); the
platform's own word (`UpdateChanged`) says how it ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from breakroom.analysis.facts import RELEASES, Action, TrialFacts
from breakroom.analysis.reading import StreamData
from breakroom.analysis.results import UpdateFinding
from breakroom.analysis.stretch import asked_in, failed_in, inside, served_by, usual_version
from breakroom.analysis.wanted import value_at

__all__ = ["update_findings"]

_ENDS = {
    "completed": "completed",
    "paused": "paused",
    "rollback_completed": "rolled-back",
    "rollback_paused": "rollback-paused",
}
"""Swarm's state → ours. Any other state is still under way."""


@dataclass(frozen=True, slots=True)
class _End:
    state: str
    message: str
    at: int | None


def update_findings(
    facts: TrialFacts, streams: Mapping[str, StreamData], window_end: int
) -> tuple[UpdateFinding, ...]:
    """One finding a release, in order."""
    kinds = RELEASES | {"replace"}
    commands = sorted(
        (
            action
            for action in facts.actions
            if action.by == "timeline" and action.kind in kinds and action.applies and action.done is not None
        ),
        key=lambda action: action.begun,
    )
    limits = [*(action.begun for action in commands), window_end]
    found: list[UpdateFinding] = []
    for action, (start, until) in zip(commands, pairwise(limits), strict=True):
        before = found[-1].new_version if found else ""
        found.append(_finding(facts, streams, action, (start, max(start, until), window_end), before))
    return tuple(found)


def _finding(
    facts: TrialFacts,
    streams: Mapping[str, StreamData],
    action: Action,
    limits: tuple[int, int, int],
    version_before: str,
) -> UpdateFinding:
    """One release. `limits`: its command, the next one's, and the end of observation."""
    start, until, window_end = limits
    kind = _kind(facts, action)
    old, new = _tasks(facts, start, until)
    end = _replaced(facts, new, until) if kind == "replace" else _ended(facts, kind, start, until)
    met = _met(facts, streams, new, start, window_end)
    asked = asked_in(streams.values(), start, window_end)
    return UpdateFinding(
        action=action.action,
        kind=kind,
        state=end.state,
        message=end.message,
        begun_at_s=facts.seconds(start),
        ended_at_s=None if end.at is None else facts.seconds(end.at),
        duration_s=None if end.at is None else (end.at - start) / 1e9,
        old_version=usual_version(streams, old) or version_before,
        new_version=usual_version(streams, new) or _told(facts, action, new),
        answered=_answered(streams.values(), start, until),
        new_version_requests=met,
        new_version_share=met / asked if met is not None and asked else None,
        failed_requests=failed_in(streams.values(), start, until),
        lowest_in_rotation=_lowest(facts, start, until if end.at is None else max(end.at, start)),
        wanted=facts.wanted_at(start),
    )


def _kind(facts: TrialFacts, action: Action) -> Literal["update", "rollback", "replace"]:
    if facts.started.runs_as == "container" or action.kind == "replace":
        return "replace"
    return "rollback" if action.kind == "rollback" else "update"


def _tasks(facts: TrialFacts, start: int, until: int) -> tuple[list[str], list[str]]:
    """Tasks of the release before that were alive at the command, and those of the new release.

    New is what was made after the command from another spec, the first such one: a person, or the platform itself, may
    have brought the old one back later. A rollback restores a spec, whose number is not higher.
    """
    alive = [
        life
        for life in facts.tasks.values()
        if life.created < start and (life.ended is None or life.ended >= start)
    ]
    before = max((life.version for life in alive), default=0)
    old = [life.task for life in alive if life.version == before]
    made = [life for life in facts.tasks.values() if start <= life.created < until and life.version != before]
    first = min(made, key=lambda life: life.created, default=None)
    return old, [life.task for life in made if first is not None and life.version == first.version]


def _told(facts: TrialFacts, action: Action, new: list[str]) -> str:
    """What the new version is called where it never answered: as the drill says, or by its image's tag."""
    environment = action.detail.get("environment")
    if isinstance(environment, dict) and environment.get("APP_VERSION"):
        return str(environment["APP_VERSION"])
    images = [change.image for task in new for change in facts.tasks[task].changes if change.image]
    image = str(action.detail.get("image") or (images[-1] if images else ""))
    name, _, tag = image.partition("@")[0].rpartition(":")
    return tag if name and "/" not in tag else image


def _ended(facts: TrialFacts, kind: str, start: int, until: int) -> _End:
    """The last that the platform said of it; a rollback that was asked for is completed when it is back."""
    said = [change for change in facts.updates if start <= change.t < until]
    if not said:
        return _End("under-way", "", None)
    last = said[-1]
    state = _ENDS.get(last.state, "under-way")
    if kind == "rollback" and state == "rolled-back":
        state = "completed"
    # The same state may be told twice, with another message: it was reached the first time.
    at = next(change.t for change in said if change.state == last.state)
    # Why it was taken back was said when that began; at its end Swarm says only that it is over.
    why = next((change.message for change in said if change.state == "rollback_started"), "")
    message = why if kind == "update" and why else last.message
    return _End(state, message, None if state == "under-way" else at)


def _replaced(facts: TrialFacts, new: list[str], until: int) -> _End:
    """A container's release is over when the new one is in rotation."""
    entered = [
        change.t
        for change in facts.rotation
        if change.task in new and change.in_rotation and change.t < until
    ]
    if not entered:
        return _End("under-way", "", None)
    return _End("replaced", "", min(entered))


def _answered(streams: Iterable[StreamData], start: int, until: int) -> dict[str, int]:
    """Version as the app said it → requests that it answered, of any outcome."""
    found: dict[str, int] = {}
    for stream in streams:
        counts = np.bincount(stream.version[inside(stream, start, until)], minlength=len(stream.names))
        for index in np.flatnonzero(counts).tolist():
            if stream.names[index]:
                found[stream.names[index]] = found.get(stream.names[index], 0) + int(counts[index])
    return dict(sorted(found.items()))


def _met(
    facts: TrialFacts, streams: Mapping[str, StreamData], new: list[str], start: int, until: int
) -> int | None:
    """Requests that met the new version until observation ended: answered by one of its tasks, or lost on one.

    Those count too that met it after the next command: it was still there then. Which task a request failed on the
    samples do not say; the ingress counts what it assigned to each. With keep-alive several requests share a
    connection, so the larger of both counts is taken for each task.
    """
    if not streams:
        return None
    answered = served_by(streams.values(), start, until, only_ok=False)
    counted = facts.started.capabilities.get("ingress", "breakroom") == "breakroom"
    assigned: dict[str, int] = {}
    for change in facts.rotation:
        if counted and change.task in new and not change.in_rotation:
            assigned[change.task] = assigned.get(change.task, 0) + change.total_connections
    return sum(max(answered.get(task, 0), assigned.get(task, 0)) for task in new)


def _lowest(facts: TrialFacts, start: int, end: int) -> int | None:
    steps = facts.rotation_steps
    at_first = value_at(steps, start)
    later = [value for t, value in steps if start <= t <= end]
    return min([*([] if at_first is None else [at_first]), *later], default=None)
