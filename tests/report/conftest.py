"""A made-up run, complete, for the presenters' tests: its numbers do not matter, their being shown does."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from breakroom.analysis.metrics import operator_time
from breakroom.analysis.results import (
    Availability,
    Balance,
    Band,
    CapacityKept,
    Claim,
    Comparison,
    Condition,
    ContenderResults,
    CutConnections,
    DrillResults,
    GeneratorReport,
    Latency,
    Mark,
    OperatorWork,
    Outage,
    PhaseTime,
    PlanProof,
    Reason,
    RunResults,
    Spread,
    ToolCostResult,
    TrialResults,
)
from breakroom.analysis.series import MemoryLine, StepLine, StreamSeries, TrialSeries
from breakroom.spec.drill import METRICS

Made = tuple[RunResults, dict[str, TrialSeries]]
OUTCOMES = ("ok", "refused", "reset", "timeout", "http-error", "bad-body", "not-sent")
SHAPES = {
    "single": (12.03, 1, 1_000.0),
    "single-restart": (0.41, 1, 1_000.0),
    "orchestrated": (0.0, 3, 2_900.0),
}
"""contender → seconds down, replicas, requests served per second."""


@pytest.fixture
def made() -> Callable[..., Made]:
    """Makes a run; see `_run`."""
    return _run


def _spread(values: list[float | None], *, resolution: float | None = None, modelled: bool = False) -> Spread:
    known = sorted(value for value in values if value is not None)
    several = len(known) >= 3
    return Spread(
        median=known[len(known) // 2] if known else None,
        minimum=known[0] if known else None,
        maximum=known[-1] if known else None,
        ci95_low=known[0] if several else None,
        ci95_high=known[-1] if several else None,
        n=len(known),
        unknown=len(values) - len(known),
        values=tuple(values),
        resolution=resolution,
        modelled=modelled,
    )


def _trial(name: str, repeat: int, drill: str, rng: random.Random) -> tuple[TrialResults, TrialSeries]:
    down, replicas, rate = SHAPES.get(name, SHAPES["orchestrated"])
    down = down * rng.uniform(0.97, 1.05)
    back = down or 0.62 * rng.uniform(0.95, 1.1)
    modelled = down > 10
    trial = f"{drill}/{name}/{repeat}"
    failed = round(down * 100) if down else 2
    first = 0.006 if down else 0.002
    phases = {
        "fault": 0.0,
        "first_error": first,
        "detected": 0.011,
        "replaced": back - 0.36,
        "running": back - 0.34,
        "in_rotation": back - 0.02,
        "first_success": back if down else 0.012,
        "full_capacity": back,
        "stable": back + 3.0,
    }
    marks = [
        Mark(
            at_s=0.0,
            kind="fault",
            label=Reason(code="mark.fault", params={"kind": "kill", "tasks": ["web.1"]}),
        ),
        Mark(at_s=0.011, kind="detected", label=Reason(code="mark.detected")),
        Mark(at_s=phases["first_success"], kind="first-success", label=Reason(code="mark.first-success")),
        Mark(at_s=back, kind="full-capacity", label=Reason(code="mark.full-capacity")),
    ]
    explanation = [Reason(code="lost.app-start", params={"s": 0.32, "share": 0.78})]
    if modelled:
        act = Reason(code="mark.operator-act", params={"kind": "restart", "modelled": True})
        marks.append(Mark(at_s=back - 0.4, kind="operator-act", label=act))
        waiting = {"s": back - 0.4, "share": 0.967, "modelled": True}
        explanation.insert(0, Reason(code="lost.waiting-for-operator", params=waiting))
    if not down:
        explanation = [
            Reason(code="lost.cut-connections", params={"failed": 2, "open": 4, "refused": 0}),
            Reason(code="capacity.reduced", params={"s": back, "lowest": 2, "wanted": 3}),
        ]
    end = back + 3.2
    bands = []
    for slot in range(1, replicas + 1):
        if slot == 1:
            bands += [
                Band(task="web.1.a", slot=1, version=1, state="starting", from_s=-4.2, to_s=-3.9),
                Band(task="web.1.a", slot=1, version=1, state="rotation", from_s=-3.9, to_s=0.0),
                Band(task="web.1.a", slot=1, version=1, state="failed", from_s=0.0, to_s=back - 0.34),
                Band(task="web.1.b", slot=1, version=1, state="starting", from_s=back - 0.34, to_s=back),
                Band(task="web.1.b", slot=1, version=1, state="rotation", from_s=back, to_s=end),
            ]
        else:
            bands.append(
                Band(task=f"web.{slot}.a", slot=slot, version=1, state="rotation", from_s=-3.9, to_s=end)
            )
    outages: tuple[Outage, ...] = ()
    if down:
        outages = (
            Outage(
                kind="total",
                start_at_s=first,
                end_at_s=back,
                duration_s=down,
                failed=failed,
                outcomes={"refused": failed - 1, "reset": 1},
            ),
        )
    result = TrialResults(
        id=trial,
        drill=drill,
        contender=name,
        repeat=repeat,
        outcome="completed",
        reasons_unknown=(),
        zero_unix_s=1_790_000_000.0,
        fault_proved=True,
        availability=Availability(
            requests=1 - failed / 1_900, time=1 - down / 19, intended=1_900, ok=1_900 - failed, window_s=19.0
        ),
        outages=outages,
        outage_total_s=down,
        longest_outage_s=down,
        recovery=tuple(
            PhaseTime(name=phase, at_s=at, since_previous_s=0.01, source="platform")
            for phase, at in phases.items()
        ),
        recovery_time_s=phases["first_success"],
        time_to_full_capacity_s=back,
        capacity=CapacityKept(
            before_per_s=rate,
            during_per_s=0.0 if down else rate * 0.68,
            after_per_s=rate,
            kept=0.0 if down else 0.68,
            lowest=0.0 if down else 0.641,
            saturated=True,
        ),
        blast_radius=1.0 if down else 0.031,
        failed_requests=failed * 3,
        outcomes={
            "probe": {"ok": 1_900 - failed, "refused": failed},
            "load": {"ok": 20_000, "refused": 2 * failed},
        },
        latency=(
            Latency(
                stream="probe",
                period="before",
                which="ok",
                count=300,
                p50_s=0.003,
                p90_s=0.004,
                p99_s=0.008,
                p999_s=0.01,
                max_s=0.01,
            ),
        ),
        balance=Balance(
            per_task={f"web.{slot}": 3_300 + slot for slot in range(1, replicas + 1)},
            largest_to_smallest=1.001,
            chi_square=0.1,
            p_value=0.95,
        ),
        operator=OperatorWork(
            acts=1 if modelled else 0,
            first_act_after_s=back - 0.4 if modelled else None,
            restored_after_s=back if modelled else None,
            modelled=modelled,
        ),
        cut=CutConnections(failed_requests=failed, open_on_target=4, refused_by_target=0, within=not down),
        generators=(
            GeneratorReport(
                stream="probe",
                model="open",
                intended=1_900,
                completed=1_900,
                samples=1_900,
                lag_p50_s=0.0001,
                lag_p99_s=0.0009,
                lag_max_s=0.004,
                trusted=True,
            ),
        ),
        plan=PlanProof(digest="5f1c" * 16, arrivals_checked=1_900, arrivals_matched=True),
        explanation=tuple(explanation),
        marks=tuple(marks),
        bands=tuple(bands),
        resolution_s=0.01,
        modelled=modelled,
        capabilities={"memory_limit": "cgroup-v1"},
        left_behind=(),
    )
    return result, _series(trial, down, back, end, rate, rng)


def _series(trial: str, down: float, back: float, end: float, rate: float, rng: random.Random) -> TrialSeries:
    width = 0.05
    first = -84
    count = math.ceil(end / width) - first
    at = tuple((first + index) * width for index in range(count))

    def failing(moment: float) -> bool:
        return 0 <= moment < down

    refused = tuple(5 if failing(moment) else 0 for moment in at)
    reset = tuple(1 if moment == 0 and not down else 0 for moment in at)
    zeros = tuple(0 for _ in at)
    probe = {
        "ok": tuple(5 - a - b for a, b in zip(refused, reset, strict=True)),
        "refused": refused,
        "reset": reset,
    } | dict.fromkeys(OUTCOMES[3:], zeros)
    share = [0.0 if failing(moment) else 0.67 if 0 <= moment < back else 1.0 for moment in at]
    p50 = tuple(
        None if failing(moment) else 0.003 * rng.uniform(0.9, 1.2) / max(part, 0.3)
        for moment, part in zip(at, share, strict=True)
    )
    streams = {
        "probe": StreamSeries(
            stream="probe",
            model="open",
            outcomes=probe,
            goodput_per_s=tuple(value / width for value in probe["ok"]),
            p50_s=p50,
            p90_s=p50,
            p99_s=tuple(None if value is None else value * rng.uniform(1.6, 3.5) for value in p50),
        ),
        "load": StreamSeries(
            stream="load",
            model="closed",
            outcomes={"ok": tuple(round(part * rate * width) for part in share)}
            | dict.fromkeys(OUTCOMES[1:], zeros),
            goodput_per_s=tuple(part * rate * rng.uniform(0.93, 1.05) for part in share),
            p50_s=p50,
            p90_s=p50,
            p99_s=p50,
        ),
    }
    memory = MemoryLine(
        task="web.1.a",
        slot=1,
        at_s=(-4.0, -2.0, 0.0),
        memory_bytes=(20 << 20, 28 << 20, 36 << 20),
        limit_bytes=64 << 20,
    )
    return TrialSeries(
        trial=trial,
        zero_unix_s=1_790_000_000.0,
        bin_s=width,
        at_s=at,
        from_s=at[0],
        to_s=end,
        streams=streams,
        memory=(memory,),
        rotation=StepLine(at_s=(-4.0,), value=(1,)),
        wanted=StepLine(at_s=(-4.0,), value=(1,)),
        versions={"1": tuple(5 for _ in at)},
    )


def _contender(name: str, trials: list[TrialResults]) -> ContenderResults:
    def of(
        pick: Callable[[TrialResults], float | None], resolution: float | None = None, modelled: bool = False
    ) -> Spread:
        return _spread([pick(trial) for trial in trials], resolution=resolution, modelled=modelled)

    modelled = any(trial.modelled for trial in trials)
    nothing = _spread([None for _ in trials])
    metrics = dict.fromkeys(METRICS, nothing) | {
        "availability": of(lambda trial: trial.availability.requests, 1 / 1_900, modelled),
        "availability_time": of(lambda trial: trial.availability.time, 0.0005, modelled),
        "outage": of(lambda trial: trial.outage_total_s, 0.01, modelled),
        "longest_outage": of(lambda trial: trial.longest_outage_s, 0.01, modelled),
        "recovery_time": of(lambda trial: trial.recovery_time_s, 0.01, modelled),
        "time_to_full_capacity": of(lambda trial: trial.time_to_full_capacity_s, 0.001, modelled),
        "capacity_kept": of(lambda trial: trial.capacity.kept),
        "lowest_capacity": of(lambda trial: trial.capacity.lowest),
        "blast_radius": of(lambda trial: trial.blast_radius),
        "failed_requests": of(lambda trial: float(trial.failed_requests), modelled=modelled),
        "operator_acts": of(lambda trial: float(trial.operator.acts), modelled=modelled),
    }
    names = [phase.name for phase in trials[0].recovery]
    phases = {
        phase: _spread(
            [next(moment.at_s for moment in trial.recovery if moment.name == phase) for trial in trials]
        )
        for phase in names
    }
    return ContenderResults(
        name=name,
        description={"en": "One container, nobody restarts it", "ko": "컨테이너 하나, 재시작 정책 없음"}
        if name == "single"
        else {},
        runs_as="service" if name == "orchestrated" else "container",
        replicas=SHAPES.get(name, (0.0, 3, 0.0))[1],
        trials=tuple(trial.id for trial in trials),
        metrics=metrics,
        phases=phases,
        operator_time=_spread(
            [operator_time(trial) for trial in trials],
            modelled=any(trial.operator.modelled and trial.operator.acts > 0 for trial in trials),
        ),
        explanation=trials[0].explanation,
    )


def _run(*, repeat: int = 1, names: tuple[str, ...] = tuple(SHAPES), drill: str = "kill") -> Made:
    """A run of one drill on contenders of these names, each `repeat` times; the same every time."""
    rng = random.Random(7)
    series: dict[str, TrialSeries] = {}
    trials: list[TrialResults] = []
    contenders = []
    for name in names:
        mine = []
        for number in range(1, repeat + 1):
            trial, line = _trial(name, number, drill, rng)
            mine.append(trial)
            series[trial.id] = line
        trials += mine
        contenders.append(_contender(name, mine))
    met = Condition(
        text="orchestrated.outage <= 1s", contender=names[-1], metric="outage", value=0.0, verdict="met"
    )
    unknown = Condition(
        text="single.capacity_kept >= 66%",
        contender=names[0],
        metric="capacity_kept",
        value=None,
        verdict="unknown",
        reason=Reason(
            code="condition.not-measured", params={"metric": "capacity_kept", "known": 0, "of": repeat}
        ),
    )
    results = DrillResults(
        name=drill,
        title={"en": "A replica's process is killed", "ko": "복제본 프로세스 강제 종료"},
        description={
            "en": "One process of the service is killed with SIGKILL while users keep asking.",
            "ko": "사용자 요청이 이어지는 동안 서비스 프로세스 하나를 SIGKILL로 종료합니다.",
        },
        contenders=tuple(contenders),
        same_plan=True,
        plan_digests=dict.fromkeys(names, "5f1c" * 16),
        conditions=(met, unknown),
        comparisons=(
            Comparison(
                metric="outage",
                better=names[-1],
                worse=names[0],
                difference=12.1,
                ci95_low=11.9 if repeat > 2 else None,
                ci95_high=12.4 if repeat > 2 else None,
                beyond_noise=True if repeat > 2 else None,
            ),
        ),
        verdict="unknown",
        verdict_reasons=(Reason(code="verdict.condition-unknown", params={"text": unknown.text}),),
    )
    run = RunResults(
        schema=1,
        run_id="20261123-193000-kill",
        version="0.1.0",
        started_unix_s=1_790_000_000.0,
        duration_s=52.4,
        outcome="completed",
        platform="local",
        pace="normal",
        seed=20_261_123,
        repeat=repeat,
        host={"cores": 2, "memory_bytes": 8 << 30, "system": "Linux", "release": "6.1.0", "python": "3.11.2"},
        verdict="unknown",
        drills=(results,),
        claims=(
            Claim(
                code="single-out-while-failed",
                verdict="met",
                value=1.0,
                modelled=False,
                reason=Reason(code="claim.measured", params={"value": 1.0, "limit": 1.0}),
            ),
        ),
        trials=tuple(trials),
        tool_cost=(ToolCostResult(process="engine", cpu_s=0.61, max_rss_bytes=31 << 20, wall_s=52.0),),
        problems=(),
    )
    return run, series
