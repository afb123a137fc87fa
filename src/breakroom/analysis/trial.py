"""One trial's findings: puts the number families together.

Called by `analysis.run` with the trial's facts and samples. Pure; works on a trial that was cut off at any
record.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.advice import advise
from breakroom.analysis.availability import availability, outage_total, outcome_counts
from breakroom.analysis.balance import balance
from breakroom.analysis.bands import bands, marks
from breakroom.analysis.capacity import capacity
from breakroom.analysis.cost import replica_use, tool_cost
from breakroom.analysis.cut import cut_connections
from breakroom.analysis.explain import explain
from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.generator import generator_report, spacing_s
from breakroom.analysis.kinds import find_kinds
from breakroom.analysis.latency import latency
from breakroom.analysis.operator import operator_work
from breakroom.analysis.outages import outages
from breakroom.analysis.own import own_doubts
from breakroom.analysis.periods import AFTER, BEFORE, DURING, WINDOW, Periods, count, failed, label, window_of
from breakroom.analysis.plan import arrivals_match, ran_as_planned
from breakroom.analysis.reading import StreamData
from breakroom.analysis.reasons import reason
from breakroom.analysis.recovery import Recovery, recover
from breakroom.analysis.results import (
    Availability,
    Balance,
    GeneratorReport,
    Latency,
    Outage,
    PlanProof,
    Reason,
    TrialResults,
)
from breakroom.journal.samples import Outcome
from breakroom.spec.plan import plan_digest

__all__ = ["analyse_trial"]

_S = 1e9
_NO_AVAILABILITY = Availability(requests=None, time=None, intended=0, ok=0, window_s=0.0)


@dataclass(frozen=True, slots=True)
class _Work:
    """What the families share: facts, samples, and which request lies where."""

    facts: TrialFacts
    streams: dict[str, StreamData]
    recovery: Recovery | None
    periods: Periods | None
    labels: dict[str, NDArray[np.uint8]]

    def selected(self, bit: int) -> Iterable[tuple[StreamData, NDArray[np.bool_]]]:
        """Each stream with a mask of its requests of one period."""
        return ((stream, (self.labels[name] & bit) != 0) for name, stream in self.streams.items())

    def failed_in(self, bit: int) -> int:
        """Failed requests of all streams in a period."""
        return sum(count(failed(stream.outcome) & mask) for stream, mask in self.selected(bit))


def analyse_trial(facts: TrialFacts, streams: dict[str, StreamData], zero_unix_s: float) -> TrialResults:
    """Everything that can be found out about one trial.

    Args:
        facts: Its records, sorted out.
        streams: Its samples by stream name.
        zero_unix_s: Its zero as calendar time.
    """
    work = _prepare(facts, streams)
    kinds = find_kinds(facts, streams, work.periods, zero_unix_s)
    found = _outages(work)
    generators = tuple(generator_report(stream) for stream in streams.values())
    plan, mismatch = _plan(facts, streams)
    recovery, during = work.recovery, DURING | AFTER
    cut = cut_connections(facts, work.failed_in(during))
    resolution = _resolution(streams.get("probe"), generators)
    operator = operator_work(facts, recovery)
    window_end = work.periods.window_end if work.periods is not None else facts.last_t
    outage_ns = round(outage_total(found) * _S)
    observed = work.periods is not None and "probe" in streams
    recovery_ns = recovery.recovery_ns if recovery is not None else None
    full_ns = recovery.full_capacity_ns if recovery is not None else None
    return TrialResults(
        id=facts.id,
        drill=facts.started.drill,
        contender=facts.started.contender,
        repeat=facts.started.repeat,
        outcome=facts.outcome,
        reasons_unknown=_reasons_unknown(work, generators, mismatch),
        zero_unix_s=zero_unix_s,
        fault_proved=_fault_proved(facts),
        availability=_availability(work, found),
        outages=found,
        outage_total_s=outage_total(found) if observed else None,
        longest_outage_s=_longest(found) if observed else None,
        recovery=recovery.phases() if recovery is not None else (),
        recovery_time_s=recovery_ns / _S if recovery_ns is not None else None,
        time_to_full_capacity_s=full_ns / _S if full_ns is not None else None,
        capacity=capacity(
            streams.get("load"),
            work.labels.get("load", np.zeros(0, np.uint8)),
            work.periods,
            facts.wanted_at(work.periods.hit) if work.periods and work.periods.hit else facts.wanted,
            probe=streams.get("probe"),
        ),
        blast_radius=_blast_radius(work),
        failed_requests=work.failed_in(WINDOW),
        outcomes={
            stream.name: outcome_counts(stream.outcome[mask]) for stream, mask in work.selected(WINDOW)
        },
        latency=tuple(_latencies(work)),
        balance=_balance(work),
        operator=operator,
        cut=cut,
        generators=generators,
        plan=plan,
        explanation=explain(
            facts,
            recovery,
            cut,
            spacing_ns=round(resolution * _S),
            window_end=window_end,
            outage_ns=outage_ns,
            kinds=kinds,
        ),
        marks=marks(facts, recovery),
        bands=bands(facts, max(window_end, facts.last_t)),
        resolution_s=resolution,
        modelled=operator.modelled,
        capabilities=dict(facts.started.capabilities),
        tool_cost=tool_cost(facts.costs),
        replica_use=replica_use(facts.stats),
        left_behind=facts.cleanliness.left if facts.cleanliness is not None else None,
        updates=kinds.updates,
        scaling=kinds.scaling,
        decisions=kinds.decisions,
        impairment=kinds.impairment,
        leak=kinds.leak,
        detection=kinds.detection,
        failures=kinds.failures,
        advice=advise(
            facts,
            recovery,
            detection=kinds.detection,
            updates=kinds.updates,
            outage_ns=outage_ns,
            window_end=window_end,
        ),
    )


def _prepare(facts: TrialFacts, streams: dict[str, StreamData]) -> _Work:
    window = window_of(facts, streams)
    recovery = recover(facts, streams, window[1]) if window is not None else None
    periods = _periods(facts, streams, window, recovery)
    labels = {name: label(stream, periods) for name, stream in streams.items()}
    return _Work(facts, streams, recovery, periods, labels)


def _periods(
    facts: TrialFacts,
    streams: dict[str, StreamData],
    window: tuple[int, int] | None,
    recovery: Recovery | None,
) -> Periods | None:
    if window is None:
        return None
    start, end = window
    hit = facts.fault.hits_from if recovery is not None and facts.fault is not None else None
    return Periods(
        window_start=start,
        window_end=end,
        before_start=_before_start(facts, streams, start, hit),
        hit=hit,
        during_end=max(recovery.during_end(end), recovery.zero, facts.in_force_until(end) or 0)
        if recovery is not None
        else end,
    )


def _before_start(facts: TrialFacts, streams: dict[str, StreamData], start: int, hit: int | None) -> int:
    """Not before any stream that was there before the fault: one that began with or after it has no *before*."""
    opened = [stream.opened.t0 for stream in streams.values()]
    early = [t0 for t0 in opened if t0 < (start if hit is None else max(hit, start))]
    begin = max([start - facts.steady_duration, *early])
    return min(begin, start if hit is None else max(hit, start))


def _outages(work: _Work) -> tuple[Outage, ...]:
    probe = work.streams.get("probe")
    if probe is None or work.periods is None:
        return ()
    mask = (work.labels["probe"] & WINDOW) != 0
    return outages(
        probe.intended[mask],
        probe.outcome[mask],
        zero=work.facts.zero,
        window_end=work.periods.window_end,
        served=_served(work),
    )


def _served(work: _Work) -> NDArray[np.int64] | None:
    """When the load's requests were sent that were answered as soon as a probe must be.

    By the plan an open load's request may have been due long before: it cannot witness what was before it was sent.
    """
    load = work.streams.get("load")
    if load is None:
        return None
    deadline_us = int(work.facts.setting("probe", "timeout", default=2 * _S)) // 1_000
    inside = (work.labels["load"] & WINDOW) != 0
    served = inside & (load.outcome == Outcome.OK) & (load.total <= deadline_us)
    sent: NDArray[np.int64] = load.intended[served] + load.lag[served].astype(np.int64) * 1_000
    return sent


def _availability(work: _Work, found: tuple[Outage, ...]) -> Availability:
    probe = work.streams.get("probe")
    if probe is None or work.periods is None:
        return _NO_AVAILABILITY
    outcome = probe.outcome[(work.labels["probe"] & WINDOW) != 0]
    start = work.facts.seconds(work.periods.window_start)
    return availability(outcome, found, window_s=work.periods.window_ns / _S, window_from_s=start)


def _longest(found: tuple[Outage, ...]) -> float:
    return max((outage.duration_s for outage in found if outage.kind == "total"), default=0.0)


def _blast_radius(work: _Work) -> float | None:
    """Share of the requests *during* that failed; without a period of failure (nothing failed) 0."""
    if work.periods is None or work.periods.hit is None:
        return None
    asked = sum(count(mask & (stream.outcome != Outcome.NOT_SENT)) for stream, mask in work.selected(DURING))
    hit = work.failed_in(DURING)
    if asked:
        return hit / asked
    return 0.0 if work.recovery is not None and not work.recovery.errors else None


def _latencies(work: _Work) -> Iterable[Latency]:
    names: tuple[Literal["probe", "load"], ...] = ("probe", "load")
    bits: tuple[tuple[Literal["before", "during", "after"], int], ...] = (
        ("before", BEFORE),
        ("during", DURING),
        ("after", AFTER),
    )
    for name in names:
        stream = work.streams.get(name)
        if stream is None:
            continue
        bad = failed(stream.outcome)
        good = stream.outcome == Outcome.OK
        for period, bit in bits:
            inside = (work.labels[name] & bit) != 0
            lag = stream.lag[inside & good] if stream.opened.model == "open" else None
            yield latency(name, period, "ok", stream.total[inside & good], lag)
            yield latency(name, period, "failed", stream.total[inside & bad])


def _balance(work: _Work) -> Balance:
    periods = work.periods
    tasks: tuple[str, ...] = ()
    if periods is not None and periods.hit is not None:
        until = max(periods.window_start, periods.before_start)
        tasks = work.facts.in_rotation_throughout(periods.before_start, until)
    return balance([(stream, work.labels[name]) for name, stream in work.streams.items()], tasks)


def _plan(facts: TrialFacts, streams: dict[str, StreamData]) -> tuple[PlanProof, Reason | None]:
    checked, matched, mismatch = 0, [], None
    for name, stream in streams.items():
        number, match = arrivals_match(stream, facts.started.seed)
        if not ran_as_planned(stream, facts.started.shared_plan):
            match = False
        checked += number
        if match is not None:
            matched.append(match)
        if match is False and mismatch is None:
            mismatch = reason("unknown.plan-mismatch", stream=name, checked=number)
    proof = PlanProof(
        digest=plan_digest(facts.started.shared_plan),
        arrivals_checked=checked,
        arrivals_matched=all(matched) if matched else None,
        image_digest=str(facts.started.shared_plan.get("image_digest") or ""),
    )
    return proof, mismatch


def _resolution(probe: StreamData | None, generators: tuple[GeneratorReport, ...]) -> float:
    """What the probe can tell apart, in seconds: its spacing and its largest lag. For so long it saw nothing."""
    if probe is None:
        return 0.0
    spacing = spacing_s(probe)
    if spacing is None and len(probe) > 1:
        spacing = float(np.median(np.diff(probe.intended))) / _S
    lag = next((report.lag_max_s for report in generators if report.stream == "probe"), 0.0)
    return (spacing or 0.0) + lag


def _fault_proved(facts: TrialFacts) -> bool | None:
    """None where no fault was tried that the contender has, or its proof was still awaited when the journal ended."""
    if not any(fault.applies for fault in facts.faults):
        return None
    unproved = [fault for fault in facts.faults if fault.effect is None]
    if not unproved:
        return True
    return False if facts.ended is not None or any(fault.refuted for fault in unproved) else None


def _reasons_unknown(
    work: _Work, generators: tuple[GeneratorReport, ...], mismatch: Reason | None
) -> tuple[Reason, ...]:
    """Everything that forbids a verdict, the most telling first."""
    facts = work.facts
    reasons = [*_ending(facts), *_fault_reasons(facts)]
    probe = work.streams.get("probe")
    seen = probe is not None and bool(((work.labels["probe"] & WINDOW) != 0).any())
    if "faulting" in facts.phases and not seen:
        reasons.append(reason("unknown.no-probe"))
    reasons += [report.why_not for report in generators if report.why_not is not None]
    reasons += own_doubts(facts)
    if mismatch is not None:
        reasons.append(mismatch)
    return tuple(reasons)


def _ending(facts: TrialFacts) -> list[Reason]:
    match facts.outcome:
        case "cut-off":
            phase = max(facts.phases, key=lambda name: facts.phases[name], default="")
            return [reason("unknown.cut-off", phase=phase)]
        case "not-steady":
            within = int(facts.setting("steady_state", "within", default=0)) / _S
            return [reason("unknown.not-steady", within_s=within)]
        case "aborted":
            return [reason("unknown.aborted")]
        case "skipped":
            return [reason("unknown.skipped", message=facts.ended.reason if facts.ended is not None else "")]
        case "failed":
            return [reason("unknown.failed", message=facts.ended.reason if facts.ended is not None else "")]
        case _:
            return []


def _fault_reasons(facts: TrialFacts) -> list[Reason]:
    if facts.fault is None:
        return [] if facts.outcome in {"not-steady", "skipped"} else [reason("unknown.no-fault")]
    for fault in facts.faults:
        if fault.effect is None:
            failed_outright = "failed" in fault.action.stages
            code = "unknown.fault-failed" if failed_outright else "unknown.fault-unproved"
            return [reason(code, kind=fault.action.kind)]
    return []
