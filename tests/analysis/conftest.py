"""Builds journals through the real writers: trials whose every number can be worked out by hand.

Moments are milliseconds after the fault's effect, which is at `EFFECT` on the journal's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from breakroom.analysis.facts import TrialFacts, trial_facts
from breakroom.analysis.results import TrialResults
from breakroom.analysis.run import analyse
from breakroom.journal.records import (
    ActionChanged,
    CleanlinessChecked,
    PhaseStarted,
    Record,
    RotationChanged,
    RunEnded,
    RunStarted,
    StreamClosed,
    StreamOpened,
    TaskChanged,
    TaskStats,
    ToolCost,
    TrialEnded,
    TrialStarted,
)
from breakroom.journal.samples import Outcome, SampleWriter
from breakroom.journal.store import Journal, JournalWriter, read_journal
from breakroom.spec.drill import LoadSpec, ProbeSpec
from breakroom.spec.plan import plan_digest

EFFECT = 5_000_000_000_000
MS = 1_000_000


def at(ms: float) -> int:
    """A moment on the journal's clock."""
    return EFFECT + round(ms * MS)


@dataclass
class Sample:
    """One request; times in ms after the effect."""

    intended: float
    latency: float = 5.0
    outcome: Outcome = Outcome.OK
    task: str = "t1"
    version: str = "1"
    lag: float = 0.1


@dataclass
class Scene:
    """A run being written. `expect` holds (contender, metric, op, value in ns or plain)."""

    directory: Path
    records: list[Record] = field(default_factory=list)
    trials: list[str] = field(default_factory=list)
    pace: str = "quick"
    expect: list[tuple[str, str, str, float]] = field(default_factory=list)
    seed: int = 7

    def trial(self, contender: str, repeat: int = 1, **options: Any) -> TrialScene:
        drill = options.get("drill", "kill")
        trial = TrialScene(self, f"{drill}/{contender}/{repeat}", contender, repeat, **options)
        self.trials.append(trial.id)
        return trial

    def journal(
        self, *, planned: tuple[str, ...] | None = None, ended: bool = True, chosen: bool = True
    ) -> Journal:
        """Write everything through the journal's writer and read it back."""
        path = self.directory / "journal.jsonl"
        path.unlink(missing_ok=True)
        writer = JournalWriter(self.directory)
        start = min((record.t for record in self.records), default=at(-10_000))
        writer.append(
            RunStarted(
                t=start - MS,
                run_id="run-1",
                version="0.1",
                unix_ns=1_700_000_000_000_000_000,
                argv=("run",),
                platform="local",
                pace=self.pace,
                seed=self.seed,
                repeat=1,
                trials=planned if planned is not None else tuple(self.trials),
                host={"cores": 2},
                chosen=chosen,
            )
        )
        for record in self.records:
            writer.append(record)
        if ended:
            last = max((record.t for record in self.records), default=start)
            writer.append(
                ToolCost(
                    t=last,
                    process="main",
                    cpu_user_ns=2_000_000,
                    cpu_system_ns=1_000_000,
                    max_rss_bytes=9,
                    wall_ns=MS,
                )
            )
            writer.append(RunEnded(t=last, outcome="completed"))
        writer.close()
        return read_journal(self.directory)


