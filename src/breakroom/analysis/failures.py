"""The failure log: every task that ended or was found sick under observation, with its state at that moment.

Called by `analysis.trial`. Pure. This is what the course has its learners write by hand (`failure-log.txt`, `docker
logs`, `docker stats`). What the platform stopped on purpose (an update, a scale, a person's restart) is no failure.
"""

from __future__ import annotations

from dataclasses import dataclass

from breakroom.analysis.facts import TERMINAL_STATES, TaskLife, TrialFacts
from breakroom.analysis.results import FailureMoment
from breakroom.journal.records import TaskChanged

__all__ = ["MOST", "failure_moments"]

MOST = 200
"""Lines that are kept, the first ones: a program that dies at every start would fill a report."""
_ON_PURPOSE = frozenset({"shutdown", "remove"})


@dataclass(frozen=True, slots=True)
class _Moment:
    t: int
    state: str
    change: TaskChanged | None


def failure_moments(facts: TrialFacts, window_end: int, zero_unix_s: float) -> tuple[FailureMoment, ...]:
    """All lines in order of time, from the begin of observation until the clean-up."""
    start = facts.phases.get("faulting")
    if start is None:
        return ()
    found = [
        (moment, life)
        for life in facts.tasks.values()
        for moment in (_ended(facts, life), _sick(facts, life))
        if moment is not None and start <= moment.t < window_end
    ]
    ordered = sorted(found, key=lambda pair: pair[0].t)
    return tuple(_line(facts, life, moment, zero_unix_s) for moment, life in ordered[:MOST])


def _ended(facts: TrialFacts, life: TaskLife) -> _Moment | None:
    """Its end, unless that was wanted. Several records may tell it; the one that knows most of it counts."""
    over = [change for change in life.changes if change.state in TERMINAL_STATES]
    if not over:
        return None
    known = next(
        (
            change
            for change in over
            if change.error or change.exit_code is not None or change.signal is not None
        ),
        over[0],
    )
    wanted = over[0].state in _ON_PURPOSE and not any(change.oom_killed for change in over)
    if wanted and not _was_sick(facts, life.task, over[0].t):
        return None
    return _Moment(over[0].t, over[0].state, known)


def _sick(facts: TrialFacts, life: TaskLife) -> _Moment | None:
    at = next(
        (probe.t for probe in facts.health if probe.task == life.task and probe.status == "unhealthy"),
        None,
    )
    return None if at is None else _Moment(at, "unhealthy", None)


def _was_sick(facts: TrialFacts, task: str, until: int) -> bool:
    return any(
        probe.task == task and probe.status == "unhealthy" and probe.t <= until for probe in facts.health
    )


def _line(facts: TrialFacts, life: TaskLife, moment: _Moment, zero_unix_s: float) -> FailureMoment:
    stats = [one for one in facts.stats if one.task == life.task and one.t <= moment.t]
    log = next((one for one in reversed(facts.logs) if one.task == life.task), None)
    at_s = facts.seconds(moment.t)
    change = moment.change
    return FailureMoment(
        at_s=at_s,
        unix_s=zero_unix_s + at_s if zero_unix_s else 0.0,
        task=life.task,
        slot=life.slot,
        state=moment.state,
        error=change.error if change is not None else _said(facts, life.task, moment.t),
        exit_code=change.exit_code if change is not None else None,
        signal=change.signal if change is not None else None,
        oom=change is not None and any(one.oom_killed for one in life.changes),
        memory_bytes=stats[-1].memory_bytes if stats else None,
        memory_limit_bytes=stats[-1].memory_limit_bytes if stats else None,
        log_file=log.file if log is not None else "",
        log_tail=log.tail if log is not None else "",
    )


def _said(facts: TrialFacts, task: str, t: int) -> str:
    """What the health check's probe printed, on one line and without what fills it up."""
    said = next((probe.output for probe in facts.health if probe.task == task and probe.t == t), "")
    return " ".join(said.split())
