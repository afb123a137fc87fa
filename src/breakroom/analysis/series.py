"""Lines for the report's charts: what happened over a trial's time, binned.

Called by `report` (HTML, Markdown); numbers in tables come from `analysis.run` alone. All moments are seconds
after the trial's zero, as in `analysis.results`. Bins are as wide as needed to keep a chart under `MAX_BINS`
bins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.facts import TrialFacts, trial_facts
from breakroom.analysis.latency import percentiles
from breakroom.analysis.reading import OUTCOME_NAMES, StreamData, read_stream
from breakroom.analysis.wanted import Steps
from breakroom.journal.records import RunStarted, StreamClosed, StreamOpened
from breakroom.journal.samples import NOT_REACHED, Outcome
from breakroom.journal.store import Journal

__all__ = [
    "BIN_WIDTHS_S",
    "MAX_BINS",
    "MAX_FAILURES",
    "Failure",
    "MemoryLine",
    "StepLine",
    "StreamSeries",
    "TrialSeries",
    "bin_width_ns",
    "series_of",
    "trial_series",
    "unix_seconds",
]

MAX_BINS = 600
MAX_FAILURES = 4_000
BIN_WIDTHS_S = (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_S = 1_000_000_000

Reader = Callable[[Path, StreamOpened, StreamClosed | None], StreamData]


@dataclass(frozen=True, slots=True)
class StreamSeries:
    """One stream over the bins; every tuple has one entry a bin.

    Counts of outcomes and latencies stand in the bin of the request's *intended* time; goodput in that of its
    end. Latency: successful requests only, nearest rank, None where the bin has none.
    """

    stream: str
    model: str
    outcomes: dict[str, tuple[int, ...]]
    """Outcome name (all of `reading.OUTCOME_NAMES`) → count a bin."""
    goodput_per_s: tuple[float, ...]
    p50_s: tuple[float | None, ...]
    p90_s: tuple[float | None, ...]
    p99_s: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed probe: when it was to be sent, how it failed, after how long."""

    at_s: float
    outcome: str
    after_s: float


@dataclass(frozen=True, slots=True)
class MemoryLine:
    """Resident memory of one task over time, and its limit if it has one."""

    task: str
    slot: int
    at_s: tuple[float, ...]
    memory_bytes: tuple[int, ...]
    limit_bytes: int | None


@dataclass(frozen=True, slots=True)
class StepLine:
    """A count that holds its value until the next moment (draw it as steps)."""

    at_s: tuple[float, ...] = ()
    value: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialSeries:
    """Everything a chart of one trial needs besides its `TrialResults`."""

    trial: str
    zero_unix_s: float
    bin_s: float
    at_s: tuple[float, ...]
    """Left edge of each bin; the same for every stream."""
    from_s: float
    to_s: float
    """First and last moment of anything shown."""
    streams: dict[str, StreamSeries] = field(default_factory=dict)
    """`probe`, and `load` if there was one."""
    failures: tuple[Failure, ...] = ()
    """Failed probes one by one; evenly thinned out where there are more than `MAX_FAILURES`."""
    failures_total: int = 0
    memory: tuple[MemoryLine, ...] = ()
    rotation: StepLine = field(default_factory=StepLine)
    """Tasks in rotation."""
    wanted: StepLine = field(default_factory=StepLine)
    """Tasks that the contender is to have in rotation."""
    versions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Version that answered → successful requests a bin, probe and load together."""


def trial_series(journal: Journal, trial_id: str, *, read: Reader = read_stream) -> TrialSeries:
    """The chart lines of one trial, from whatever its journal holds.

    Raises:
        KeyError: the journal has no trial of that id.
    """
    facts = trial_facts(journal.of_trial(trial_id))
    if facts is None:
        raise KeyError(trial_id)
    unix = unix_seconds(journal, facts.zero)
    streams = {
        name: read(journal.directory, opened, facts.closed.get(name)) for name, opened in facts.opened.items()
    }
    return series_of(facts, streams, unix)


def unix_seconds(journal: Journal, t: int) -> float:
    """A moment of the journal's clock as calendar time; 0 where no `RunStarted` ties the two."""
    started = next((record for record in journal.records if isinstance(record, RunStarted)), None)
    return (started.unix_ns + t - started.t) / _S if started is not None else 0.0