@dataclass
class TrialScene:
    """One trial being written."""

    scene: Scene
    id: str
    contender: str
    repeat: int
    runs_as: Literal["container", "service"] = "service"
    replicas: int = 3
    restart: str = "no"
    health: bool = False
    probe: ProbeSpec = field(default_factory=ProbeSpec)
    load: LoadSpec | None = None
    seed: int = 8
    shared: dict[str, Any] = field(default_factory=dict)
    drill: str = "kill"
    service: dict[str, Any] = field(default_factory=dict)
    """Laid over the service that `start` makes."""
    operator: dict[str, Any] | None = None

    def add(self, kind: Callable[..., Record], ms: float, /, **values: Any) -> None:
        self.scene.records.append(kind(t=at(ms), trial=self.id, **values))

    def start(self, ms: float) -> None:
        service: dict[str, Any] = {
            "restart": self.restart,
            "deploy": {"replicas": self.replicas, "restart_policy": {"delay": 0}},
            "healthcheck": {"test": ["HTTP", "/health"], "interval": 1_000 * MS} if self.health else None,
            **self.service,
        }
        shared = {"seed": self.seed, **self.shared}
        expect = [
            {"contender": c, "metric": m, "op": o, "value": v, "text": f"{c}.{m} {o} {v}"}
            for c, m, o, v in self.scene.expect
        ]
        self.add(
            TrialStarted,
            ms,
            drill=self.drill,
            contender=self.contender,
            repeat=self.repeat,
            runs_as=self.runs_as,
            seed=self.seed,
            shared_plan=shared,
            plan_digest=plan_digest(shared),
            plan={
                "title": {"en": "Kill"},
                "steady_state": {"duration": 3_000 * MS, "within": 30_000 * MS},
                "recovered": {"stable": 3_000 * MS, "within": 60_000 * MS},
                "contenders": [
                    {
                        "name": self.contender,
                        "service": service,
                        "description": {"en": "d"},
                        "operator": self.operator,
                    }
                ],
                "expect": expect,
            },
        )

    def phase(self, ms: float, phase: str) -> None:
        self.add(PhaseStarted, ms, phase=phase)

    def task(self, ms: float, task: str, slot: int, state: str, **values: Any) -> None:
        values = {"desired": "running", "node": "n1", "service": "web", "version": 1, **values}
        self.add(TaskChanged, ms, task=task, slot=slot, state=state, **values)

    def enters(self, ms: float, task: str) -> None:
        self.add(RotationChanged, ms, task=task, in_rotation=True)

    def leaves(self, ms: float, task: str, opened: int = 0, refused: int = 0) -> None:
        self.add(
            RotationChanged,
            ms,
            task=task,
            in_rotation=False,
            reason="cut",
            open_connections=opened,
            refused_connections=refused,
        )

    def running(self, ms: float, task: str, slot: int) -> None:
        """A task that was up long before."""
        self.task(ms, task, slot, "new")
        self.task(ms + 1, task, slot, "running", pid=1)
        self.enters(ms + 2, task)

    def kill(self, tasks: tuple[str, ...], *, proved: bool = True) -> None:
        action: dict[str, Any] = {"action": "step-1", "kind": "kill", "by": "timeline", "tasks": tasks}
        self.add(ActionChanged, -1, stage="intended", **action)
        self.add(ActionChanged, -0.5, stage="done", **action)
        if proved:
            self.add(ActionChanged, 3, stage="proved", proved_t=at(0), **action)
        else:
            self.add(ActionChanged, 2_000, stage="unproved", **action)

    def action(
        self,
        ms: float,
        action: str,
        kind: str,
        *,
        by: str = "timeline",
        tasks: tuple[str, ...] = (),
        stage: str = "",
        proved: bool = True,
        undone: float | None = None,
        **detail: Any,
    ) -> None:
        """An action whose command is given at `ms` and whose effect is proved at `ms` + 1; `stage` is its last one."""
        base = {"action": action, "kind": kind, "by": by, "tasks": tasks}
        self.add(ActionChanged, ms, stage="intended", detail=detail, **base)
        if stage:
            self.add(ActionChanged, ms + 0.5, stage=stage, **base)
            return
        self.add(ActionChanged, ms, stage="done", **base)
        if proved:
            self.add(ActionChanged, ms + 4, stage="proved", proved_t=at(ms + 1), **base)
        else:
            self.add(ActionChanged, ms + 2_000, stage="unproved", **base)
        if undone is not None:
            self.add(ActionChanged, undone, stage="undone", **base)

    def inapplicable(self, ms: float, action: str, kind: str, **detail: Any) -> None:
        """An act that the contender does not have."""
        self.add(
            ActionChanged, ms, action=action, kind=kind, by="timeline", stage="inapplicable", detail=detail
        )

    def act(self, ms: float, by: str = "operator-model") -> None:
        action: dict[str, Any] = {"action": "operator-1", "kind": "restart", "by": by}
        self.add(ActionChanged, ms, stage="intended", **action)
        self.add(ActionChanged, ms + 1, stage="done", **action)

    def stream(
        self,
        name: str,
        samples: Iterable[Sample],
        *,
        opened: float,
        closed: float | None,
        workers: int = 1,
        bottleneck: str = "",
        lost: int = 0,
    ) -> None:
        """Write a stream's records and its samples, dealt out over `workers` files."""
        spec: ProbeSpec | LoadSpec = self.probe if name == "probe" else self.load or LoadSpec()
        folder = Path("samples") / self.id
        (self.scene.directory / folder).mkdir(parents=True, exist_ok=True)
        files = tuple(str(folder / f"{name}-{number}.bin") for number in range(workers))
        model = spec.model if isinstance(spec, LoadSpec) else "open"
        self.add(
            StreamOpened,
            opened,
            stream=name,
            model=model,
            t0=at(opened),
            files=files,
            plan=msgspec.to_builtins(spec),
            url="http://127.0.0.1:1/",
        )
        count = 0
        writers = [SampleWriter(self.scene.directory / file) for file in files]
        for sample in samples:
            write_sample(writers[count % workers], sample)
            count += 1
        for writer in writers:
            writer.close()
        if closed is not None:
            self.add(
                StreamClosed,
                closed,
                stream=name,
                intended=count + lost,
                sent=count,
                completed=count,
                bottleneck=bottleneck,
            )

    def stats(self, ms: float, task: str, memory: int, limit: int | None) -> None:
        self.add(TaskStats, ms, task=task, memory_bytes=memory, memory_limit_bytes=limit)

    def end(self, ms: float, outcome: str = "completed") -> None:
        self.add(CleanlinessChecked, ms, checked=("processes",))
        self.add(TrialEnded, ms + 1, outcome=outcome)
        self.phase(ms + 2, "done")


