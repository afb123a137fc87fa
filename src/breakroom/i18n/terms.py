"""The vocabulary: one English label for every metric, phase, outcome, state and verdict, and a sentence on each word.

Read by presenters through `i18n.translator`; the keys are those of `analysis.results` and `spec.drill.METRICS`. The
texts are marked with `N_` so that the catalogues' extraction finds them. Definitions in full: docs/numbers.md,
docs/glossary.md.
"""

from __future__ import annotations

__all__ = ["LABELS", "METRIC_HELP", "METRIC_KINDS", "N_"]


def N_(text: str) -> str:  # noqa: N802  # gettext's own name for "extract, do not translate here"
    """Mark `text` for extraction; it is translated where it is shown."""
    return text


METRIC_KINDS: dict[str, str] = {
    "availability": "ratio",
    "availability_time": "ratio",
    "outage": "duration",
    "longest_outage": "duration",
    "recovery_time": "duration",
    "time_to_full_capacity": "duration",
    "capacity_kept": "ratio",
    "lowest_capacity": "ratio",
    "blast_radius": "ratio",
    "failed_requests": "count",
    "operator_acts": "count",
    "operator_minutes": "duration",
    "latency_p99_before": "duration",
    "latency_p99_during": "duration",
}
"""How a metric's value is printed. A test keeps it equal to `spec.drill.METRICS` where both have the name."""

METRIC_HELP: dict[str, str] = {
    "availability": N_("Share of all intended probe requests that were answered correctly and in time."),
    "availability_time": N_("Share of the observed time in which the service was not in total outage."),
    "outage": N_("All stretches together in which nobody was served: no probe, and no request of the load."),
    "longest_outage": N_("The longest single stretch in which nobody was served."),
    "recovery_time": N_(
        "From the fault's effect to the first success after the last error: what users felt."
    ),
    "time_to_full_capacity": N_(
        "From the fault's effect until every wanted replica served again: what the platform needed."
    ),
    "capacity_kept": N_("Served work under saturating load during the fault, against before it."),
    "lowest_capacity": N_("The worst second during the fault, against the served work before it."),
    "blast_radius": N_("Share of the requests between the fault and recovery that failed."),
    "failed_requests": N_("Requests of probe and load that failed in the observed time."),
    "operator_acts": N_("Things a person had to do before the service was back."),
    "operator_minutes": N_("From the fault until the person had restored the service."),
    "latency_p99_before": N_("99 of 100 probe requests were answered within this time before the fault."),
    "latency_p99_during": N_(
        "99 of 100 successful probe requests were answered within this time during the fault."
    ),
}

