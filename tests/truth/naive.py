"""The numbers of docs/numbers.md once more: straight from its sentences, in plain loops over raw samples.

Shares no code with breakroom. Times in ns; results in the units of results.json. Only for a trial with one proved
fault that ran to its end.
"""

from __future__ import annotations

from typing import Any

from truth.evidence import OUTCOMES, Request, Trial

__all__ = ["numbers"]

S = 1_000_000_000
STEP = 10_000_000


class Moments:
    """Where the trial's periods begin and end."""

    def __init__(self, trial: Trial) -> None:
        phases = {record["phase"]: record["t"] for record in trial.of("PhaseStarted")}
        self.start, self.end = phases["faulting"], phases["undoing"]
        fault = trial.of("ActionChanged", by="timeline")
        self.zero = next(record["proved_t"] for record in fault if record["stage"] == "proved")
        self.injected = max(fault[0]["t"], self.zero - S)
        plan = trial.of("TrialStarted")[0]["plan"]
        opened = max(record["t0"] for record in trial.of("StreamOpened"))
        self.before = max(self.start - plan["steady_state"]["duration"], opened)


def numbers(trial: Trial) -> dict[str, Any]:
    """Every number that is compared, by its name in results.json."""
    moments = Moments(trial)
    window = [r for r in trial.requests if r.ended >= moments.start and r.intended < moments.end]
    probes = [r for r in window if r.stream == "probe"]
    outages = _outages(trial, probes, window, moments)
    down = [outage for outage in outages if outage["kind"] == "total"]
    seconds = (moments.end - moments.start) / S
    lost = 0.0
    for outage in down:
        # One that was over before observation began costs nothing: its first probe was in flight then.
        lost += max(outage["end"] - max(outage["start"], moments.start), 0) / S
    recovery = _recovery(trial, moments)
    full = _full_capacity(trial, moments)
    during_end = min(max(full, moments.zero + recovery), moments.end)
    hit = [r for r in window if r.ended >= moments.injected and r.intended < during_end]
    return {
        "availability": sum(r.ok for r in probes) / len(probes),
        "availability_time": 1 - lost / seconds,
        "outages": [
            (o["kind"], (o["start"] - moments.zero) / S, (o["end"] - moments.zero) / S, o["failed"])
            for o in outages
        ],
        "outage": sum((o["end"] - o["start"]) / S for o in down),
        "longest_outage": max([(o["end"] - o["start"]) / S for o in down], default=0.0),
        "recovery_time": recovery / S,
        "time_to_full_capacity": (full - moments.zero) / S,
        "failed_requests": sum(r.failed for r in window),
        "failed_from_fault": sum(r.failed for r in window if r.ended >= moments.injected),
        "blast_radius": sum(r.failed for r in hit) / len(hit),
        "outcomes": {
            stream: {name: sum(r.outcome == name and r.stream == stream for r in window) for name in OUTCOMES}
            for stream in ("probe", "load")
        },
        "operator_acts": len(
            {r["action"] for r in trial.of("ActionChanged", stage="done") if r["by"] != "timeline"}
        ),
        **_capacity(trial, moments, during_end),
    }


def _outages(
    trial: Trial, probes: list[Request], window: list[Request], moments: Moments
) -> list[dict[str, Any]]:
    deadline = trial.of("TrialStarted")[0]["plan"]["probe"]["timeout"]
    line = probes + [r for r in window if r.stream == "load" and r.ok and r.total_us * 1000 <= deadline]
    # Of two at the same moment the success stands first: nobody knows, and an outage is rather shorter than longer.
    line.sort(key=lambda request: (_stands_at(request), not request.ok))
    runs: list[dict[str, Any]] = []
    at = 0
    while at < len(line):
        if line[at].ok:
            at += 1
            continue
        first = at
        while at < len(line) and not line[at].ok:
            at += 1
        runs.append(
            {
                "start": _stands_at(line[first]),
                "last": _stands_at(line[at - 1]),
                "end": _stands_at(line[at]) if at < len(line) else moments.end,
                "failed": at - first,
                "framed": first > 0
                and at < len(line)
                and line[first - 1].stream == line[at].stream == "load",
            }
        )
    failures = [r.intended for r in line if not r.ok]
    found: list[dict[str, Any]] = []
    for run in runs:
        near = any(
            (other < run["start"] and run["start"] - other < S)
            or (other > run["last"] and other - run["last"] < S)
            for other in failures
        )
        if run["failed"] >= 2 or not (near or run["framed"]):
            found.append({**run, "kind": "total"})
        elif found and found[-1]["kind"] == "degraded" and run["start"] - found[-1]["last"] < S:
            found[-1].update(end=run["end"], last=run["last"], failed=found[-1]["failed"] + run["failed"])
        else:
            found.append({**run, "kind": "degraded"})
    return found


def _stands_at(request: Request) -> int:
    """Where a request stands among the others: a probe when it was to be sent, one of the load when it was sent."""
    return request.intended + (request.lag_us * 1_000 if request.stream == "load" else 0)


def _recovery(trial: Trial, moments: Moments) -> int:
    """Ns from the fault to the first success after the last failure; 0 if nothing failed."""
    streams = ["probe"]
    if not any(r.failed and r.stream == "load" and r.ended < moments.injected for r in trial.requests):
        streams.append("load")
    last = None
    for r in trial.requests:
        if r.stream in streams and r.failed and r.ended >= moments.injected and r.intended < moments.end:
            last = max(r.intended, moments.zero, last or 0)
    if last is None:
        return 0
    success = min(r.intended for r in trial.requests if r.stream in streams and r.ok and r.intended > last)
    return int(success - moments.zero)


def _full_capacity(trial: Trial, moments: Moments) -> int:
    started = trial.of("TrialStarted")[0]
    contender = next(c for c in started["plan"]["contenders"] if c["name"] == started["contender"])
    wanted = contender["service"]["deploy"]["replicas"] if started["runs_as"] == "service" else 1
    inside: set[str] = set()
    since = None
    for change in sorted(trial.of("RotationChanged"), key=lambda record: int(record["t"])):
        if change["t"] >= moments.end:
            break
        if change["in_rotation"]:
            inside.add(change["task"])
        else:
            inside.discard(change["task"])
        if len(inside) < wanted:
            since = None
        elif since is None:
            since = change["t"]
    assert since is not None, "full capacity never came back"
    return int(max(since, moments.zero))


def _capacity(trial: Trial, moments: Moments, during_end: int) -> dict[str, Any]:
    ends = [r.ended for r in trial.requests if r.ok]
    hit = moments.injected

    def rate(start: int, length: int) -> float | None:
        if length <= 0:
            return None
        return sum(start <= end < start + length for end in ends) * S / length

    def steps(length: int) -> int:
        return length // STEP * STEP

    before_length = steps(hit - moments.before)
    before = rate(hit - before_length, before_length)
    during = rate(hit, steps(during_end - hit))
    after_start = hit + steps(during_end - hit)
    after = rate(after_start, hit + steps(moments.end - hit) - after_start)
    assert before is not None
    assert during is not None
    lowest = during
    start = hit
    while start + S <= during_end:
        value = rate(start, S)
        assert value is not None
        lowest = min(lowest, value)
        start += STEP
    return {
        "before_per_s": before,
        "during_per_s": during,
        "after_per_s": after,
        "kept": during / before,
        "lowest": lowest / before,
    }
