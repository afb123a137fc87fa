"""Recovery taken apart: from the fault's effect to the service being stable again.

Called by `analysis.trial`. Pure. Moments of users (first error, first success) come from samples, those of
the platform from its events; they are put in the order in which they happened. With several tasks killed,
detected, replaced, running and in rotation are the moments for the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from breakroom.analysis.facts import TERMINAL_STATES, TaskLife, TrialFacts
from breakroom.analysis.periods import failed
from breakroom.analysis.reading import StreamData
from breakroom.analysis.results import PhaseTime
from breakroom.journal.samples import Outcome

__all__ = ["PHASE_NAMES", "Recovery", "recover"]

PHASE_NAMES = (
    "fault",
    "first_error",
    "detected",
    "replaced",
    "running",
    "in_rotation",
    "first_success",
    "full_capacity",
    "stable",
)

Moment = tuple[int | None, str]


@dataclass(frozen=True, slots=True)
class Recovery:
    """The moments in ns, by phase name; None: did not happen or was not seen."""

    moments: dict[str, int | None]
    sources: dict[str, str]
    errors: bool
    """Whether any request failed from the fault on."""
    lasting: bool
    """Whether the success after the last error was followed by a stable time (or there was no error)."""
    zero: int

    def at(self, name: str) -> int | None:
        """The moment of a phase."""
        return self.moments.get(name)

    @property
    def recovery_ns(self) -> int | None:
        """Fault in effect → users served again; 0 where no request failed; None where that did not come or last."""
        if not self.errors:
            return 0 if self.lasting else None
        success = self.at("first_success")
        return success - self.zero if success is not None and self.lasting else None

    @property
    def full_capacity_ns(self) -> int | None:
        """Fault in effect → every wanted task in rotation."""
        full = self.at("full_capacity")
        return full - self.zero if full is not None else None

    def during_end(self, window_end: int) -> int:
        """When the fault's consequences are over: full capacity back and last error passed."""
        full, success = self.at("full_capacity"), self.at("first_success")
        if full is None or (self.errors and success is None):
            return window_end
        return min(max(full, success or self.zero), window_end)

    def phases(self) -> tuple[PhaseTime, ...]:
        """All phases in the order in which they happened; what is not known comes last."""
        known = [(at, PHASE_NAMES.index(name), name) for name, at in self.moments.items() if at is not None]
        result = []
        previous: int | None = None
        for at, _, name in sorted(known):
            since = None if previous is None else (at - previous) / 1e9
            result.append(
                PhaseTime(
                    name=name, at_s=(at - self.zero) / 1e9, since_previous_s=since, source=self.sources[name]
                )
            )
            previous = at
        missing = [name for name in PHASE_NAMES if self.moments.get(name) is None]
        return (
            *result,
            *(
                PhaseTime(name=name, at_s=None, since_previous_s=None, source=self.sources[name])
                for name in missing
            ),
        )


def recover(facts: TrialFacts, streams: dict[str, StreamData], window_end: int) -> Recovery | None:
    """Take the recovery apart; None where no fault is known to have taken effect."""
    fault = facts.fault
    if fault is None or fault.effect is None:
        return None
    zero = fault.effect
    moments: dict[str, Moment] = {"fault": (zero, "platform")}
    counted = _counted(streams, fault.hits_from)
    errors = [_errors(stream, fault.hits_from, window_end, zero) for stream in counted]
    firsts = [
        (first, stream.name) for (first, _), stream in zip(errors, counted, strict=True) if first is not None
    ]
    moments["first_error"] = min(firsts, default=(None, "probe"))
    lasts = [last for _, last in errors if last is not None]
    moments["first_success"] = _first_success(counted, max(lasts), window_end) if lasts else (None, "probe")
    moments |= _platform_moments(facts, zero, window_end)
    moments["full_capacity"] = (_full_capacity(facts, zero, window_end), "ingress")
    users_back = moments["first_success"][0] if lasts else zero
    lasting = _lasting(facts, users_back, window_end)
    moments["stable"] = (_stable(facts, users_back, moments["full_capacity"][0], window_end), "probe")
    return Recovery(
        moments={name: moments[name][0] for name in PHASE_NAMES},
        sources={name: moments[name][1] for name in PHASE_NAMES},
        errors=bool(lasts),
        lasting=lasting,
        zero=zero,
    )


def _counted(streams: dict[str, StreamData], hit: int) -> list[StreamData]:
    """The streams whose errors are the fault's: the probe, and the load unless it also failed without any fault."""
    counted = [streams["probe"]] if "probe" in streams else []
    load = streams.get("load")
    if load is not None and _errors(load, None, hit)[0] is None:
        counted.append(load)
    return counted


def _errors(
    stream: StreamData, since: int | None, until: int, floor: int | None = None
) -> tuple[int | None, int | None]:
    """Intended times of the first and last failed request, none of them taken as earlier than `floor`.

    With `since`: of those that ended at or after it (so one in flight at that moment counts) and were to be sent before
    `until`. Without: of those that ended before `until`.
    """
    which = np.flatnonzero(failed(stream.outcome))
    intended = stream.intended[which]
    total = stream.total[which].astype(np.int64)
    total[total > _LONGEST_US] = 0
    ends = intended + total * 1_000
    inside = intended[(ends >= since) & (intended < until)] if since is not None else intended[ends < until]
    if len(inside) == 0:
        return None, None
    first, last = int(inside[0]), int(inside[-1])
    return (first, last) if floor is None else (max(first, floor), max(last, floor))


