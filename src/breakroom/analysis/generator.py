"""Whether a stream's generator can be trusted: it sent on time, it sent everything, and every request has its sample.

Called by `analysis.trial`. Pure. A generator that was the bottleneck measures itself, not the service; then
the verdicts that rest on it are *unknown* (3-measurement, rule 2).
"""

from __future__ import annotations

import numpy as np

from breakroom.analysis.latency import percentiles
from breakroom.analysis.plan import stream_spec
from breakroom.analysis.reading import StreamData
from breakroom.analysis.reasons import reason
from breakroom.analysis.results import GeneratorReport, Reason
from breakroom.journal.records import StreamClosed
from breakroom.journal.samples import NOT_REACHED, Outcome
from breakroom.spec.arrivals import planned_spacing

__all__ = ["MIN_LAG_LIMIT_S", "generator_report", "spacing_s"]

MIN_LAG_LIMIT_S = 0.005
"""A lag of this much is always tolerated: an operating system's scheduler alone can cause it."""

MAX_BLIND_S = 0.5
"""A probe that was late by more than this even once, in however long a run, may have missed a whole outage."""


def generator_report(stream: StreamData) -> GeneratorReport:
    """What the stream says of itself, and the first reason found not to trust it."""
    closed = stream.closed
    p50, p99, highest = (value or 0.0 for value in percentiles(stream.lag, (0.5, 0.99, 1.0)))
    why_not = _why_not(stream, p99)
    return GeneratorReport(
        stream=stream.name,
        model=stream.opened.model,
        intended=closed.intended if closed is not None else len(stream),
        completed=closed.completed if closed is not None else len(stream),
        samples=len(stream),
        lag_p50_s=p50,
        lag_p99_s=p99,
        lag_max_s=highest,
        trusted=why_not is None,
        why_not=why_not,
    )


def spacing_s(stream: StreamData) -> float | None:
    """Mean time between the plan's arrivals in seconds; None for a closed stream or an unreadable plan."""
    spec = stream_spec(stream)
    return planned_spacing(spec) / 1e9 if spec is not None and stream.opened.model == "open" else None


def _why_not(stream: StreamData, lag_p99_s: float) -> Reason | None:
    closed, name = stream.closed, stream.name
    not_sent = int(np.count_nonzero(stream.outcome == Outcome.NOT_SENT))
    if not_sent:
        return reason("unknown.not-sent", stream=name, count=not_sent)
    limit = max(spacing_s(stream) or 0.0, MIN_LAG_LIMIT_S)
    if stream.opened.model == "open" and lag_p99_s > limit:
        return reason("unknown.generator-lag", stream=name, lag_s=lag_p99_s, limit_s=limit)
    blind_s = int(stream.lag[stream.lag != NOT_REACHED].max(initial=0)) / 1e6
    if name == "probe" and blind_s > MAX_BLIND_S:
        return reason("unknown.probe-blind", stream=name, lag_s=blind_s, limit_s=MAX_BLIND_S)
    if closed is None:
        return reason("unknown.stream-not-closed", stream=name)
    # Its own finding `lag` is judged above, by the one rule for all streams and from the samples themselves.
    if closed.bottleneck not in {"", "lag"}:
        return _said(closed)
    if closed.completed != len(stream):
        return reason("unknown.samples-missing", stream=name, samples=len(stream), completed=closed.completed)
    if closed.completed != closed.intended:
        return reason(
            "unknown.requests-missing", stream=name, completed=closed.completed, intended=closed.intended
        )
    return None


def _said(closed: StreamClosed) -> Reason:
    """What the generator says of itself, in a sentence of its own where there is one."""
    match closed.bottleneck:
        case "starved":
            still_s = closed.still_longest_ns / 1e9
            return reason(
                "unknown.generator-starved", stream=closed.stream, still_s=still_s, share=closed.still_share
            )
        case "cpu":
            return reason("unknown.generator-cpu", stream=closed.stream)
        case "worker-died" | "samples-unwritable" as code:
            return reason(f"unknown.{code}", stream=closed.stream)
    return reason("unknown.generator-bottleneck", stream=closed.stream, bottleneck=closed.bottleneck)
