"""Changes of the number of replicas: how soon they had their effect, and what that did for users.

Called by `analysis.trial` for each `scale`, by the timeline or the autoscaler, also where the contender has no such
act: then the same stretches are looked at, with nothing done between them. Pure.

A *level* is the stretch between two commands. Its goodput and latency are taken from when the number of replicas was
reached (after the command's own change) until the next command, without the first second, which still holds answers
that were waited for before; and not beyond a finite load's end. Less than half a second left of it says
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from breakroom.analysis.balance import balance_of
from breakroom.analysis.facts import Action, TrialFacts
from breakroom.analysis.latency import percentiles
from breakroom.analysis.reading import StreamData
from breakroom.analysis.results import ScaleFinding
from breakroom.analysis.stretch import failed_in, goodput, ok_latency, served_by

__all__ = ["SETTLING_NS", "SHORTEST_NS", "scale_findings"]

SETTLING_NS = 1_000_000_000
SHORTEST_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class _Change:
    """One command: when, from and to how many, and when that was reached (ns)."""

    action: Action
    at: int
    until: int
    before: int
    wanted: int
    reached: int | None

    @property
    def level_from(self) -> int | None:
        """When the level that it leads to begins; where nothing was to be done, at once."""
        return self.reached if self.action.applies else self.at


def scale_findings(
    facts: TrialFacts, streams: Mapping[str, StreamData], *, before_start: int, window_end: int
) -> tuple[ScaleFinding, ...]:
    """One finding a command, in order.

    Args:
        facts: The trial's facts.
        streams: Its samples.
        before_start: Where the level before the first command begins at the earliest.
        window_end: The end of observation.
    """
    changes = _changes(facts, window_end)
    begins: list[int | None] = [_with_load(streams, before_start), *(change.level_from for change in changes)]
    ends = [*(change.at for change in changes), window_end]
    levels = [_Level(facts, streams, begin, end) for begin, end in zip(begins, ends, strict=True)]
    return tuple(
        _finding(facts, streams, change, *pair)
        for change, pair in zip(changes, pairwise(levels), strict=True)
    )


def _with_load(streams: Mapping[str, StreamData], start: int) -> int:
    """The first level is under load too."""
    load = streams.get("load")
    return start if load is None else max(start, load.opened.t0)


def _changes(facts: TrialFacts, window_end: int) -> list[_Change]:
    commands = sorted(
        (
            action
            for action in facts.actions
            if action.kind == "scale"
            and action.detail.get("replicas") is not None
            and action.begun < window_end
            and (action.done is not None or not action.applies)
        ),
        key=lambda action: action.begun,
    )
    limits = [*(action.begun for action in commands), window_end]
    found = []
    for action, (at, until) in zip(commands, pairwise(limits), strict=True):
        before, wanted = facts.wanted_at(at - 1), int(action.detail["replicas"])
        reached = _reached(facts, at, until, before, wanted) if action.applies else None
        found.append(_Change(action, at, until, before, wanted, reached))
    return found


def _reached(facts: TrialFacts, at: int, until: int, before: int, wanted: int) -> int | None:
    """When as many as wanted were in rotation; on the way down, no more than that."""
    up = wanted >= before
    found: int | None = at if wanted == before else None
    for t, inside in facts.rotation_steps:
        if found is None and at <= t < until and (inside >= wanted if up else inside <= wanted):
            found = t
    return found


class _Level:
    """Goodput, latency and balance of one level; None where it is too short to tell."""

    def __init__(
        self, facts: TrialFacts, streams: Mapping[str, StreamData], begin: int | None, end: int
    ) -> None:
        load = streams.get("load")
        if load is not None and len(load) and load.closed is not None and _is_finite(load):
            end = min(end, int(load.intended[-1]))
        start = None if begin is None else begin + SETTLING_NS
        self.known = start is not None and end - start >= SHORTEST_NS
        self.start, self.end = (start, end) if start is not None and self.known else (end, end)
        self.goodput = goodput(streams.values(), self.start, self.end)
        probe = streams.get("probe")
        self.p50, self.p99 = (
            percentiles(ok_latency(probe, self.start, self.end), (0.5, 0.99))
            if probe is not None
            else (None, None)
        )
        self.tasks = facts.in_rotation_throughout(self.start, self.end) if self.known else ()


def _is_finite(load: StreamData) -> bool:
    plan = load.opened.plan
    return int(plan.get("requests") or 0) > 0 or bool(plan.get("stages"))


def _finding(
    facts: TrialFacts, streams: Mapping[str, StreamData], change: _Change, before: _Level, after: _Level
) -> ScaleFinding:
    served = served_by(streams.values(), after.start, after.end)
    spread = balance_of({task: served.get(task, 0) for task in after.tasks})
    gain = None
    if before.goodput and after.goodput is not None:
        gain = after.goodput / before.goodput
    return ScaleFinding(
        action=change.action.action,
        by=change.action.by,
        at_s=facts.seconds(change.at),
        from_replicas=change.before,
        to_replicas=change.wanted,
        applied=change.action.applies,
        reached_at_s=None if change.reached is None else facts.seconds(change.reached),
        response_s=None if change.reached is None else (change.reached - change.at) / 1e9,
        goodput_before_per_s=before.goodput,
        goodput_after_per_s=after.goodput,
        gain=gain,
        latency_p50_before_s=before.p50,
        latency_p50_after_s=after.p50,
        latency_p99_before_s=before.p99,
        latency_p99_after_s=after.p99,
        failed_requests=failed_in(streams.values(), change.at, change.until),
        per_task=spread.per_task,
        largest_to_smallest=spread.largest_to_smallest,
        p_value=spread.p_value,
    )
