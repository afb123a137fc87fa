"""The course's checkpoints, phase by phase, each ticked by what the run measured or left open with the reason.

Called by `report.view`. A tick needs a finding of a trial that can be trusted, and names the drill it came from; what
was not run, not known or turned out otherwise stays open and says so. Their texts in Korean are the handout's, word for
word. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from breakroom.analysis.results import ContenderResults, RunResults, TrialResults
from breakroom.i18n import Translator
from breakroom.report.comparison import marked

__all__ = ["Checkpoint", "CheckpointPhase", "checkpoints"]

EVEN = 0.05
"""The p-value from which on nothing speaks against an even spread of requests."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One line of the course's list."""

    text: str
    ticked: bool
    why: str


@dataclass(frozen=True, slots=True)
class CheckpointPhase:
    """One phase's list."""

    title: str
    points: tuple[Checkpoint, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The trials of a run, by what they can tick."""

    results: RunResults
    t: Translator
    containers: tuple[TrialResults, ...] = field(default=())
    services: tuple[TrialResults, ...] = field(default=())


Tick = tuple[bool, str]


def checkpoints(results: RunResults, t: Translator) -> tuple[CheckpointPhase, ...]:
    """All phases with their checkpoints."""
    kinds = {name: one.runs_as for drill in results.drills for one in drill.contenders for name in one.trials}
    trusted = [trial for trial in results.trials if not trial.reasons_unknown]
    seen = _Seen(
        results,
        t,
        tuple(trial for trial in trusted if kinds.get(trial.id) == "container"),
        tuple(trial for trial in trusted if kinds.get(trial.id) == "service"),
    )
    return tuple(
        CheckpointPhase(title, tuple(Checkpoint(text, *tick(seen)) for text, tick in points))
        for title, points in _phases(t)
    )


def _phases(t: Translator) -> Iterator[tuple[str, tuple[tuple[str, Callable[[_Seen], Tick]], ...]]]:
    yield (
        t.say("Phase 1 checkpoints"),
        (
            (t.say("A single container's failure was gone through"), _failed),
            (t.say("A memory leak was seen to slow the service down"), _leaked),
            (t.say("How hard recovery by hand is and how long it takes was seen"), _by_hand),
            (t.say("How long the service was down and how far that reached was measured"), _reach),
        ),
    )
    yield (
        t.say("Phase 2 checkpoints"),
        (
            (t.say("A Docker Swarm cluster was built"), _swarm),
            (t.say("Automatic recovery was seen at work"), _automatic),
            (t.say("Scaling without an outage was gone through"), _scaled),
            (t.say("Load balancing was seen at work"), _balanced),
        ),
    )
    yield (
        t.say("Phase 3 checkpoints"),
        (
            (t.say("What the service does in a network failure was seen"), _network),
            (t.say("A rolling update without an outage succeeded"), _updated),
            (t.say("Recovery by health checks was understood"), _health),
            (t.say("What orchestration does in involved failures was gone through"), _effect),
        ),
    )


def _open(seen: _Seen, trials: Sequence[TrialResults], what: str) -> Tick:
    """Not ticked: nothing of that kind was run, or what was run cannot be trusted."""
    doubtful = [trial for trial in seen.results.trials if trial.reasons_unknown]
    if not trials and doubtful:
        return False, seen.t.say("no trial of that kind can be trusted")
    return False, seen.t.say("not run: no drill of this run {what}", what=what)


def _where(trial: TrialResults) -> str:
    return f"{trial.drill}/{trial.contender}"


def _failed(seen: _Seen) -> Tick:
    hit = [trial for trial in seen.containers if trial.fault_proved]
    if not hit:
        return _open(seen, hit, seen.t.say("broke a single container"))
    drills = tuple(dict.fromkeys(trial.drill for trial in hit))
    return True, seen.t.say("failure proved in {drills:list}", drills=drills)


def _leaked(seen: _Seen) -> Tick:
    t = seen.t
    leaks = [(trial, trial.leak) for trial in (*seen.containers, *seen.services) if trial.leak is not None]
    known = [
        (trial, leak)
        for trial, leak in leaks
        if leak.latency_first_s is not None and leak.latency_last_s is not None
    ]
    if not leaks:
        return _open(seen, [], t.say("has an app that leaks memory"))
    if not known:
        return False, t.say("how fast it answered before it died is not known")
    trial, leak = max(
        known, key=lambda pair: (pair[1].latency_last_s or 0.0) / (pair[1].latency_first_s or 1.0)
    )
    values = {"where": _where(trial), "first": leak.latency_first_s, "last": leak.latency_last_s}
    if (leak.latency_last_s or 0.0) > (leak.latency_first_s or 0.0):
        return True, t.say("{where}: latency p50 {first:duration} → {last:duration} before death", **values)
    return False, t.say(
        "{where}: it did not become slower before its death ({first:duration} → {last:duration})", **values
    )


def _by_hand(seen: _Seen) -> Tick:
    t = seen.t
    acted = [trial for trial in seen.containers if trial.operator.acts > 0]
    done = [trial for trial in acted if trial.operator.restored_after_s is not None]
    if not acted:
        return _open(seen, acted, t.say("needed a person"))
    if not done:
        return False, t.say("a person acted, but the service was not restored while it was watched")
    trial = max(done, key=lambda trial: trial.operator.restored_after_s or 0.0)
    text = t.say(
        "{where}: restored by a person {after:duration} after the fault",
        where=_where(trial),
        after=trial.operator.restored_after_s,
    )
    return True, marked(text, t, modelled=trial.operator.modelled)


def _reach(seen: _Seen) -> Tick:
    t = seen.t
    known = [
        trial
        for trial in seen.containers
        if trial.fault_proved and trial.outage_total_s is not None and trial.blast_radius is not None
    ]
    if not known:
        return _open(seen, known, t.say("measured an outage of a single container"))
    trial = max(known, key=lambda trial: trial.outage_total_s or 0.0)
    text = t.say(
        "{where}: down for {outage:duration}, {radius:ratio} of the requests hit",
        where=_where(trial),
        outage=trial.outage_total_s,
        radius=trial.blast_radius,
    )
    return True, marked(text, t, modelled=trial.modelled)


def _swarm(seen: _Seen) -> Tick:
    t = seen.t
    if seen.results.platform != "swarm":
        return False, t.say(
            "this run was on the platform {platform}; `breakroom run --platform swarm` runs on a Swarm",
            platform=seen.results.platform,
        )
    if not seen.services:
        return _open(seen, [], t.say("ran a service on the Swarm"))
    return True, t.say("a service became steady on a real Swarm")


def _automatic(seen: _Seen) -> Tick:
    t = seen.t
    hit = [
        trial
        for trial in seen.services
        if trial.fault_proved and any(p.name == "replaced" and p.at_s is not None for p in trial.recovery)
    ]
    back = [trial for trial in hit if trial.operator.acts == 0 and trial.time_to_full_capacity_s is not None]
    if not hit:
        return _open(seen, hit, t.say("lost a replica of a service"))
    if not back:
        return False, t.say("full capacity did not come back while it was watched")
    trial = max(back, key=lambda trial: trial.time_to_full_capacity_s or 0.0)
    return True, t.say(
        "in {count:count} of {all:count} trials; {where} took longest, {after:duration} to full capacity",
        count=len(back),
        all=len(hit),
        where=_where(trial),
        after=trial.time_to_full_capacity_s,
    )


def _scaled(seen: _Seen) -> Tick:
    t = seen.t
    scaled = [trial for trial in seen.services if any(scale.applied for scale in trial.scaling)]
    if not scaled:
        return _open(seen, scaled, t.say("scaled a service"))
    lost = sum(scale.failed_requests for trial in scaled for scale in trial.scaling)
    late = any(scale.applied and scale.reached_at_s is None for trial in scaled for scale in trial.scaling)
    where = _where(scaled[0])
    if late:
        return False, t.say("{where}: not all replicas came while it was watched", where=where)
    text = t.say(
        "{where}: {lost:count} {lost:plural:request|requests} lost while scaling", where=where, lost=lost
    )
    return lost == 0, text


def _balanced(seen: _Seen) -> Tick:
    t = seen.t
    several = [
        trial
        for trial in seen.services
        if len(trial.balance.per_task) > 1 and trial.balance.p_value is not None
    ]
    if not several:
        return _open(seen, several, t.say("had several replicas to balance over"))
    even = [trial for trial in several if (trial.balance.p_value or 0.0) > EVEN]
    worst = max(several, key=lambda trial: trial.balance.largest_to_smallest or 0.0)
    return bool(even) and len(even) * 2 > len(several), t.say(
        "even in {even:count} of {all:count} trials; busiest ÷ idlest replica at most {ratio}",
        even=len(even),
        all=len(several),
        ratio=f"{worst.balance.largest_to_smallest or 0.0:.2f}",
    )


def _network(seen: _Seen) -> Tick:
    hit = [
        trial
        for trial in (*seen.containers, *seen.services)
        if trial.impairment is not None and trial.fault_proved
    ]
    if not hit:
        return _open(seen, hit, seen.t.say("made a link bad"))
    drills = tuple(dict.fromkeys(trial.drill for trial in hit))
    return True, seen.t.say("measured before, during and after in {drills:list}", drills=drills)


def _updated(seen: _Seen) -> Tick:
    t = seen.t
    tried = [
        (trial, update) for trial in seen.services for update in trial.updates if update.kind == "update"
    ]
    done = [(trial, update) for trial, update in tried if update.state == "completed"]
    if not tried:
        return _open(seen, [], t.say("updated a service"))
    if not done:
        return False, t.say("no update came to its end")
    trial, update = min(done, key=lambda pair: pair[1].failed_requests)
    return update.failed_requests == 0, t.say(
        "{where}: {old} → {new} in {duration:duration}, {failed:count} {failed:plural:request|requests} failed",
        where=_where(trial),
        old=update.old_version,
        new=update.new_version,
        duration=update.duration_s,
        failed=update.failed_requests,
    )


def _health(seen: _Seen) -> Tick:
    t = seen.t
    looked = [(trial, found) for trial in seen.services for found in trial.detection]
    done = [
        (trial, found)
        for trial, found in looked
        if found.unhealthy_at_s is not None and found.replaced_at_s is not None
    ]
    if not looked:
        return _open(seen, [], t.say("made a health check fail"))
    if not done:
        return False, t.say("no replica was replaced because its health check failed")
    trial, found = done[0]
    return True, t.say(
        "{where}: unhealthy after {unhealthy:duration}, replaced after {replaced:duration}",
        where=_where(trial),
        unhealthy=found.unhealthy_at_s,
        replaced=found.replaced_at_s,
    )


def _effect(seen: _Seen) -> Tick:
    t = seen.t
    better = compared = 0
    for drill in seen.results.drills:
        of = {
            kind: [value for one in drill.contenders if one.runs_as == kind for value in _outage(one)]
            for kind in ("container", "service")
        }
        if of["container"] and of["service"]:
            compared += 1
            better += min(of["service"]) < max(of["container"])
    if not compared:
        return _open(seen, [], t.say("compared a container with a service"))
    return better > 0, t.say(
        "orchestrated, the service was down for less time in {better:count} of {all:count} drills",
        better=better,
        all=compared,
    )


def _outage(contender: ContenderResults) -> list[float]:
    spread = contender.metrics.get("outage")
    return [spread.median] if spread is not None and spread.median is not None else []
