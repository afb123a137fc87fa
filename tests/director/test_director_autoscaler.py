"""The autoscaler beside a trial: against a platform that does as it is told, and in a whole trial on the local one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from breakroom.director.autoscaler import autoscale
from breakroom.director.plan import TrialPlan
from breakroom.director.state import TrialState
from breakroom.director.tasks import background
from breakroom.director.trial import TrialContext, run_trial
from breakroom.journal.records import (
    ActionChanged,
    Record,
    RotationChanged,
    ScalingDecided,
    StreamOpened,
    TaskChanged,
)
from breakroom.journal.samples import Outcome, read_samples
from breakroom.journal.store import JournalWriter
from breakroom.platforms.base import Deployment, Platform, PlatformError
from breakroom.platforms.local import LocalPlatform
from breakroom.spec.drill import AutoscaleSpec, KillStep, LoadSpec, ProbeSpec, Recovered, Stage, SteadyState
from breakroom.spec.loader import load_drill

SECOND = 1_000_000_000
MS = 1_000_000
TRIAL = "scaled/orchestrated/1"
WITHIN = 30.0


@dataclass
class Obedient:
    """A deployment that has a new number in rotation at once, unless it is told to refuse or to be slow."""

    emit: Callable[[Record], None]
    tasks: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    refuses: bool = False
    slow: bool = False

    async def scale(self, replicas: int) -> None:
        self.asked.append(replicas)
        if self.refuses:
            raise PlatformError("refused", "not today")
        if not self.slow:
            self.set(replicas)

    def set(self, replicas: int) -> None:
        while len(self.tasks) < replicas:
            self.tasks.append(f"t{len(self.tasks) + 1}")
            self._tell(self.tasks[-1], enters=True)
        while len(self.tasks) > replicas:
            self._tell(self.tasks.pop(), enters=False)

    def _tell(self, task: str, *, enters: bool) -> None:
        at = time.monotonic_ns()
        common: dict[str, Any] = {"t": at, "trial": TRIAL, "task": task}
        if enters:
            self.emit(
                TaskChanged(**common, service="web", slot=1, node="n", state="running", desired="running")
            )
        self.emit(RotationChanged(**common, in_rotation=enters))


class Scene:
    """A running autoscaler with a probe whose plan says `rate`."""

    def __init__(self, directory: Path, replicas: int) -> None:
        self.state = TrialState(directory, TRIAL, wanted=replicas)
        self.records: list[Record] = []
        self.deployment = Obedient(self.emit)
        self.deployment.set(replicas)

    def emit(self, record: Record) -> None:
        self.records.append(record)
        self.state.observe(record)

    def probe(self, rate: float) -> None:
        plan = {"rate": rate, "seed": 1, "workers": 1}
        self.emit(
            StreamOpened(
                t=time.monotonic_ns(),
                trial=TRIAL,
                stream="probe",
                model="open",
                t0=time.monotonic_ns(),
                files=("probe.bin",),
                plan=plan,
                url="http://x/",
            )
        )

    @asynccontextmanager
    async def scaled(self, **settings: Any) -> AsyncIterator[None]:
        spec = AutoscaleSpec(
            **{"capacity": 100.0, "interval": 50 * MS, "cooldown_down": 0, "maximum": 8, **settings}
        )
        work = autoscale(spec, cast("Deployment", self.deployment), self.state, self.emit, time.monotonic_ns)
        async with background(work, "autoscaler"):
            yield

    async def until(self, true: Callable[[], bool]) -> None:
        assert await self.state.until(true, within=WITHIN), self.records[-5:]

    def decisions(self) -> list[ScalingDecided]:
        return [record for record in self.records if isinstance(record, ScalingDecided)]

    def actions(self) -> list[ActionChanged]:
        return [record for record in self.records if isinstance(record, ActionChanged)]

    def stages(self) -> list[tuple[str, str]]:
        return [(record.action, record.stage) for record in self.actions()]


def test_a_change_is_decided_done_and_proved_and_the_wanted_number_follows(tmp_path: Path) -> None:
    async def scenario() -> Scene:
        scene = Scene(tmp_path, 2)
        scene.probe(400)
        async with scene.scaled():
            await scene.until(lambda: ("autoscale-2", "proved") in scene.stages())
        return scene

    scene = asyncio.run(scenario())
    # 400/s ÷ (100/s x 0.7) = 5.7, and at most twice as many at once.
    assert scene.deployment.asked == [4, 6]
    assert scene.state.wanted == 6
    assert scene.stages() == [
        (f"autoscale-{number}", stage) for number in (1, 2) for stage in ("intended", "done", "proved")
    ]
    proofs = [record for record in scene.actions() if record.stage == "proved"]
    assert [(proof.tasks, proof.detail["from"], proof.detail["replicas"]) for proof in proofs] == [
        (("t3", "t4"), 2, 4),
        (("t5", "t6"), 4, 6),
    ]
    assert {(record.kind, record.by) for record in scene.actions()} == {("scale", "autoscaler")}
    entered = [record.t for record in scene.records if isinstance(record, RotationChanged)]
    assert [proof.proved_t for proof in proofs] == [entered[3], entered[5]]
    changes = [one for one in scene.decisions() if one.decision != "hold"]
    assert [(one.replicas, one.proposed, one.decided, one.reason) for one in changes] == [
        (2, 6, 4, "scaling.up-doubled"),
        (4, 6, 6, "scaling.up-utilisation"),
    ]
    assert changes[0].observed == pytest.approx(2.0, rel=0.05)


def test_a_surplus_is_taken_away_and_proved_when_it_is_out_of_rotation(tmp_path: Path) -> None:
    async def scenario() -> Scene:
        scene = Scene(tmp_path, 4)
        scene.probe(100)
        scene.deployment.slow = True
        async with scene.scaled():
            await scene.until(lambda: ("autoscale-1", "done") in scene.stages())
            # The number is wanted now, so nothing more is asked for while the surplus still serves.
            seen = len(scene.decisions())
            await scene.until(lambda: len(scene.decisions()) >= seen + 2)
            assert scene.stages()[-1] == ("autoscale-1", "done")
            scene.deployment.set(2)
            await scene.until(lambda: ("autoscale-1", "proved") in scene.stages())
        return scene

    scene = asyncio.run(scenario())
    assert scene.deployment.asked == [2]
    assert scene.actions()[-1].tasks == ("t4", "t3")


def test_a_dry_run_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    async def scenario() -> Scene:
        scene = Scene(tmp_path, 2)
        scene.probe(400)
        async with scene.scaled(dry_run=True):
            await scene.until(lambda: len(scene.decisions()) >= 3)
        return scene

    scene = asyncio.run(scenario())
    assert (scene.deployment.asked, scene.actions(), scene.state.wanted) == ([], [], 2)
    assert {(one.decided, one.dry_run) for one in scene.decisions()} == {(4, True)}


def test_a_refusal_is_written_and_asked_for_again(tmp_path: Path) -> None:
    async def scenario() -> Scene:
        scene = Scene(tmp_path, 2)
        scene.probe(400)
        scene.deployment.refuses = True
        # A cool-down does not begin with what was refused.
        async with scene.scaled(cooldown_up=3600 * SECOND):
            await scene.until(lambda: ("autoscale-2", "failed") in scene.stages())
            scene.deployment.refuses = False
            await scene.until(lambda: scene.stages()[-1][1] == "proved")
        return scene

    scene = asyncio.run(scenario())
    assert scene.stages()[:2] == [("autoscale-1", "intended"), ("autoscale-1", "failed")]
    assert scene.actions()[1].detail["reason"] == "not today"
    assert scene.state.wanted == 4


def test_the_end_of_the_trial_leaves_no_change_undecided(tmp_path: Path) -> None:
    async def scenario() -> Scene:
        scene = Scene(tmp_path, 2)
        scene.probe(150)
        scene.deployment.slow = True
        async with scene.scaled():
            await scene.until(lambda: ("autoscale-1", "done") in scene.stages())
        return scene

    scene = asyncio.run(scenario())
    assert scene.stages()[-1] == ("autoscale-1", "unproved")
    assert scene.actions()[-1].detail["reason"] == "the trial ended"


def test_another_number_that_somebody_set_overtakes_a_change(tmp_path: Path) -> None:
    async def scenario() -> Scene:
        scene = Scene(tmp_path, 2)
        scene.probe(150)
        scene.deployment.slow = True
        async with scene.scaled(minimum=2, cooldown_up=3600 * SECOND):
            await scene.until(lambda: ("autoscale-1", "done") in scene.stages())
            scene.state.set_wanted(2)
            await scene.until(lambda: ("autoscale-1", "unproved") in scene.stages())
            await scene.until(lambda: scene.decisions()[-1].reason == "scaling.cooling-up")
        return scene

    scene = asyncio.run(scenario())
    assert scene.actions()[-1].detail["reason"] == "overtaken by another number"


# --- a whole trial ------------------------------------------------------------------------------------------------

# Each replica serves 1 ÷ 25 ms = 40/s, and is to be kept at 70 % = 28/s. The probe sends 10/s, the load 30, 100 and 30.
STAGES = (
    Stage(rate=30, duration=6 * SECOND),
    Stage(rate=100, duration=6 * SECOND),
    Stage(rate=30, duration=60 * SECOND),
)


def _plan() -> TrialPlan:
    drill = load_drill("kill", pace="quick", env={})
    contender = next(one for one in drill.contenders if one.runs_as == "service")
    service = replace(
        contender.service,
        environment={"SERVICE_TIME_MS": "25", "CONCURRENCY": "1"},
        deploy=replace(contender.service.deploy, replicas=2),
    )
    contender = replace(
        contender,
        service=service,
        autoscale=AutoscaleSpec(capacity=40.0, minimum=2, maximum=6, cooldown_down=2 * SECOND),
    )
    drill = replace(
        drill,
        name="scaled",
        contenders=(contender,),
        probe=ProbeSpec(rate=10),
        load=LoadSpec(model="open", stages=STAGES),
        timeline=(KillStep(at=18 * SECOND),),
        steady_state=SteadyState(duration=SECOND),
        recovered=Recovered(stable=SECOND),
    )
    return TrialPlan(drill=drill, contender=contender, repeat=1, seed=1)


def _counts_in_rotation(records: list[Record]) -> list[int]:
    """Every number of replicas in rotation that there was, from the platform's own records alone."""
    inside: set[str] = set()
    counts = []
    for record in records:
        if isinstance(record, RotationChanged):
            (inside.add if record.in_rotation else inside.discard)(record.task)
            counts.append(len(inside))
    return counts