_LONGEST_US = 0xFFFFFFFE


def _first_success(streams: Iterable[StreamData], after: int, until: int) -> Moment:
    """The earliest successful request that was to be sent after `after`."""
    found: list[tuple[int, str]] = []
    for stream in streams:
        low, high = np.searchsorted(stream.intended, [after + 1, until])
        ok = stream.outcome[low:high] == Outcome.OK
        at = int(np.argmax(ok)) if len(ok) else 0
        if len(ok) and ok[at]:
            found.append((int(stream.intended[low + at]), stream.name))
    return min(found, default=(None, "probe"))


def _platform_moments(facts: TrialFacts, zero: int, window_end: int) -> dict[str, Moment]:
    """Detected, replaced, running, in rotation: each for the last of the killed tasks."""
    fault = facts.fault
    assert fault is not None
    since = fault.since
    targets = () if fault.action.planned else fault.action.tasks
    slots = [facts.tasks[task].slot if task in facts.tasks else None for task in targets]
    replacements = [_replacements(facts, slot, since, targets) for slot in slots]
    detections = [
        _detected(facts, task, since, facts.platform_until(since, window_end), lives)
        for task, lives in zip(targets, replacements, strict=True)
    ]
    by_model = any(
        act.by == "operator-model" and lives and act.begun <= lives[0].created
        for act in facts.acts
        for lives in replacements
    )
    detected = _last([at for at, _ in detections], zero)
    source = next(
        (source for at, source in detections if at is not None and max(at, zero) == detected), "platform"
    )
    return {
        "detected": (detected, source),
        "replaced": (
            _last_of(replacements, lambda life: life.created, zero),
            "model" if by_model else "platform",
        ),
        "running": (_last_of(replacements, lambda life: life.process_started, zero), "platform"),
        "in_rotation": (_last_of(replacements, lambda life: _entered(facts, life.task), zero), "ingress"),
    }


def _detected(facts: TrialFacts, task: str, since: int, until: int, replacements: list[TaskLife]) -> Moment:
    """The first event by which the platform showed that it knew: state, health, rotation, or a service's new task.

    What happens from `until` on is a person's doing, or the clean-up's.
    """
    life = facts.tasks.get(task)
    changes = life.changes if life is not None else ()
    moments: list[tuple[int, str]] = [
        (change.t, "platform") for change in changes if change.t >= since and change.state in TERMINAL_STATES
    ]
    moments += [
        (change.t, "platform")
        for change in facts.health
        if change.task == task and change.t >= since and change.status == "unhealthy"
    ]
    moments += [
        (change.t, "ingress")
        for change in facts.rotation
        if change.task == task and change.t >= since and not change.in_rotation
    ]
    if facts.started.runs_as == "service":
        # Swarm's time of a task's creation is exact; that the old task is given up is seen when next looked at.
        moments += [(life.created, "platform") for life in replacements]
    return min((moment for moment in moments if moment[0] < until), default=(None, "platform"))


def _replacements(
    facts: TrialFacts, slot: int | None, since: int, targets: tuple[str, ...]
) -> list[TaskLife]:
    """Tasks of the slot that were created after the fault, in order."""
    lives = [
        life
        for life in facts.tasks.values()
        if life.slot == slot and life.created >= since and life.task not in targets
    ]
    return sorted(lives, key=lambda life: life.created)


def _entered(facts: TrialFacts, task: str) -> int | None:
    return next((change.t for change in facts.rotation if change.task == task and change.in_rotation), None)


def _last_of(slots: list[list[TaskLife]], moment: Callable[[TaskLife], int | None], zero: int) -> int | None:
    """The moment of the last slot; each slot's is that of the first of its new tasks that has one."""
    per_slot = []
    for lives in slots:
        known = [at for at in map(moment, lives) if at is not None]
        per_slot.append(min(known) if known else None)
    return _last(per_slot, zero)


def _last(moments: list[int | None], zero: int) -> int | None:
    """The latest, if all are known; never before zero, which is the effect they follow from."""
    known = [at for at in moments if at is not None]
    return max(*known, zero) if known and len(known) == len(moments) else None


def _full_capacity(facts: TrialFacts, zero: int, window_end: int) -> int | None:
    """The begin of the last stretch, lasting to the end of observation, with every wanted task in rotation."""
    since: int | None = None
    for t, inside, wanted in facts.capacity_steps:
        if t >= window_end:
            break
        since = (t if since is None else since) if inside >= wanted else None
    return None if since is None else max(since, zero)


def _lasting(facts: TrialFacts, users_back: int | None, window_end: int) -> bool:
    """Whether users were served for a stable time until the end, or the director found so."""
    if users_back is None:
        return False
    return facts.outcome == "completed" or window_end - users_back >= facts.stable_duration


def _stable(facts: TrialFacts, users_back: int | None, full: int | None, window_end: int) -> int | None:
    if users_back is None or full is None:
        return None
    at = max(users_back, full) + facts.stable_duration
    if at <= window_end:
        return at
    # The director saw the same a few ms earlier or later than these records have it; its word counts.
    return window_end if facts.outcome == "completed" else None
