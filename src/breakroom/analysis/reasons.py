"""Every sentence that the findings can hold, as a code with the names of its parameters.

`reason` is the one way this room makes a `Reason`, so that no code or parameter exists outside the table.
`i18n.reasons` has the words for each; a test there compares the two. Parameters ending in `_s` are seconds;
`share` and others named so are ratios from 0 to 1; `stream`, `kind`, `metric`, `phase`, `part` are the
journal's and the results' own words.
"""

from __future__ import annotations

from breakroom.analysis.results import Reason

__all__ = ["CODES", "reason"]

_ADVICE = ("s", "setting", "now", "better", "saves_s")

CODES: dict[str, tuple[str, ...]] = {
    # Why a trial's numbers cannot be trusted (TrialResults.reasons_unknown, GeneratorReport.why_not).
    "unknown.no-fault": (),  # no fault was injected before the trial ended
    "unknown.fault-unproved": ("kind",),  # it was injected, but nothing proves that it took effect
    "unknown.fault-failed": ("kind",),  # it could not be injected
    "unknown.not-steady": ("within_s",),  # steady state was not reached, so nothing was broken
    "unknown.cut-off": ("phase",),  # the journal ends in mid-trial: breakroom was killed
    "unknown.aborted": (),  # the run was interrupted
    "unknown.ingress-limited": ("problem",),  # breakroom's own balancer could not carry the connections
    "unknown.engine-limited": (
        "message",
    ),  # breakroom's own orchestrator ran out of something of the machine's
    "unknown.part-stood-still": ("part", "still_s", "limit_s"),  # one of breakroom's processes, at one time
    "unknown.part-starved": ("part", "share", "limit"),  # the same, often for a short time
    "unknown.skipped": ("message",),  # not begun: the platform cannot do what a step needs
    "unknown.failed": ("message",),  # the platform or the fault could not do its part
    "unknown.no-probe": (),  # not one probe sample lies in the observation window
    "unknown.stream-not-closed": ("stream",),  # the generator did not report at its end
    "unknown.generator-lag": ("stream", "lag_s", "limit_s"),  # it sent too late (p99)
    "unknown.probe-blind": (
        "stream",
        "lag_s",
        "limit_s",
    ),  # one probe was so late that an outage may be missed
    "unknown.generator-bottleneck": ("stream", "bottleneck"),  # it says itself that it was the limit
    "unknown.generator-cpu": ("stream",),  # a closed load's worker used a whole core
    "unknown.generator-starved": ("stream", "still_s", "share"),  # a worker stood still or had no processor
    "unknown.worker-died": ("stream",),
    "unknown.samples-unwritable": ("stream",),  # the disk is full, say
    "unknown.not-sent": ("stream", "count"),  # requests that it could not send
    "unknown.samples-missing": ("stream", "samples", "completed"),  # samples on disk against its own count
    "unknown.requests-missing": ("stream", "completed", "intended"),  # requests without an outcome
    "unknown.plan-mismatch": ("stream", "checked"),  # the samples' arrival times are not the plan's
    # Why users lost the time they lost; `s` of the time from the fault to the first success after the last error.
    "lost.nothing": (),  # no request failed after the fault
    "lost.waiting-for-operator": ("s", "share", "modelled"),  # nobody restarted it before
    "lost.detection": ("s", "share"),  # until the platform noticed
    "lost.replacement": ("s", "share"),  # noticed, but no new task yet
    "lost.restart-delay": (
        "s",
        "share",
        "delay_s",
    ),  # the new task waited; delay_s: the policy's own (None: backoff)
    "lost.fault-in-force": ("kind", "s", "share"),  # until the fault was taken back: nothing else ended it
    "lost.after-undo": ("s", "share"),  # the fault was taken back, yet requests still failed
    "lost.app-start": ("s", "share"),  # its process ran but did not answer yet
    "lost.first-health-probe": ("s", "share", "interval_s"),  # its process ran but was not found healthy yet
    "lost.rotation": ("s", "share"),  # it ran, but no connection was sent to it
    "lost.after-return": ("s", "share"),  # it was in rotation and had answered, yet requests still failed
    "lost.failed-again": ("s", "share"),  # the replacement failed as well
    "lost.unexplained": ("s", "share"),  # the events do not say
    "lost.cut-connections": (
        "failed",
        "open",
        "refused",
    ),  # only requests that were on the killed task's connections
    "lost.more-than-cut": ("failed", "open", "refused"),  # more failed than were on its connections
    "lost.single-failures": ("failed",),  # some requests failed; what was open on the target is not known
    "lost.never-recovered": ("s", "part"),  # until the end of observation, stuck in `part`
    "lost.not-lasting": (
        "s",
        "watched_s",
        "stable_s",
    ),  # served again after `s`, but then watched for less than the `stable_s` that count
    # Why capacity was reduced while users were served by the rest; `s` of the time from the fault to full capacity.
    "capacity.fault-in-force": ("kind", "s", "share"),
    "capacity.after-undo": ("s", "share"),
    "capacity.detection": ("s", "share"),
    "capacity.replacement": ("s", "share"),
    "capacity.restart-delay": ("s", "share", "delay_s"),
    "capacity.first-health-probe": ("s", "share", "interval_s"),
    "capacity.rotation": ("s", "share"),
    "capacity.waiting-for-operator": ("s", "share", "modelled"),
    "capacity.failed-again": ("s", "share"),
    "capacity.unexplained": ("s", "share"),
    "capacity.reduced": ("s", "lowest", "wanted"),  # fewer tasks in rotation than wanted, for s
    "capacity.never-restored": ("s", "lowest", "wanted"),
    # Why the autoscaler decided as it did (ScalingDecisionFinding.reason); written by `breakroom.autoscale`.
    "scaling.up-utilisation": ("offered", "capacity", "replicas", "observed", "target", "decided"),
    "scaling.down-utilisation": ("offered", "capacity", "replicas", "observed", "target", "decided"),
    "scaling.on-target": ("offered", "capacity", "replicas", "observed", "target", "tolerance"),
    "scaling.none-to-spare": ("offered", "capacity", "replicas", "observed", "target"),
    "scaling.up-latency": ("observed", "target", "replicas", "decided"),
    "scaling.down-latency": ("observed", "target", "replicas", "decided"),
    "scaling.latency-good": ("observed", "target", "replicas"),
    "scaling.first-look": ("observed", "target", "replicas"),  # too slow, but perhaps already falling
    "scaling.improving": ("observed", "before", "target", "replicas"),
    "scaling.tried-before": ("fewer", "offered", "too_much", "replicas"),
    "scaling.unsettled": ("serving", "replicas"),  # latency would tell of another number of replicas
    "scaling.nothing-observed": (),
    # …and what a limit made of it: `proposed` is what the metric alone asks for.
    "scaling.outside-bounds": ("minimum", "maximum", "replicas", "decided"),
    "scaling.up-doubled": ("proposed", "replicas", "decided"),
    "scaling.up-to-maximum": ("proposed", "replicas", "decided"),
    "scaling.at-maximum": ("proposed", "maximum", "replicas"),
    "scaling.cooling-up": ("proposed", "left_s", "replicas"),
    "scaling.down-to-minimum": ("proposed", "replicas", "decided"),
    "scaling.at-minimum": ("proposed", "minimum", "replicas"),
    "scaling.incomplete": ("proposed", "serving", "replicas"),
    "scaling.cooling-down": ("proposed", "left_s", "replicas"),
    "scaling.stabilising": ("proposed", "window_s", "replicas"),
    "scaling.down-stabilised": ("proposed", "window_s", "replicas", "decided"),
    # What there is to say of one kind of failure (TrialResults.explanation, behind the way back).
    "act.no-failures": (),  # a load alone, and it was served
    "act.failures": ("failed", "s"),  # it was not; s: nobody was served for so long
    "act.inapplicable": ("kind",),  # the contender has no such act
    "update.completed": ("s", "lowest", "wanted", "failed"),
    "update.rollback-completed": ("s", "lowest", "wanted", "failed"),  # one that was asked for
    "update.replaced": ("s", "failed"),  # a container made anew
    "update.paused": ("s", "message", "version", "met", "lowest", "wanted", "failed"),
    "update.rolled-back": ("s", "message", "version", "met", "lowest", "wanted", "failed"),
    "update.rollback-paused": ("message", "version", "met", "lowest", "wanted", "failed"),
    "update.under-way": ("version", "met", "lowest", "wanted", "failed"),  # when observation ended
    "scale.up": ("from_replicas", "to_replicas", "s", "gain", "failed"),
    "scale.down": ("from_replicas", "to_replicas", "s", "gain", "failed"),
    "scale.not-reached": ("from_replicas", "to_replicas", "failed"),
    "scale.inapplicable": ("from_replicas", "to_replicas", "gain"),  # of a container there is one
    "scale.many": ("count", "lowest", "highest", "failed"),
    "impairment.slower": ("before_s", "during_s", "predicted_s", "failed"),
    "impairment.as-predicted": (),
    "impairment.otherwise": (),
    "leak.killed": ("kills", "bytes_per_request"),
    "leak.slower": ("first_s", "last_s"),  # before the end, against the begin
    "leak.cured": ("first", "restarted"),  # bytes per request
    "leak.not-cured": ("first", "restarted"),
    # How a prediction comes about (ImpairmentFinding.prediction).
    "impairment.delay": ("passages", "delay_s", "jitter_s", "share", "relative", "absolute_s"),
    "impairment.loss": ("loss", "packets", "hit", "delay_s", "share", "relative", "absolute_s"),
    "impairment.partition": ("share", "timeout_s"),
    "impairment.not-predicted": (),
    # The one setting that would have shortened the way back most (Advice.reason).
    "advice.restart-policy": _ADVICE,
    "advice.orchestrator": _ADVICE,  # what lives but does not answer no restart policy sees
    "advice.restart-delay": _ADVICE,
    "advice.health-check": _ADVICE,
    "advice.health-interval": _ADVICE,
    "advice.start-interval": _ADVICE,
    "advice.stop-grace": _ADVICE,
    "advice.replicas": _ADVICE,
    "advice.rolling-update": _ADVICE,
    "advice.update-order": _ADVICE,
    # Lines in plots (Mark.label).
    "mark.fault": ("kind", "tasks"),
    "mark.fault-unproved": ("kind",),
    "mark.first-error": (),
    "mark.detected": (),
    "mark.replaced": (),
    "mark.running": (),
    "mark.in-rotation": (),
    "mark.first-success": (),
    "mark.full-capacity": (),
    "mark.stable": (),
    "mark.operator-act": ("kind", "modelled"),
    "mark.undone": ("kind",),
    "mark.action": ("kind",),  # a planned act
    "mark.scale": ("replicas", "by"),
    "mark.inapplicable": ("kind",),
    "mark.update-completed": (),
    "mark.update-paused": (),
    "mark.rollback-started": (),
    "mark.rollback-completed": (),
    "mark.rollback-paused": (),
    # Why a condition has its verdict, where the value alone does not say it (Condition.reason).
    "condition.no-trial": ("contender",),  # the contender was not run
    "condition.not-measured": ("metric", "known", "of"),  # too few trials know the value
    "condition.skipped": ("contender", "message"),  # its trials were skipped: the platform cannot do that
    "condition.untrusted": ("contender", "unknown", "of"),  # some trials cannot be trusted
    "condition.own-lag": ("metric", "own_s"),  # the limit lies within what the generator's own lag added
    "condition.never": ("metric",),  # it did not come to an end while it was watched
    "condition.within-resolution": (
        "metric",
        "resolution",
    ),  # value and limit are closer than can be told apart
    # Why a drill has its verdict (DrillResults.verdict_reasons).
    "verdict.condition-not-met": ("text", "value"),
    "verdict.condition-unknown": ("text",),
    "verdict.trials-unknown": ("contender", "unknown", "of"),
    "verdict.trials-skipped": ("contender", "message"),
    "verdict.trials-missing": ("contender", "known", "of"),
    "verdict.plans-differ": (),
    "verdict.plans-unknown": (),
    "verdict.all-met": ("conditions",),
    "verdict.no-conditions": (),
    # Why a claim of the course has its verdict (Claim.reason).
    "claim.measured": ("value", "limit"),  # a ratio against the claim's
    "claim.within-resolution": (
        "value",
        "limit",
        "resolution",
    ),  # below the claim's, by less than can be told
    "claim.measured-time": ("value_s", "low_s", "high_s"),  # a time against the claim's
    "claim.modelled-time": ("value_s", "low_s", "high_s"),  # the same, decided by an operator model
    "claim.scaled": ("pace", "value_s"),  # the operator model's time is shortened at this pace
    "claim.no-drill": (),  # no drill of the run says anything on it
    "claim.no-contender": (),  # none of the run's contenders is of that kind
    "claim.not-measured": (),  # its trials do not know the value
    "claim.never-recovered": ("limit_s",),
    "claim.not-saturating": ("kept",),  # the load did not ask for all the capacity
    "claim.no-work-to-save": (),  # the single container needed no act either
    "claim.acts": ("single", "orchestrated", "saved"),
    # What a reader of the whole run must know (RunResults.problems; besides the journal's own `Problem` codes).
    "problem.torn-lines": ("count",),
    "problem.unknown-trial": ("trial",),  # records of a trial without its start
    "problem.trials-missing": ("count", "planned"),
}
"""code → parameter names. The comments are the meaning; the words that a reader sees are in `i18n.reasons`."""


def reason(code: str, **params: object) -> Reason:
    """Make a `Reason`.

    Raises:
        ValueError: a code that is not in the table, or other parameters than it has there.
    """
    names = CODES.get(code)
    if names is None or set(names) != set(params):
        raise ValueError(f"reason {code!r} with {sorted(params)}: the table has {names}")
    return Reason(code=code, params={name: params[name] for name in names})
