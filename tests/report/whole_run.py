"""A made-up run of many drills with findings of every kind, for the presenters' tests."""

from __future__ import annotations

from dataclasses import replace as changed

from msgspec.structs import replace

from breakroom.analysis.results import (
    Advice,
    Claim,
    DetectionFinding,
    DrillResults,
    FailureMoment,
    ImpairmentFinding,
    ImpairmentRow,
    LeakFinding,
    Mark,
    MemoryLife,
    Overall,
    OverallRow,
    Reason,
    RunResults,
    ScaleFinding,
    ScalingDecisionFinding,
    SensitivityRow,
    TrialResults,
    UpdateFinding,
)
from breakroom.analysis.series import MemoryLine, StepLine, TrialSeries
from report.conftest import Made, _run, _spread

__all__ = ["DRILLS", "whole_run"]

DRILLS = {
    "memory-leak": ("A leaking app runs into its memory limit", "메모리가 새는 앱이 한도에 도달하는 경우"),
    "kill": ("One replica crashes", "복제본 하나가 갑자기 죽는 경우"),
    "scale": ("More load than one replica can carry", "부하에 맞춰 복제본을 늘리고 줄이는 경우"),
    "network-delay": ("The network is slow", "네트워크가 느려지는 경우"),
    "rolling-update": ("A new version is brought out", "새 버전을 배포하는 경우"),
    "health-check": ("A replica hangs", "복제본이 응답 없이 멈추는 경우"),
}
WHY = Reason(code="lost.app-start", params={"s": 0.32, "share": 0.78})
MIB = 1 << 20


def whole_run(repeat: int = 1, names: tuple[str, ...] = ("single", "single-restart", "orchestrated")) -> Made:
    """One run of all `DRILLS`."""
    trials: list[TrialResults] = []
    series: dict[str, TrialSeries] = {}
    drills = []
    base: RunResults | None = None
    for name, (en, ko) in DRILLS.items():
        run, lines = _run(repeat=repeat, drill=name, names=names)
        base = base or run
        made = [_with(trial, lines[trial.id]) for trial in run.trials]
        trials += [trial for trial, _ in made]
        series |= {trial.id: line for trial, line in made}
        drill = replace(
            run.drills[0], title={"en": en, "ko": ko}, verdict="met" if name == "kill" else "unknown"
        )
        if name == "scale":
            drill = _measured(drill, "goodput_gain", 1.98, only="service")
        if name == "network-delay":
            drill = _measured(drill, "latency_p50_during", 0.204)
        drills.append(
            replace(drill, contenders=tuple(replace(one, advice=_advice()) for one in drill.contenders))
        )
    assert base is not None
    results = replace(
        base,
        drills=tuple(drills),
        trials=tuple(trials),
        overall=_overall(names),
        claims=(*base.claims, _claim()),
    )
    return results, series


def _measured(drill: DrillResults, metric: str, value: float, only: str = "") -> DrillResults:
    """The drill with that median for its contenders, or for those that run as `only`."""
    return replace(
        drill,
        contenders=tuple(
            replace(one, metrics={**one.metrics, metric: _spread([value])})
            if only in {"", one.runs_as}
            else one
            for one in drill.contenders
        ),
    )


def _claim() -> Claim:
    acts = {"single": 6, "orchestrated": 0, "saved": 1.0}
    return Claim(
        code="operator-work-80-less",
        verdict="met",
        value=1.0,
        modelled=True,
        reason=Reason(code="claim.acts", params=acts),
    )


def _advice() -> Advice:
    return Advice(
        part="app-start",
        s=0.32,
        share=0.78,
        setting="healthcheck.start_interval",
        now="1s",
        better="100ms",
        saves_s=0.25,
        reason=WHY,
    )


