"""What is known of a trial while it runs: tasks, rotation, and what the probe's users see right now.

Fed by every journal record and by the growing sample files, nothing else; read by the director's waits and by the
live view. It decides when a trial goes on; it never produces a number of the results (that is `analysis`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from breakroom.journal.records import (
    ActionChanged,
    PhaseStarted,
    Problem,
    Record,
    RotationChanged,
    StreamClosed,
    StreamOpened,
    TaskChanged,
    TaskStats,
    UpdateChanged,
)
from breakroom.journal.samples import Outcome, SampleTail

__all__ = ["StreamState", "TaskState", "TrialState"]

BIN_NS = 250_000_000
"""Width of a bin of the live view's history."""
KEEP_BINS = 480
UNANSWERED_NS = 1_000_000_000
DEATHS = frozenset({"engine-died", "engine-failed", "ingress-died", "worker-died", "samples-unwritable"})
"""Problem codes of a death among breakroom's own processes."""
UNDER_WAY = frozenset({"updating", "rollback_started"})
PAUSED = frozenset({"paused", "rollback_paused"})
TERMINAL = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})


@dataclass(slots=True)
class TaskState:
    """The last that was heard of one task."""

    task: str
    slot: int
    state: str
    desired: str
    since: int
    error: str = ""
    in_rotation: bool = False
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.state not in TERMINAL

    def observe(self, record: RotationChanged | TaskStats) -> None:
        """Take in what was heard of it."""
        if isinstance(record, RotationChanged):
            self.in_rotation = record.in_rotation
        else:
            self.memory_bytes = record.memory_bytes
            self.memory_limit_bytes = record.memory_limit_bytes


@dataclass(slots=True)
class StreamState:
    """What has been sampled of one stream so far. Intended times in nanoseconds."""

    tails: list[SampleTail]
    outcomes: dict[int, int] = field(default_factory=dict)
    bins: dict[int, list[int]] = field(default_factory=dict)
    """bin number → [ok, failed]."""
    recent: deque[tuple[int, bool]] = field(default_factory=lambda: deque(maxlen=20_000))
    """(intended, ok) of the newest probe samples, in order of completion."""
    last_ok: int = 0
    last_failed: int = 0
    closed: bool = False

    @property
    def ok(self) -> int:
        """Requests that succeeded."""
        return self.outcomes.get(Outcome.OK, 0)

    @property
    def failed(self) -> int:
        """Requests that did not. What the generator itself could not send says nothing about the service."""
        return sum(self.outcomes.values()) - self.ok - self.outcomes.get(Outcome.NOT_SENT, 0)