def series_of(facts: TrialFacts, streams: dict[str, StreamData], zero_unix_s: float) -> TrialSeries:
    """The chart lines from facts and samples. Pure."""
    start, end = _range(facts, streams)
    width = bin_width_ns(end - start)
    # Edges lie on whole bins around zero, so that the fault stands on an edge in every contender's chart.
    first = (start - facts.zero) // width
    count = max((end - facts.zero) // width - first + 1, 1)
    origin = facts.zero + first * width
    grid = _Grid(origin, width, count)
    failures, total = _failures(facts, streams.get("probe"))
    return TrialSeries(
        trial=facts.id,
        zero_unix_s=zero_unix_s,
        bin_s=width / _S,
        at_s=tuple((first + index) * width / _S for index in range(count)),
        from_s=facts.seconds(start),
        to_s=facts.seconds(end),
        streams={name: _stream_series(stream, grid) for name, stream in streams.items()},
        failures=failures,
        failures_total=total,
        memory=_memory(facts),
        rotation=_steps(facts, facts.rotation_steps),
        wanted=_steps(facts, facts.wanted_steps),
        versions=_versions(streams.values(), grid),
    )


def bin_width_ns(span_ns: int) -> int:
    """The narrowest width with which `span_ns` takes at most `MAX_BINS` - 1 bins (one is to spare)."""
    for width in BIN_WIDTHS_S:
        if span_ns <= (MAX_BINS - 1) * width * _S:
            return round(width * _S)
    return -(-span_ns // (MAX_BINS - 1))


def _steps(facts: TrialFacts, steps: Steps) -> StepLine:
    return StepLine(tuple(facts.seconds(t) for t, _ in steps), tuple(value for _, value in steps))


@dataclass(frozen=True, slots=True)
class _Grid:
    origin: int
    width: int
    count: int

    def index(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bin of each moment; those outside fall into the first or last."""
        return np.clip((t - self.origin) // self.width, 0, self.count - 1)

    def histogram(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many moments lie in each bin. Those outside are left out: late answers are no burst at the end."""
        index = (t - self.origin) // self.width
        return np.bincount(index[(index >= 0) & (index < self.count)], minlength=self.count)


def _range(facts: TrialFacts, streams: dict[str, StreamData]) -> tuple[int, int]:
    """From the first request (or the trial's start) to the end of observation (or the last thing known)."""
    starts = [int(stream.intended[0]) for stream in streams.values() if len(stream)]
    ends = [int(stream.intended[-1]) for stream in streams.values() if len(stream)]
    start = min(starts, default=facts.started.t)
    end = max([*ends, facts.phases.get("undoing", 0)], default=0) or facts.last_t
    return start, max(start, end)


def _stream_series(stream: StreamData, grid: _Grid) -> StreamSeries:
    counts = np.zeros(grid.count * len(OUTCOME_NAMES), np.int64)
    good = np.zeros(grid.count, np.int64)
    for part in stream.chunks():
        outcome = stream.outcome[part]
        keys = grid.index(stream.intended[part]) * len(OUTCOME_NAMES) + outcome
        counts += np.bincount(keys, minlength=len(counts))[: len(counts)]
        good += grid.histogram(stream.ends(part)[outcome == Outcome.OK])
    table = counts.reshape(grid.count, len(OUTCOME_NAMES))
    p50, p90, p99 = _latency_lines(stream, grid)
    return StreamSeries(
        stream=stream.name,
        model=stream.opened.model,
        outcomes={name: tuple(table[:, index].tolist()) for index, name in enumerate(OUTCOME_NAMES)},
        goodput_per_s=tuple((good * (_S / grid.width)).tolist()),
        p50_s=p50,
        p90_s=p90,
        p99_s=p99,
    )


def _latency_lines(stream: StreamData, grid: _Grid) -> tuple[tuple[float | None, ...], ...]:
    """Percentiles a bin. Samples are in order of intended time, so a bin is a slice."""
    edges = grid.origin + grid.width * np.arange(grid.count + 1, dtype=np.int64)
    cuts = np.searchsorted(stream.intended, edges)
    rows = []
    for low, high in pairwise(cuts.tolist()):
        part = slice(low, high)
        rows.append(percentiles(stream.total[part][stream.outcome[part] == Outcome.OK], (0.5, 0.9, 0.99)))
    return tuple(tuple(row[column] for row in rows) for column in range(3))


def _failures(facts: TrialFacts, probe: StreamData | None) -> tuple[tuple[Failure, ...], int]:
    if probe is None:
        return (), 0
    failed = np.flatnonzero(probe.outcome != Outcome.OK)
    shown = failed
    if len(failed) > MAX_FAILURES:
        shown = failed[np.linspace(0, len(failed) - 1, MAX_FAILURES).astype(np.int64)]
    points = tuple(
        Failure(
            facts.seconds(int(probe.intended[at])),
            OUTCOME_NAMES[min(int(probe.outcome[at]), len(OUTCOME_NAMES) - 1)],
            0.0 if probe.total[at] == NOT_REACHED else float(probe.total[at]) / 1e6,
        )
        for at in shown
    )
    return points, len(failed)


def _memory(facts: TrialFacts) -> tuple[MemoryLine, ...]:
    tasks = dict.fromkeys(stat.task for stat in facts.stats)
    lines = []
    for task in tasks:
        of = [stat for stat in facts.stats if stat.task == task]
        limit = next((stat.memory_limit_bytes for stat in reversed(of) if stat.memory_limit_bytes), None)
        slot = facts.tasks[task].slot if task in facts.tasks else 0
        at = tuple(facts.seconds(stat.t) for stat in of)
        lines.append(MemoryLine(task, slot, at, tuple(stat.memory_bytes for stat in of), limit))
    return tuple(sorted(lines, key=lambda line: (line.slot, line.at_s[0], line.task)))


def _versions(streams: Iterable[StreamData], grid: _Grid) -> dict[str, tuple[int, ...]]:
    found: dict[str, NDArray[np.int64]] = {}
    for stream in streams:
        size = len(stream.names)
        counts = np.zeros(grid.count * size, np.int64)
        for part in stream.chunks():
            ok = stream.outcome[part] == Outcome.OK
            keys = grid.index(stream.intended[part][ok]) * size + stream.version[part][ok]
            counts += np.bincount(keys, minlength=len(counts))
        table = counts.reshape(grid.count, size)
        for index in np.flatnonzero(table.any(axis=0)).tolist():
            name = stream.names[index] or "unknown"
            found[name] = found.get(name, 0) + table[:, index]
    return {name: tuple(found[name].tolist()) for name in sorted(found)}