def write_sample(writer: SampleWriter, sample: Sample) -> None:
    us = round(sample.latency * 1_000)
    writer.add(
        at(sample.intended),
        round(sample.lag * 1_000),
        us,
        us,
        us,
        200 if sample.outcome is Outcome.OK else 0,
        writer.name(sample.task) if sample.outcome is Outcome.OK else 0,
        writer.name(sample.version) if sample.outcome is Outcome.OK else 0,
        sample.outcome,
    )


def probes(start: float, end: float, spacing: float = 10.0, **values: Any) -> list[Sample]:
    """Successful probes at `start`, `start + spacing`, … below `end`."""
    found, ms = [], start
    while ms < end:
        found.append(Sample(ms, **values))
        ms += spacing
    return found


def orchestrated(scene: Scene, repeat: int = 1, *, back: float = 300.0, **options: Any) -> TrialScene:
    """Replica t2 of 3 dies; one probe is in flight on it; its replacement t4 is in rotation `back` ms later."""
    trial = scene.trial("orchestrated", repeat, **options)
    trial.start(-5_000)
    trial.phase(-4_990, "deploying")
    for slot in (1, 2, 3):
        trial.running(-4_900, f"t{slot}", slot)
    samples = probes(-4_003, back + 3_060)
    for number, sample in enumerate(samples):
        sample.task = f"t{number % 3 + 1}"
    hit = next(sample for sample in samples if sample.intended == -3)
    hit.outcome, hit.latency = Outcome.RESET, 3.0
    trial.stream("probe", samples, opened=-4_003, closed=None)
    trial.phase(-4_000, "steadying")
    trial.phase(-5, "faulting")
    trial.kill(("t2",))
    trial.task(0, "t2", 2, "failed", error="task: non-zero exit (137)", exit_code=137, signal=9)
    trial.leaves(1, "t2", opened=1)
    trial.task(1, "t4", 2, "new", desired="ready")
    trial.task(6, "t4", 2, "starting", pid=2)
    trial.phase(7, "recovering")
    trial.task(back, "t4", 2, "running", pid=2)
    trial.enters(back, "t4")
    trial.phase(back + 3_050, "undoing")
    trial.add(
        StreamClosed,
        back + 3_070,
        stream="probe",
        intended=len(samples),
        sent=len(samples),
        completed=len(samples),
    )
    trial.end(back + 3_100)
    return trial