LABELS: dict[str, dict[str, str]] = {
    "metric": {
        "availability": N_("Availability (probe)"),
        "availability_time": N_("Availability (time)"),
        "outage": N_("Outage, total"),
        "longest_outage": N_("Outage, longest"),
        "recovery_time": N_("Recovery time"),
        "time_to_full_capacity": N_("Time to full capacity"),
        "capacity_kept": N_("Capacity kept"),
        "lowest_capacity": N_("Capacity, lowest second"),
        "blast_radius": N_("Blast radius"),
        "failed_requests": N_("Failed requests"),
        "operator_acts": N_("Operator acts"),
        "operator_minutes": N_("Operator time until restored"),
        "latency_p99_before": N_("Latency p99 before"),
        "latency_p99_during": N_("Latency p99 during"),
    },
    "phase": {
        "fault": N_("fault in effect"),
        "first_error": N_("first error"),
        "detected": N_("detected"),
        "replaced": N_("replacement created"),
        "running": N_("replacement running"),
        "in_rotation": N_("in rotation"),
        "first_success": N_("service restored"),
        "full_capacity": N_("full capacity"),
        "stable": N_("stable"),
    },
    "interval": {
        "first_error": N_("until users noticed"),
        "detected": N_("until it was detected"),
        "replaced": N_("until a replacement was made"),
        "running": N_("starting the replacement"),
        "in_rotation": N_("until it was in rotation"),
        "first_success": N_("until the service was restored"),
        "full_capacity": N_("until full capacity"),
        "stable": N_("until stable"),
    },
    "outcome": {
        "ok": N_("ok"),
        "refused": N_("refused"),
        "reset": N_("reset"),
        "timeout": N_("timeout"),
        "http_error": N_("HTTP error"),
        "bad_body": N_("bad body"),
        "not_sent": N_("not sent"),
    },
    "outcome_help": {
        "ok": N_("The expected answer, whole, within its deadline."),
        "refused": N_("The connection was refused: nobody listened."),
        "reset": N_("The connection was cut before the whole answer had come."),
        "timeout": N_("No whole answer within the deadline."),
        "http_error": N_("An answer with another status than expected."),
        "bad_body": N_("An answer that is not HTTP, or not with the expected content."),
        "not_sent": N_("The generator itself could not send; says nothing about the service."),
    },
    "state": {
        "new": N_("new"),
        "pending": N_("pending"),
        "assigned": N_("assigned"),
        "accepted": N_("accepted"),
        "preparing": N_("preparing"),
        "ready": N_("ready"),
        "starting": N_("starting"),
        "running": N_("running, not in rotation"),
        "rotation": N_("in rotation"),
        "complete": N_("complete"),
        "shutdown": N_("shut down"),
        "failed": N_("failed"),
        "rejected": N_("rejected"),
        "remove": N_("removed"),
        "orphaned": N_("orphaned"),
        "waiting": N_("waiting to be started"),
    },
    "verdict": {"met": N_("met"), "not met": N_("not met"), "unknown": N_("unknown")},
    "trial_outcome": {
        "completed": N_("completed"),
        "not-steady": N_("never steady"),
        "not-recovered": N_("not recovered"),
        "aborted": N_("aborted"),
        "failed": N_("failed"),
        "skipped": N_("skipped"),
        "cut-off": N_("cut off"),
    },
    "period": {"before": N_("before"), "during": N_("during"), "after": N_("after")},
    "stream": {"probe": N_("probe"), "load": N_("load")},
    "source": {
        "probe": N_("probe"),
        "load": N_("load"),
        "platform": N_("platform"),
        "ingress": N_("ingress"),
        "model": N_("operator model"),
    },
    "outage_kind": {"total": N_("total outage"), "degraded": N_("degraded")},
    "runs_as": {"container": N_("one container"), "service": N_("orchestrated service")},
    "model": {"open": N_("open model"), "closed": N_("closed model")},
    "process": {
        "main": N_("main process"),
        "engine": N_("orchestrator"),
        "ingress": N_("ingress"),
        "probe": N_("probe"),
        "load": N_("load generator"),
    },
    "claim": {
        "single-out-while-failed": N_("A single container is 100% down while it has failed"),
        "orchestrated-keeps-66": N_("With one of three replicas lost, at least 66% keeps being served"),
        "manual-recovery-5-to-10-min": N_("Recovery by hand takes 5 to 10 minutes"),
        "automatic-within-30-s": N_("Automatic recovery takes at most 30 seconds"),
        "operator-work-80-less": N_("Orchestration saves 80% of the operator's work"),
    },
    "action": {
        "kill": N_("kill"),
        "api_kill": N_("kill through the API"),
        "pause": N_("pause"),
        "hang": N_("hang"),
        "memory": N_("memory pressure"),
        "network": N_("bad network"),
        "partition": N_("partition"),
        "drain": N_("drain"),
        "node_loss": N_("node loss"),
        "restart": N_("restart"),
        "scale": N_("scale"),
        "rolling-update": N_("rolling update"),
        "bad-update": N_("bad update"),
        "network-delay": N_("network delay"),
        "network-loss": N_("packet loss"),
        "network-partition": N_("network partition"),
        "health-check": N_("failing health check"),
    },
    "trial_phase": {
        "deploying": N_("deploying"),
        "steadying": N_("waiting for the steady state"),
        "faulting": N_("injecting the fault"),
        "recovering": N_("watching the recovery"),
        "undoing": N_("cleaning up"),
        "done": N_("finished"),
    },
    "stuck": {
        "waiting-for-operator": N_("waiting for a person to restart it"),
        "detection": N_("before the platform noticed the failure"),
        "replacement": N_("before a new replica was made"),
        "restart-delay": N_("in the restart delay"),
        "app-start": N_("starting the application"),
        "first-health-probe": N_("waiting for a health probe to succeed"),
        "rotation": N_("before the new replica entered rotation"),
        "after-return": N_("failing requests although a replica was in rotation"),
        "fault-in-force": N_("while the fault was in force"),
        "after-undo": N_("failing requests although the fault had been taken back"),
        "unexplained": N_("in a way that the recorded events do not explain"),
    },
    "capability": {
        "memory_limit": N_("Memory limit"),
        "network": N_("Network impairment"),
        "ingress": N_("Ingress"),
    },
}
"""kind → key → English label. An unknown key is shown as it is, so that older versions can show newer results."""