class TrialState:
    """One trial as it stands. `observe` and `poll` update it and wake whoever waits in `until`."""

    def __init__(self, directory: Path, trial: str, wanted: int) -> None:
        self.directory = directory
        self.trial = trial
        self.wanted = wanted
        self.phase = "deploying"
        self.phase_since = 0
        self.tasks: dict[str, TaskState] = {}
        self.streams: dict[str, StreamState] = {}
        self.records: list[Record] = []
        self.actions: list[ActionChanged] = []
        self.streams_since = 0
        """When the stream that was opened last began to send."""
        self.update_state = ""
        """What the orchestrator last said of an update; empty: there was none."""
        self.update_since = 0
        self.broken: Problem | None = None
        """The first death among breakroom's own processes: from then on the service is not what is measured."""
        self._changed = asyncio.Event()

    # --- feeding ----------------------------------------------------------------------------------------------

    def observe(self, record: Record) -> None:
        """Take in one record of this trial; others are ignored."""
        if record.trial != self.trial:
            return
        if not isinstance(record, TaskStats):
            self.records.append(record)
        if isinstance(record, TaskChanged):
            self._observe_task(record)
        elif isinstance(record, RotationChanged | TaskStats) and record.task in self.tasks:
            self.tasks[record.task].observe(record)
        match record:
            case PhaseStarted():
                self.phase, self.phase_since = record.phase, record.t
            case ActionChanged():
                self.actions.append(record)
            case UpdateChanged():
                self.update_state, self.update_since = record.state, record.t
            case StreamOpened():
                self.streams_since = max(self.streams_since, record.t0)
                self.streams[record.stream] = StreamState(
                    [SampleTail(self.directory / name) for name in record.files]
                )
            case StreamClosed():
                if record.stream in self.streams:
                    self.streams[record.stream].closed = True
            case Problem(code=code) if code in DEATHS:
                self.broken = self.broken or record
            case _:
                pass
        self._changed.set()

    def _observe_task(self, record: TaskChanged) -> None:
        task = self.tasks.get(record.task)
        if task is None:
            task = TaskState(record.task, record.slot, record.state, record.desired, record.t)
            self.tasks[record.task] = task
        if task.state != record.state:
            task.since = record.t
        task.state, task.desired = record.state, record.desired
        task.error = record.error or task.error
        if not task.alive:
            task.in_rotation = False

    def waits_for_a_person(self, *, since: int, stable: int) -> bool:
        """Whether an update has been paused for `stable` ns: nothing will change until somebody decides on it."""
        probe = self.streams.get("probe")
        if self.update_state not in PAUSED or probe is None:
            return False
        return max(probe.last_ok, probe.last_failed) >= max(since, self.update_since) + stable

    def set_wanted(self, replicas: int) -> None:
        """From now on so many tasks are wanted: a scale was accepted by the platform. Capacity is judged by it."""
        self.wanted = replicas
        self._changed.set()

    def memory_of(self, task: str) -> int | None:
        """The memory that a task used when it was last sampled, in bytes; None: not known."""
        known = self.tasks.get(task)
        return known.memory_bytes if known is not None else None

    def poll(self) -> None:
        """Take in what the sample files have grown by."""
        for stream in self.streams.values():
            for tail in stream.tails:
                samples = tail.read()
                if len(samples):
                    self._take(stream, samples["intended"].tolist(), samples["outcome"].tolist())
        self._changed.set()

    def _take(self, stream: StreamState, intended: list[int], outcomes: list[int]) -> None:
        for at, outcome in zip(intended, outcomes, strict=True):
            ok = outcome == Outcome.OK
            stream.outcomes[outcome] = stream.outcomes.get(outcome, 0) + 1
            if outcome == Outcome.NOT_SENT:
                continue  # no user's request: nobody may act on it, and nothing is steady or recovered by it
            counts = stream.bins.setdefault(at // BIN_NS, [0, 0])
            counts[0 if ok else 1] += 1
            stream.recent.append((at, ok))
            if ok:
                stream.last_ok = max(stream.last_ok, at)
            else:
                stream.last_failed = max(stream.last_failed, at)
        while len(stream.bins) > KEEP_BINS:
            del stream.bins[min(stream.bins)]

    # --- asking -----------------------------------------------------------------------------------------------

    @property
    def serving(self) -> int:
        """How many tasks are in rotation."""
        return sum(1 for task in self.tasks.values() if task.in_rotation and task.alive)

    @property
    def at_capacity(self) -> bool:
        """Whether every wanted task is in rotation."""
        return self.serving >= self.wanted

    @property
    def update_under_way(self) -> bool:
        """Whether a rolling update or rollback has begun and not ended."""
        return self.update_state in UNDER_WAY

    @property
    def trouble_since(self) -> int | None:
        """Since when a person would see that something is wrong (ns): nothing of it alive, or nobody gets an answer.

        Nobody gets one if every probe failed for a second, from the last success on. None: nothing is wrong.
        """
        if self.tasks and not any(task.alive for task in self.tasks.values()):
            return max(task.since for task in self.tasks.values())
        probe = self.streams.get("probe")
        if probe is None or probe.last_failed - probe.last_ok < UNANSWERED_NS:
            return None
        return probe.last_ok or self.phase_since

    def steady(self, *, duration: int, availability: float, rate: float) -> bool:
        """Whether the newest probe samples cover `duration` ns, all but 5 % of them are there, and enough are ok."""
        probe = self.streams.get("probe")
        if probe is None or not self.at_capacity or not probe.recent:
            return False
        newest = max(at for at, _ in probe.recent)
        oldest = min(at for at, _ in probe.recent)
        spacing = 1e9 / rate
        # What the probe saw before the load was on says nothing of the service under it.
        if newest - max(oldest, self.streams_since) < duration - spacing:
            return False
        window = [ok for at, ok in probe.recent if at > newest - duration]
        return len(window) >= 0.95 * duration / spacing and sum(window) >= availability * len(window)

    def recovered(self, *, since: int, stable: int) -> bool:
        """Whether capacity is whole, and probes have succeeded for `stable` ns after the last failure since `since`."""
        probe = self.streams.get("probe")
        if probe is None or self.serving != self.wanted:
            return False
        whole_since = max(
            (task.since for task in self.tasks.values() if task.in_rotation and task.alive), default=since
        )
        return probe.last_ok >= max(since, probe.last_failed, whole_since) + stable

    async def until(self, true: Callable[[], bool], *, within: float | None) -> bool:
        """Wait until `true()`, asked again at each change; False when `within` seconds (None: ever) have passed."""
        try:
            async with asyncio.timeout(within):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return true()
        return True

    async def wait_for(self, matches: Callable[[Record], bool], *, since: int, within: int) -> Record | None:
        """The first record written that is of `since` or later and matches; None when `within` ns have passed.

        Records are not quite in the order of their times: what a platform is asked for now and then is told late.
        """
        looked_at = 0
        found: Record | None = None

        def find() -> bool:
            nonlocal looked_at, found
            while found is None and looked_at < len(self.records):
                record = self.records[looked_at]
                looked_at += 1
                if record.t >= since and matches(record):
                    found = record
            return found is not None

        await self.until(find, within=within / 1e9)
        return found
