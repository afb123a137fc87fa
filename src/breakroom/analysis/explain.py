"""Why a contender lost the time it lost: the recovery's parts, the largest first, as reasons.

Called by `analysis.trial`. Pure. Two questions are told apart:

- *lost*: the time from the fault until users were served again, where it was longer than two spacings and they were
  not served by other replicas all the while. Its parts are the stretches between the recovery's moments.
- *capacity*: where the other replicas went on serving, the requests that failed, and the time until full capacity.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from breakroom.analysis.explain_kinds import tell_kinds
from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.kinds import NO_KINDS, Kinds
from breakroom.analysis.reasons import reason
from breakroom.analysis.recovery import Recovery
from breakroom.analysis.results import CutConnections, Reason
from breakroom.analysis.settings import healthcheck, is_container, restart_policy, restarts

__all__ = ["Part", "explain", "parts"]

_CHAIN = ("detected", "replaced", "running", "in_rotation")


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of the way back, in ns. `name` as in the codes: `restart-delay`, `app-start` and so on."""

    name: str
    start: int
    end: int

    @property
    def ns(self) -> int:
        """Its length."""
        return self.end - self.start


def explain(
    facts: TrialFacts,
    recovery: Recovery | None,
    cut: CutConnections,
    *,
    spacing_ns: int,
    window_end: int,
    outage_ns: int = 0,
    kinds: Kinds = NO_KINDS,
) -> tuple[Reason, ...]:
    """The sentences, the dominating part first; empty where nothing about the service can be said.

    That is so without a fault's effect, in a trial cut off right at it, and in one that breakroom itself made fail.
    What is about one kind of failure alone (`kinds`) comes behind; of planned acts there is nothing else to say.
    """
    if recovery is None or facts.outcome == "failed" or window_end - recovery.zero < spacing_ns:
        return ()
    about = tell_kinds(facts, kinds)
    if facts.planned:
        return about or (_under_load(kinds, outage_ns, recovery),)
    return (*_way_back(facts, recovery, cut, spacing_ns, window_end, outage_ns), *about)


def _under_load(kinds: Kinds, outage_ns: int, recovery: Recovery) -> Reason:
    """What a load did to a contender with which nothing else was done."""
    if not recovery.errors:
        return reason("act.no-failures")
    return reason("act.failures", failed=kinds.failed, s=outage_ns / 1e9)


def _way_back(
    facts: TrialFacts,
    recovery: Recovery,
    cut: CutConnections,
    spacing_ns: int,
    window_end: int,
    outage_ns: int,
) -> tuple[Reason, ...]:
    """What was lost after a fault, and why."""
    if not recovery.errors and recovery.lasting:
        return (reason("lost.nothing"), *_capacity(facts, recovery, window_end))
    back = recovery.at("first_success")
    if back is None:
        return _never(facts, recovery, window_end)
    if not recovery.lasting:
        seen, wanted = (back - recovery.zero) / 1e9, facts.stable_duration / 1e9
        return (reason("lost.not-lasting", s=seen, watched_s=(window_end - back) / 1e9, stable_s=wanted),)
    served = _others_served(facts, window_end) and (cut.within or outage_ns <= 2 * spacing_ns)
    if back - recovery.zero > 2 * spacing_ns and not served:
        found = parts(facts, recovery, back)
        return (
            *_reasons("lost", facts, found, back - recovery.zero),
            *_capacity_left(facts, recovery, back, window_end),
        )
    return (_failures(cut), *_while_in_force(facts, recovery, back), *_capacity(facts, recovery, window_end))


def _while_in_force(facts: TrialFacts, recovery: Recovery, back: int) -> tuple[Reason, ...]:
    """That some requests failed for as long as the fault was in force, where that was so."""
    found = parts(facts, recovery, back)
    if not found or found[0].name != "fault-in-force":
        return ()
    return _reasons("lost", facts, found, back - recovery.zero)


def parts(facts: TrialFacts, recovery: Recovery, until: int) -> list[Part]:
    """The way from zero to `until`, cut at the recovery's moments, in order, without gaps; empty parts left out.

    What lies behind the last moment known is the app's start where its process ran and nobody had been served
    yet.
    """
    found: list[Part] = []
    at = recovery.zero
    undone = _undone(facts)
    if undone is not None and _nothing_replaced(recovery, undone):
        end = min(max(undone, at), until)
        parts_of_it = [Part("fault-in-force", at, end), Part("after-undo", end, until)]
        return [part for part in parts_of_it if part.ns > 0]
    by_person = _by_person(facts, recovery)
    for name in _CHAIN:
        moment = recovery.at(name)
        # A container engine does nothing about what it finds unhealthy: until the person acts, it is that one's time.
        if moment is None or (name == "detected" and by_person):
            continue
        end = min(max(moment, at), until)
        found += _split(facts, name, at, end)
        at = end
    again, at = _lives_after(facts, recovery, at, until)
    found += again
    found.append(Part(_rest(facts, recovery, at, until), at, until))
    return [part for part in found if part.ns > 0]