def _overall(names: tuple[str, ...]) -> Overall:
    rows = tuple(
        OverallRow(
            contender=name,
            drills=len(DRILLS),
            known=len(DRILLS),
            availability=0.7 + 0.1 * number,
            outage_s=0.0 if name == "orchestrated" else 61.5,
            failed_requests=12 if name == "orchestrated" else 4_321,
            recovery_median_s=0.012 if name == "orchestrated" else 12.03,
            recovery_worst_s=0.4 if name == "orchestrated" else 13.1,
            recovery_worst_drill="memory-leak",
            never_recovered=1 if name == "single-restart" else 0,
            operator_acts=6 if name == "single" else 0,
            operator_s=70.2 if name == "single" else None,
            scale_gain=1.98 if name == "orchestrated" else None,
            modelled=name == "single",
        )
        for number, name in enumerate(names)
    )
    sensitivity = tuple(
        SensitivityRow(
            contender="single",
            reacts_after_s=60.0 * minutes,
            outage_s=60.0 * minutes + 0.4,
            recovery_s=60.0 * minutes + 0.4,
            availability=0.2 / minutes,
        )
        for minutes in (1, 5, 10)
    )
    return Overall(rows=rows, sensitivity=sensitivity, drills=tuple(DRILLS))


def _with(trial: TrialResults, line: TrialSeries) -> tuple[TrialResults, TrialSeries]:
    kind = {
        "memory-leak": _leaking,
        "scale": _scaling,
        "network-delay": _slow,
        "rolling-update": _updated,
        "health-check": _sick,
    }.get(trial.drill)
    trial = replace(trial, failures=(_moment(trial),))
    return kind(trial, line) if kind is not None else (trial, line)


def _moment(trial: TrialResults) -> FailureMoment:
    leaking = trial.drill == "memory-leak"
    return FailureMoment(
        at_s=0.0,
        unix_s=trial.zero_unix_s + 0.25,
        task="web.1.a",
        slot=1,
        state="failed",
        error="task: non-zero exit (137)",
        exit_code=137,
        signal=9,
        oom=leaking,
        memory_bytes=64 * MIB,
        memory_limit_bytes=64 * MIB,
        log_file="logs/web.1.a.log",
        log_tail="serving\nallocating \x1b[31mmore\x00\n",
    )


def _leaking(trial: TrialResults, line: TrialSeries) -> tuple[TrialResults, TrialSeries]:
    lives = tuple(
        MemoryLife(
            task=task,
            slot=1,
            started_at_s=start,
            ended_at_s=end,
            oom=end is not None,
            first_bytes=20 * MIB,
            peak_bytes=64 * MIB,
            limit_bytes=64 * MIB,
            served=412,
            bytes_per_request=120.0 * 1024,
        )
        for task, start, end in (("web.1.a", -4.0, 0.0), ("web.1.b", 0.5, None))
    )
    leak = LeakFinding(
        lives=lives,
        oom_kills=1,
        kernel_oom_kills=1,
        bytes_per_request_first=120.0 * 1024,
        bytes_per_request_restarted=119.0 * 1024,
        cured=False,
        latency_first_s=0.003,
        latency_last_s=0.041,
    )
    memory = (
        MemoryLine("web.1.a", 1, (-4.0, -2.0, 0.0), (20 * MIB, 42 * MIB, 63 * MIB), 64 * MIB),
        MemoryLine("web.1.b", 1, (0.5, 2.0, 3.0), (20 * MIB, 30 * MIB, 38 * MIB), 64 * MIB),
    )
    return replace(trial, leak=leak), changed(line, memory=memory)


