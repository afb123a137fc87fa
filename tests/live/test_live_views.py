"""What the person watching is told: the same story in both views, in both languages, from records alone."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from breakroom.director.plan import RunPlan, plan_run
from breakroom.director.state import TrialState
from breakroom.i18n import Language, translator
from breakroom.journal.records import (
    ActionChanged,
    PhaseStarted,
    Problem,
    Record,
    RotationChanged,
    ScalingDecided,
    StreamOpened,
    TaskChanged,
    TaskStats,
    TrialEnded,
)
from breakroom.journal.samples import Outcome, SampleWriter
from breakroom.live.events import describe
from breakroom.live.terminal import LiveView, PlainView, make_view
from breakroom.spec.loader import load_drill

TRIAL = "kill/orchestrated/1"


def _plan() -> RunPlan:
    drill = load_drill("kill", pace="quick")
    return plan_run((drill,), platform="local", pace="quick", seed=1, repeat=1, contenders=("orchestrated",))


def _task(
    state: str, *, task: str = "t1", desired: str = "running", error: str = "", t: int = 0
) -> TaskChanged:
    return TaskChanged(
        t=t,
        trial=TRIAL,
        task=task,
        service="web",
        slot=1,
        node="n",
        state=state,
        desired=desired,
        error=error,
    )


def _kill(stage: str) -> ActionChanged:
    return ActionChanged(
        t=1,
        trial=TRIAL,
        action="step-1",
        kind="kill",
        by="timeline",
        stage=stage,  # type: ignore[arg-type]  # the tests pass the literal stages
        tasks=("t1",),
        proved_t=1 if stage == "proved" else None,
        detail={"signal": "SIGKILL"},
    )


def _decided(decision: Literal["up", "down", "hold"], *, dry_run: bool = False) -> ScalingDecided:
    return ScalingDecided(
        t=1,
        trial=TRIAL,
        metric="utilisation",
        observed=0.86,
        target=0.7,
        replicas=3,
        proposed=5,
        decided=4,
        decision=decision,
        reason="scaling.up-to-maximum",
        params={"proposed": 5, "replicas": 3, "decided": 4},
        dry_run=dry_run,
    )


def _scaled(stage: Literal["intended", "done", "proved", "unproved", "failed"]) -> ActionChanged:
    return ActionChanged(
        t=1,
        trial=TRIAL,
        action="autoscale-1",
        kind="scale",
        by="autoscaler",
        stage=stage,
        detail={"from": 3, "replicas": 4, "reason": "not today"},
    )


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (_decided("up"), "autoscaler: 5 replicas are asked for; up to the maximum: 3 → 4."),
        (_decided("down", dry_run=True), "autoscaler, dry run: 5 replicas"),
        (_scaled("proved"), "proved: 4 replicas are in rotation"),
        (_scaled("unproved"), "not proved: it was not seen that 4 replicas were in rotation"),
        (_scaled("failed"), "the autoscaler could not scale: not today"),
        (_kill("intended"), "killing t1 with SIGKILL"),
        (_kill("proved"), "proved: t1 is dead"),
        (_kill("unproved"), "not proved"),
        (_task("failed", error="task: non-zero exit (137)"), "t1 (slot 1) failed: task: non-zero exit (137)"),
        (_task("running"), "t1 (slot 1) is running"),
        (
            RotationChanged(t=1, trial=TRIAL, task="t1", in_rotation=False, reason="cut", open_connections=1),
            "t1 left the rotation (cut), 1 connection open",
        ),
        (
            TrialEnded(t=1, trial=TRIAL, outcome="not-steady", reason="0 of 3 tasks"),
            "0 of 3 tasks",
        ),
        (Problem(t=1, severity="error", code="not-steady", params={"message": "0 of 3"}), "0 of 3"),
    ],
)
def test_what_happens_is_said_in_words(record: Record, words: str) -> None:
    line = describe(record, translator("en"))
    assert line is not None
    assert words in line.text


@pytest.mark.parametrize(
    "record",
    [
        _task("running", desired="shutdown"),
        _task("preparing"),
        TaskStats(t=1, trial=TRIAL, task="t1", memory_bytes=1),
        TrialEnded(t=1, trial=TRIAL, outcome="completed"),
        _kill("done"),
        _decided("hold"),
        _scaled("intended"),
        _scaled("done"),
    ],
)
def test_what_is_no_news_is_not_said(record: Record) -> None:
    assert describe(record, translator("en")) is None


def test_the_story_is_told_in_korean_too() -> None:
    line = describe(_task("running"), translator("ko"))
    assert line is not None
    assert "슬롯" in line.text


def test_the_autoscalers_decisions_are_told_in_korean_too() -> None:
    line = describe(_decided("up"), translator("ko"))
    assert line is not None
    assert line.text == "오토스케일러: 복제본 5개가 필요하지만 최댓값까지만 늘립니다. 3개 → 4개."


def test_the_plain_view_prints_each_event_once_with_its_time(tmp_path: Path) -> None:
    out = io.StringIO()
    view = PlainView(Console(file=out, width=200), translator("en"))
    plan = _plan()
    view.run_started(plan, tmp_path)
    view.trial_started(plan.trials[0], TrialState(tmp_path, TRIAL, 3))
    view.record(_task("running", t=view.running[TRIAL].began + 1_500_000_000))
    view.record(_task("running", desired="shutdown"))
    view.trial_ended(plan.trials[0], "completed")
    text = out.getvalue()
    assert "1 trial, about" in text
    assert "[1/1] kill/orchestrated/1" in text
    assert "1.500 s  t1 (slot 1) is running" in text
    assert text.count("is running") == 1


def _live(tmp_path: Path, lang: Language, width: int = 100) -> str:
    out = io.StringIO()
    view = LiveView(Console(file=out, width=width, force_terminal=True, color_system=None), translator(lang))
    plan = _plan()
    state = TrialState(tmp_path, TRIAL, 3)
    view.run_started(plan, tmp_path)
    view.trial_started(plan.trials[0], state)
    now = time.monotonic_ns()
    opened = StreamOpened(
        t=now, trial=TRIAL, stream="probe", model="open", t0=now, files=("p.bin",), plan={}, url="http://x/"
    )
    for record in (
        PhaseStarted(t=now, trial=TRIAL, phase="recovering"),
        _task("running", t=now),
        RotationChanged(t=now, trial=TRIAL, task="t1", in_rotation=True),
        TaskStats(t=now, trial=TRIAL, task="t1", memory_bytes=8 << 20, memory_limit_bytes=128 << 20),
        _task("failed", task="t2", error="task: non-zero exit (137)", t=now),
        opened,
    ):
        state.observe(record)
        view.record(record)
    writer = SampleWriter(tmp_path / "p.bin")
    for number in range(5):
        outcome = Outcome.RESET if number == 4 else Outcome.OK
        writer.add(now + number, 0, 0, 0, 0, 200, 0, 0, outcome)
    writer.close()
    state.poll()
    view.console.print(view._draw())
    return out.getvalue()


def test_the_live_view_shows_phase_replicas_memory_requests_and_events(tmp_path: Path) -> None:
    text = _live(tmp_path, "en")
    for words in (
        "watching the recovery",
        "serving",
        "8.0 MiB / 128.0 MiB",
        "4 ok",
        "1 failed",
        "task: non-zero exit (137)",
        "of about",
    ):
        assert words in text


def test_the_live_view_fits_a_narrow_terminal_in_korean(tmp_path: Path) -> None:
    from rich.cells import cell_len

    text = _live(tmp_path, "ko", width=60)
    assert all(cell_len(line) <= 60 for line in text.splitlines())


def test_contenders_side_by_side_are_told_apart(tmp_path: Path) -> None:
    out = io.StringIO()
    view = PlainView(Console(file=out, width=200), translator("en"))
    plan = plan_run(
        (replace(load_drill("kill", pace="quick"), side_by_side=True),),
        platform="local",
        pace="quick",
        seed=1,
        repeat=1,
        contenders=("single", "orchestrated"),
    )
    view.run_started(plan, tmp_path)
    for trial in plan.trials:
        view.trial_started(trial, TrialState(tmp_path, trial.id, 1))
    began = view.running[TRIAL].began
    view.record(_task("running", t=began + 2_000_000_000))
    view.trial_ended(plan.trials[0], "completed")
    assert "2.000 s  orchestrated: t1 (slot 1) is running" in out.getvalue()
    assert set(view.running) == {TRIAL}


def test_the_live_view_shows_contenders_side_by_side(tmp_path: Path) -> None:
    out = io.StringIO()
    view = LiveView(Console(file=out, width=100, force_terminal=True, color_system=None), translator("en"))
    drill = replace(load_drill("kill", pace="quick"), side_by_side=True)
    plan = plan_run((drill,), platform="local", pace="quick", seed=1, repeat=1, contenders=())
    view.run_started(plan, tmp_path)
    for trial in plan.trials:
        view.trial_started(trial, TrialState(tmp_path, trial.id, 3))
    view.console.print(view._draw())
    text = out.getvalue()
    assert [name for name in ("single", "single-restart", "orchestrated") if name in text] != []
    assert text.count("0 of 3 serving") == 3


def test_a_tasks_end_is_said_once_though_the_wish_for_it_changes_later() -> None:
    out = io.StringIO()
    view = PlainView(Console(file=out, width=200), translator("en"))
    view.record(_task("failed", error="gone"))
    view.record(_task("failed", error="gone", desired="shutdown"))
    view.record(_task("failed", error="gone", task="t2"))
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["t1", "t2"]


@pytest.mark.parametrize(("terminal", "kind"), [(True, LiveView), (False, PlainView)])
def test_only_a_terminal_gets_the_live_view(
    terminal: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(file=io.StringIO(), force_terminal=terminal)
    assert type(make_view(console, translator("en"))) is kind


def test_a_dumb_terminal_gets_the_plain_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    console = Console(file=io.StringIO(), force_terminal=True)
    assert type(make_view(console, translator("en"))) is PlainView