def _lives_after(facts: TrialFacts, recovery: Recovery, at: int, until: int) -> tuple[list[Part], int]:
    """A container that died again and again: its later lives, and the ways to them; and where the rest begins.

    A life ends as *failed again*, however long it was and however well it served; what goes by from there to the next
    process is its policy's or a person's, as after the first death. A service's replicas die beside each other: of them
    there is only the whole.
    """
    if not is_container(facts) or recovery.at("in_rotation") is None or len(facts.faults) > 1:
        return [], at
    found: list[Part] = []
    lives = sorted(facts.tasks.values(), key=lambda life: life.created)
    for life, following in pairwise(life for life in lives if life.created >= recovery.zero):
        if life.ended is None or life.ended < at or life.ended >= until:
            continue
        found.append(Part("failed-again", at, life.ended))
        at = life.ended
        for name, moment in (("replaced", following.created), ("running", following.process_started)):
            if moment is not None and at < moment < until:
                found += _split(facts, name, at, moment)
                at = moment
    return found, at


def _by_person(facts: TrialFacts, recovery: Recovery) -> bool:
    """Whether a container's new task is a person's doing."""
    replaced = recovery.at("replaced")
    return (
        is_container(facts)
        and replaced is not None
        and any(recovery.zero <= act.begun <= replaced for act in facts.acts)
    )


def _undone(facts: TrialFacts) -> int | None:
    """When the only fault was taken back in the time of observation; None if it was not, or there are several."""
    fault = facts.fault
    if fault is None or len(facts.faults) > 1:
        return None
    undone = fault.action.stages.get("undone")
    end = facts.phases.get("undoing")
    return undone if undone is not None and (end is None or undone < end) else None


def _nothing_replaced(recovery: Recovery, undone: int) -> bool:
    """Whether no new task was made before the fault was taken back: then its end was the way back."""
    replaced = recovery.at("replaced")
    return replaced is None or replaced >= undone


def _split(facts: TrialFacts, reached: str, start: int, end: int) -> list[Part]:
    """The part that ends with the moment `reached`; an operator's waiting is cut out of it."""
    names = {
        "detected": "detection",
        "replaced": "replacement",
        "running": "restart-delay",
        "in_rotation": "first-health-probe" if _has_health(facts) else "rotation",
    }
    name = names[reached]
    if reached in {"replaced", "running"}:
        # A container's new task is made by its policy or by a person: all of the time before is that one's.
        if is_container(facts):
            name = "restart-delay" if restarts(facts) else "replacement"
        begun = next((act.begun for act in facts.acts if start < act.begun <= end), None)
        if begun is not None:
            return [Part("waiting-for-operator", start, begun), Part("replacement", begun, end)]
    return [Part(name, start, end)]


def _failed_again(facts: TrialFacts, recovery: Recovery, since: int, until: int) -> bool:
    """Whether a replacement failed as well before the users were served again: a leak that was started anew."""
    fault = facts.fault
    hit = {facts.tasks[task].slot for task in fault.action.tasks if task in facts.tasks} if fault else set()
    return any(
        life.slot in hit
        and life.created >= recovery.zero
        and change.state == "failed"
        and since < change.t < until
        for life in facts.tasks.values()
        for change in life.changes
    )


def _rest(facts: TrialFacts, recovery: Recovery, since: int, until: int) -> str:
    """What the time after the last known moment, `since`, was spent on."""
    if len(facts.faults) > 1:
        return "unexplained"  # the moments are the first fault's; what the later ones cost they do not say
    if recovery.at("in_rotation") is not None:
        if _failed_again(facts, recovery, since, until):
            return "failed-again"
        return "after-return" if _has_health(facts) else "app-start"
    if recovery.at("running") is not None:
        return "first-health-probe" if _has_health(facts) else "app-start"
    if recovery.at("replaced") is not None:
        return "restart-delay"
    if recovery.at("detected") is not None:
        waits = is_container(facts) and not restarts(facts)
        return "waiting-for-operator" if waits else "replacement"
    return _nobody_noticed(facts)


def _nobody_noticed(facts: TrialFacts) -> str:
    """What is waited for where the platform never showed that it knew of the replicas that were hit."""
    fault = facts.fault
    if fault is None or not fault.action.tasks:
        return "unexplained"
    has_operator = facts.contender.get("operator") is not None
    return "waiting-for-operator" if has_operator and is_container(facts) else "detection"