def single(
    scene: Scene, repeat: int = 1, *, act: float = 3_000.0, by: str = "operator-model", **options: Any
) -> TrialScene:
    """The only container dies; someone starts it again at `act` ms; it listens 200 ms after it has started."""
    trial = scene.trial("single", repeat, runs_as="container", replicas=1, **options)
    trial.start(-5_000)
    trial.running(-4_900, "c1", 0)
    samples = probes(-4_003, act + 3_300, task="c1")
    for sample in samples:
        if sample.intended == -3:
            sample.outcome, sample.latency = Outcome.RESET, 3.0
        elif 0 < sample.intended < act + 206:
            sample.outcome, sample.latency = Outcome.REFUSED, 0.2
    trial.stream("probe", samples, opened=-4_003, closed=None)
    trial.phase(-4_000, "steadying")
    trial.phase(-5, "faulting")
    trial.kill(("c1",))
    trial.task(0, "c1", 0, "failed", exit_code=137, signal=9)
    trial.leaves(1, "c1", opened=1)
    trial.phase(7, "recovering")
    trial.act(act, by)
    trial.task(act + 5, "c2", 0, "new")
    trial.task(act + 6, "c2", 0, "running", pid=3)
    trial.enters(act + 6, "c2")
    trial.phase(act + 3_250, "undoing")
    trial.add(
        StreamClosed,
        act + 3_310,
        stream="probe",
        intended=len(samples),
        sent=len(samples),
        completed=len(samples),
    )
    trial.end(act + 3_320)
    return trial


def observed(
    scene: Scene, samples: list[Sample] | None = None, *, end: float = 8_000.0, **options: Any
) -> TrialScene:
    """A trial that is up and steady from -4 s on and observed from -5 ms until `end`; what is done to it is to come."""
    trial = scene.trial(options.pop("contender", "orchestrated"), **options)
    trial.start(-5_000)
    for slot in range(1, trial.replicas + 1):
        trial.running(-4_900, f"t{slot}", slot)
    found = probes(-4_003, end) if samples is None else samples
    trial.stream("probe", found, opened=-4_003, closed=None)
    trial.phase(-4_000, "steadying")
    trial.phase(-5, "faulting")
    trial.phase(end, "undoing")
    count = len(found)
    trial.add(StreamClosed, end + 30, stream="probe", intended=count, sent=count, completed=count)
    trial.end(end + 100)
    return trial


def facts_of(scene: Scene) -> TrialFacts:
    """Of the scene's only trial."""
    facts = trial_facts(record for record in scene.journal().records if record.trial)
    assert facts is not None
    return facts


def results_of(scene: Scene) -> TrialResults:
    """Of the scene's only trial."""
    (trial,) = analyse(scene.journal()).trials
    return trial


@dataclass(frozen=True)
class Kit:
    """What tests build with; a fixture, so that test modules need no import between each other."""

    scene: Callable[[], Scene]
    orchestrated: Callable[..., TrialScene]
    single: Callable[..., TrialScene]
    sample: type[Sample]
    at: Callable[[float], int]


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    numbers = iter(range(1_000))

    def scene() -> Scene:
        directory = tmp_path / str(next(numbers))
        directory.mkdir()
        return Scene(directory)

    return Kit(scene, orchestrated, single, Sample, at)
