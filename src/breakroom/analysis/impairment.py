"""A bad link: response times before, during and after, against what follows from the link alone.

Called by `analysis.trial` for a `network` or `partition` fault. Pure. What is predicted is computed in
`analysis.prediction` from the latencies before the fault and the link's own numbers; here is what was measured, and
whether both agree.

They agree if each quantile that was measured lies between the predicted ones of `q - e` and `q + e`, widened by
`RELATIVE` and `ABSOLUTE_S`, where `e` is two standard errors of a share among as many requests as there were; and if
the share of failed probes differs from the predicted one by no more than that and `SHARE`. Fewer than `ENOUGH`
probes say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.actions import Action
from breakroom.analysis.facts import Fault, TrialFacts
from breakroom.analysis.latency import percentiles
from breakroom.analysis.periods import failed
from breakroom.analysis.prediction import LinkModel, Predicted, predict
from breakroom.analysis.reading import StreamData
from breakroom.analysis.reasons import reason
from breakroom.analysis.results import ImpairmentFinding, ImpairmentRow, Reason
from breakroom.analysis.stretch import ok_latency
from breakroom.analysis.wanted import value_at
from breakroom.journal.samples import Outcome

__all__ = ["ABSOLUTE_S", "ENOUGH", "QUANTILES", "RELATIVE", "SHARE", "impairment"]

QUANTILES = (0.5, 0.9, 0.99)
RELATIVE = 0.25
ABSOLUTE_S = 0.025
SHARE = 0.02
ENOUGH = 50
_KINDS = frozenset({"network", "partition"})
_KERNEL = frozenset({"netem"})
"""Means that spoil only what the task sends; all others spoil both directions."""


@dataclass(frozen=True, slots=True)
class _Stretches:
    """Limits in ns: [before, begin) was well, [begin, end) was not, [healed, last) was after it.

    Between `end` and `healed` it was being taken back, from one replica after the other: neither the one nor the other.
    """

    before: int
    begin: int
    end: int
    healed: int
    last: int


def impairment(
    facts: TrialFacts, streams: Mapping[str, StreamData], *, before_start: int, window_end: int
) -> ImpairmentFinding | None:
    """The first bad link of the trial; None where no link was spoilt, or nothing proves it."""
    probe = streams.get("probe")
    fault = next((fault for fault in facts.faults if fault.action.kind in _KINDS and fault.applies), None)
    if probe is None or fault is None or fault.effect is None:
        return None
    at = _stretches(fault.action, fault.effect, before_start, window_end)
    model = _model(facts, fault, at)
    before = ok_latency(probe, at.before, at.begin)
    predicted = predict(model, before, QUANTILES, _spread(probe, at)) if _predictable(fault) else None
    during = ok_latency(probe, at.begin, at.end)
    rows = _rows(probe, at, predicted)
    share = _failed_share(probe, at.begin, at.end)
    return ImpairmentFinding(
        kind=_kind(model),
        means=tuple(str(word) for word in fault.action.detail.get("means", ())),
        delay_s=model.delay_s,
        jitter_s=model.jitter_s,
        loss=model.loss,
        rate_bytes_per_s=_link(fault).get("rate_bytes_per_s"),
        partition=model.partition,
        share_hit=_share_hit(facts, fault),
        rows=rows,
        failed_share_before=_failed_share(probe, at.before, at.begin),
        failed_share_during=share,
        failed_share_after=_failed_share(probe, at.healed, at.last),
        predicted_failed_share=predicted.failed_share if predicted is not None else None,
        as_predicted=_agrees(predicted, rows, share, len(during)),
        prediction=_words(model, predicted),
    )


def _stretches(action: Action, effect: int, before_start: int, window_end: int) -> _Stretches:
    healed = max(min(action.stages.get("undone", window_end), window_end), effect)
    end = min(max(int(action.detail.get("undo_begun_t", healed)), effect), healed)
    return _Stretches(min(before_start, effect), effect, end, healed, max(window_end, healed))


def _link(fault: Fault) -> dict[str, Any]:
    link = fault.action.detail.get("link")
    return link if isinstance(link, dict) else {}


def _predictable(fault: Fault) -> bool:
    """What is not modelled: corrupted and doubled packets, narrow links, and resets."""
    return not any(_link(fault).get(word) for word in ("corrupt", "duplicate", "rate_bytes_per_s", "reset"))


def _model(facts: TrialFacts, fault: Fault, at: _Stretches) -> LinkModel:
    link, detail = _link(fault), fault.action.detail
    kernel = set(detail.get("means", ())) & _KERNEL
    loss = float(link.get("loss", 0.0))
    return LinkModel(
        delay_s=int(link.get("delay_ns", 0)) / 1e9,
        jitter_s=int(link.get("jitter_ns", 0)) / 1e9,
        loss=loss,
        partition=fault.action.kind == "partition" or bool(link.get("partition")) or loss >= 1,
        both_ways=not kernel,
        share=_share_met(facts, fault, at),
        timeout_s=int(facts.setting("probe", "timeout", default=2_000_000_000)) / 1e9,
        ends_within_s=_ends_within(facts, fault, at),
    )


def _ends_within(facts: TrialFacts, fault: Fault, at: _Stretches) -> tuple[float, float]:
    """How long before its end, in seconds, requests met it: least and greatest; endless if it was not taken back."""
    if "undone" not in fault.action.stages or fault.action.stages["undone"] > at.last:
        return math.inf, math.inf
    hit = set(fault.action.tasks)
    left = [c.t for c in facts.rotation if c.task in hit and not c.in_rotation and at.begin <= c.t < at.end]
    last = max(left) if len(left) >= len(hit) and not fault.action.detail.get("every") else at.end
    return (at.end - last) / 1e9, (at.end - at.begin) / 1e9


def _kind(model: LinkModel) -> str:
    if model.partition:
        return "partition"
    if model.loss and not model.delay_s:
        return "loss"
    return "delay" if model.delay_s and not model.loss else "network"


def _share_hit(facts: TrialFacts, fault: Fault) -> float:
    """Replicas hit ÷ replicas in rotation when it set in."""
    if fault.action.detail.get("every"):
        return 1.0
    inside = value_at(facts.rotation_steps, fault.effect or fault.action.begun) or 0
    return min(len(fault.action.tasks) / inside, 1.0) if inside else 1.0


def _share_met(facts: TrialFacts, fault: Fault, at: _Stretches) -> float:
    """The same over the time that it was in force: a replica that leaves rotation is met by nobody any more."""
    if fault.action.detail.get("every"):
        return 1.0
    inside: set[str] = set()
    weighed, since = 0.0, at.begin
    for t, task, enters in [*((c.t, c.task, c.in_rotation) for c in facts.rotation), (at.end, "", False)]:
        now = min(max(t, at.begin), at.end)
        if inside:
            weighed += (now - since) * len(inside & set(fault.action.tasks)) / len(inside)
        since = now
        (inside.add if enters else inside.discard)(task)
    return weighed / (at.end - at.begin) if at.end > at.begin else _share_hit(facts, fault)


def _rows(probe: StreamData, at: _Stretches, predicted: Predicted | None) -> tuple[ImpairmentRow, ...]:
    columns = [
        percentiles(ok_latency(probe, start, end), QUANTILES)
        for start, end in ((at.before, at.begin), (at.begin, at.end), (at.healed, at.last))
    ]
    return tuple(
        ImpairmentRow(
            quantile=quantile,
            before_s=columns[0][place],
            during_s=columns[1][place],
            after_s=columns[2][place],
            predicted_s=predicted.quantiles[place] if predicted is not None else None,
        )
        for place, quantile in enumerate(QUANTILES)
    )


def _outcomes(probe: StreamData, start: int, end: int) -> NDArray[np.uint8]:
    low, high = np.searchsorted(probe.intended, [start, end])
    part = probe.outcome[int(low) : int(high)]
    found: NDArray[np.uint8] = part[part != Outcome.NOT_SENT]
    return found


def _failed_share(probe: StreamData, start: int, end: int) -> float | None:
    outcomes = _outcomes(probe, start, end)
    return float(failed(outcomes).mean()) if len(outcomes) else None


def _spread(probe: StreamData, at: _Stretches) -> int:
    """How many probes the quantiles of *during* are made of."""
    return len(_outcomes(probe, at.begin, at.end))


def _agrees(
    predicted: Predicted | None, rows: tuple[ImpairmentRow, ...], failed_share: float | None, count: int
) -> bool | None:
    if predicted is None or failed_share is None:
        return None
    asked = count / (1 - failed_share) if failed_share < 1 else ENOUGH
    error = 2 * math.sqrt(max(predicted.failed_share * (1 - predicted.failed_share), 0.0) / max(asked, 1))
    if abs(failed_share - predicted.failed_share) > error + SHARE:
        return False if asked >= ENOUGH else None
    if count < ENOUGH:
        return None
    for row, low, high in zip(rows, predicted.low, predicted.high, strict=True):
        if row.during_s is None or low is None or high is None:
            return None
        if not low / (1 + RELATIVE) - ABSOLUTE_S <= row.during_s <= high * (1 + RELATIVE) + ABSOLUTE_S:
            return False
    return True


def _words(model: LinkModel, predicted: Predicted | None) -> Reason | None:
    """How the prediction comes about."""
    if predicted is None:
        return reason("impairment.not-predicted")
    tolerance = {"relative": RELATIVE, "absolute_s": ABSOLUTE_S}
    if model.partition:
        return reason("impairment.partition", share=model.share, timeout_s=model.timeout_s)
    if model.loss:
        return reason(
            "impairment.loss",
            loss=model.loss,
            packets=model.packets,
            hit=predicted.meets_loss,
            delay_s=model.delay_s,
            share=model.share,
            **tolerance,
        )
    return reason(
        "impairment.delay",
        passages=model.passages,
        delay_s=model.delay_s,
        jitter_s=model.jitter_s,
        share=model.share,
        **tolerance,
    )