async def _run(plan: TrialPlan, directory: Path) -> tuple[str, TrialState]:
    journal = JournalWriter(directory)
    state = TrialState(directory, plan.id, wanted=2)
    with contextlib.closing(journal):
        journal.listen(state.observe)
        outcome = await run_trial(
            TrialContext(
                plan=plan,
                platform=cast("Platform", LocalPlatform()),
                directory=directory,
                emit=journal.append,
                now=time.monotonic_ns,
                state=state,
                capabilities={},
            )
        )
    return outcome, state


def test_on_the_local_platform_replicas_follow_a_load_that_rises_and_falls(tmp_path: Path) -> None:
    outcome, state = asyncio.run(_run(_plan(), tmp_path))
    assert outcome == "completed"
    records = state.records
    changes = [r for r in records if isinstance(r, ScalingDecided) and r.decision != "hold"]
    # 110/s ÷ 28/s = 3.9; 40/s ÷ 28/s = 1.4. An interval on the edge of a stage sees something in between, which may
    # need one step more.
    assert [one.decision for one in changes] == sorted((one.decision for one in changes), reverse=True)
    ups = [one.decided for one in changes if one.decision == "up"]
    downs = [one.decided for one in changes if one.decision == "down"]
    assert (ups[-1], downs[-1]) == (4, 2)
    actions = [r for r in records if isinstance(r, ActionChanged) and r.by == "autoscaler"]
    stages = [record.stage for record in actions]
    assert stages == ["intended", "done", "proved"] * len(changes)
    # The crash of one of two leaves the load as it is: its replacement is the orchestrator's matter.
    kill = next(r.t for r in records if isinstance(r, ActionChanged) and r.kind == "kill")
    assert all(one.t < kill for one in changes)
    # The platform's own records tell of the same numbers.
    counts = _counts_in_rotation([record for record in records if record.t < kill])
    assert (max(counts), counts[-1], state.wanted) == (4, 2, 2)
    # Nobody lost a request by it, on the way up or down.
    samples = [read_samples(path) for path in tmp_path.glob("samples/*/*.bin")]
    before = [of_stream[of_stream["intended"] < kill - SECOND] for of_stream in samples]
    assert sum(len(part) for part in before) > 500
    assert all((part["outcome"] == Outcome.OK).all() for part in before)