def _reasons(prefix: str, facts: TrialFacts, found: list[Part], whole: int) -> tuple[Reason, ...]:
    """Parts of one name added up, the largest first; those below 2 % of the whole are left out, but never all."""
    sums: dict[str, int] = {}
    for part in found:
        sums[part.name] = sums.get(part.name, 0) + part.ns
    ranked = sorted(sums.items(), key=lambda item: -item[1])
    shown = [item for item in ranked if item[1] >= 0.02 * whole] or ranked[:1]
    return tuple(_part_reason(prefix, facts, name, ns, whole) for name, ns in shown)


def _part_reason(prefix: str, facts: TrialFacts, name: str, ns: int, whole: int) -> Reason:
    if prefix == "capacity" and name in {"app-start", "after-return"}:
        name = "unexplained"
    extra: dict[str, object] = {}
    if name == "restart-delay":
        extra["delay_s"] = _policy_delay(facts)
    elif name == "first-health-probe":
        extra["interval_s"] = _health_interval(facts)
    elif name == "fault-in-force":
        extra["kind"] = facts.fault.action.kind if facts.fault is not None else ""
    elif name == "waiting-for-operator":
        extra["modelled"] = not any(act.by == "person" for act in facts.acts)
    return reason(f"{prefix}.{name}", s=ns / 1e9, share=ns / whole if whole else 0.0, **extra)


def _capacity(facts: TrialFacts, recovery: Recovery, window_end: int) -> tuple[Reason, ...]:
    """Why capacity was reduced for as long as it was, though users were served."""
    full = recovery.at("full_capacity")
    lowest = _shortest(facts, window_end)
    end = window_end if full is None else full
    seconds = (end - recovery.zero) / 1e9
    if lowest is None:
        return ()
    code = "capacity.never-restored" if full is None else "capacity.reduced"
    head = reason(code, s=seconds, lowest=lowest[0], wanted=lowest[1])
    if full is None:
        return (head,)
    return (head, *_reasons("capacity", facts, parts(facts, recovery, full), full - recovery.zero))


def _capacity_left(facts: TrialFacts, recovery: Recovery, back: int, window_end: int) -> tuple[Reason, ...]:
    """That capacity came back only after the users were served, where it did."""
    full, lowest = recovery.at("full_capacity"), _shortest(facts, window_end)
    if full is None or full <= back or lowest is None:
        return ()
    return (reason("capacity.reduced", s=(full - recovery.zero) / 1e9, lowest=lowest[0], wanted=lowest[1]),)


def _shortest(facts: TrialFacts, until: int) -> tuple[int, int] | None:
    """(in rotation, wanted) when most were missing from the fault until `until`; None if never one was."""
    fault = facts.fault
    if fault is None:
        return None
    short = [(inside - wanted, inside, wanted) for t, inside, wanted in facts.capacity_steps if t < until]
    first = sum(1 for t, _, _ in facts.capacity_steps if t < fault.since)
    worst = min(short[max(first - 1, 0) :], default=(0, 0, 0))
    return None if worst[0] >= 0 else worst[1:]


def _never(facts: TrialFacts, recovery: Recovery, window_end: int) -> tuple[Reason, ...]:
    found = parts(facts, recovery, window_end)
    stuck = found[-1].name if found else "unexplained"
    return (reason("lost.never-recovered", s=(window_end - recovery.zero) / 1e9, part=stuck),)


def _failures(cut: CutConnections) -> Reason:
    if cut.within is None:
        return reason("lost.single-failures", failed=cut.failed_requests)
    code = "lost.cut-connections" if cut.within else "lost.more-than-cut"
    return reason(code, failed=cut.failed_requests, open=cut.open_on_target, refused=cut.refused_by_target)


def _lowest_rotation(facts: TrialFacts, until: int) -> int | None:
    """The fewest tasks in rotation from the fault until `until`: afterwards the director takes all away."""
    fault = facts.fault
    if fault is None:
        return None
    steps = facts.rotation_steps
    before = [inside for t, inside in steps if t < fault.since][-1:]
    return min((*before, *(inside for t, inside in steps if fault.since <= t < until)), default=None)


def _others_served(facts: TrialFacts, until: int) -> bool:
    lowest = _lowest_rotation(facts, until)
    return lowest is not None and lowest > 0


def _has_health(facts: TrialFacts) -> bool:
    """Whether health gates rotation. Under a plain container engine it does not."""
    return not is_container(facts) and healthcheck(facts) is not None


def _health_interval(facts: TrialFacts) -> float | None:
    """How often a starting task is probed: `start_interval` within `start_period`, `interval` else."""
    check = healthcheck(facts)
    if check is None:
        return None
    return (check.start_interval if check.start_period else check.interval) / 1e9


def _policy_delay(facts: TrialFacts) -> float | None:
    """The restart policy's delay; None for a container engine, whose delay grows with each try."""
    return None if is_container(facts) else restart_policy(facts).delay / 1e9