def _scaling(trial: TrialResults, line: TrialSeries) -> tuple[TrialResults, TrialSeries]:
    service = trial.contender == "orchestrated"
    steps = ((0.0, 3, 6), (2.0, 6, 2))
    found = tuple(
        ScaleFinding(
            action=f"step-{number}",
            by="timeline",
            at_s=at,
            from_replicas=old,
            to_replicas=new,
            applied=service,
            reached_at_s=at + 0.4 if service else None,
            response_s=0.4 if service else None,
            goodput_before_per_s=120.0,
            goodput_after_per_s=240.0 if service else 120.0,
            gain=1.98 if service and new > old else None,
            latency_p50_before_s=0.2,
            latency_p50_after_s=0.1,
            latency_p99_before_s=0.4,
            latency_p99_after_s=0.2,
            failed_requests=0,
            per_task={"web.1.a": 40, "web.2.a": 41},
            largest_to_smallest=1.03,
            p_value=0.8,
        )
        for number, (at, old, new) in enumerate(steps, start=1)
    )
    decision = ScalingDecisionFinding(
        at_s=0.0,
        metric="utilisation",
        observed=0.98,
        target=0.7,
        replicas=3,
        proposed=6,
        decided=6,
        decision="up",
        dry_run=False,
        reason=WHY,
    )
    marks = (
        *trial.marks,
        Mark(
            at_s=2.0, kind="scale", label=Reason(code="mark.scale", params={"replicas": 2, "by": "timeline"})
        ),
    )
    rotation = StepLine(at_s=(-4.0, 0.4, 2.1), value=(3, 6, 2))
    return (
        replace(trial, scaling=found, decisions=(decision,) if service else (), marks=marks),
        changed(line, rotation=rotation, wanted=StepLine(at_s=(-4.0, 0.0, 2.0), value=(3, 6, 2))),
    )


def _slow(trial: TrialResults, line: TrialSeries) -> tuple[TrialResults, TrialSeries]:
    rows = tuple(
        ImpairmentRow(
            quantile=q, before_s=0.003, during_s=0.2 + q / 50, after_s=0.004, predicted_s=0.2 + q / 60
        )
        for q in (0.5, 0.9, 0.99)
    )
    impairment = ImpairmentFinding(
        kind="network",
        means=("ingress",),
        delay_s=0.1,
        jitter_s=0.02,
        loss=0.0,
        rate_bytes_per_s=None,
        partition=False,
        share_hit=1.0,
        rows=rows,
        failed_share_before=0.0,
        failed_share_during=0.01,
        failed_share_after=0.0,
        predicted_failed_share=0.0,
        as_predicted=True,
        prediction=WHY,
    )
    undone = Mark(at_s=0.6, kind="undone", label=Reason(code="mark.undone", params={"kind": "kill"}))
    return replace(trial, impairment=impairment, marks=(*trial.marks, undone)), line


def _updated(trial: TrialResults, line: TrialSeries) -> tuple[TrialResults, TrialSeries]:
    service = trial.contender == "orchestrated"
    update = UpdateFinding(
        action="step-1",
        kind="update" if service else "replace",
        state="completed" if service else "replaced",
        message="",
        begun_at_s=0.0,
        ended_at_s=2.0,
        duration_s=2.0,
        old_version="v1",
        new_version="v2",
        answered={"v1": 120, "v2": 380},
        new_version_requests=380,
        new_version_share=0.76,
        failed_requests=0 if service else 40,
        lowest_in_rotation=2 if service else 0,
        wanted=3 if service else 1,
    )
    middle = len(line.at_s) // 2
    old = tuple(5 if index < middle else 0 for index in range(len(line.at_s)))
    new = tuple(5 - value for value in old)
    return replace(trial, updates=(update,)), changed(line, versions={"v1": old, "v2": new})


def _sick(trial: TrialResults, line: TrialSeries) -> tuple[TrialResults, TrialSeries]:
    service = trial.contender == "orchestrated"
    detection = DetectionFinding(
        task="web.1.a",
        first_failed_probe_at_s=1.1 if service else None,
        unhealthy_at_s=3.2 if service else None,
        left_rotation_at_s=3.2 if service else None,
        ended_at_s=3.9 if service else None,
        replaced_at_s=3.3 if service else None,
        bound_s=9.0 if service else None,
        failed_probes=3 if service else 0,
        never=not service,
    )
    return replace(trial, detection=(detection,)), line
