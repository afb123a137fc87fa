"""The numbers of one load, from its samples: what `breakroom load` prints and gives as JSON.

Called by `load.command` in the main process when the load is over; reads samples through numpy's memory maps, a part
at a time. Rates are per second, durations in seconds. Latency counts from the intended send time in the open model and
from the beginning of the request in the closed one, as everywhere in breakroom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakroom.journal.records import StreamClosed
from breakroom.journal.samples import NOT_REACHED, Outcome, read_samples
from breakroom.load.messages import Done

__all__ = ["PERCENTILES", "Bin", "LoadReport", "LoadSetup", "PhaseSpread", "ToolProcess", "summarise"]

PERCENTILES = (50, 66, 75, 80, 90, 95, 98, 99, 99.9, 100)
"""Those that `ab` prints, and 99.9."""

_BINS = 11
_UNTRUSTED = frozenset({"worker-died", "samples-unwritable", "not-sent", "lag", "starved"})
_OK, _SOME_FAILED, _UNKNOWN = 0, 1, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSetup:
    """What was asked for, resolved."""

    url: str
    address: str
    model: str
    concurrency: int
    """Closed model; 0 in the open one."""
    rate: float
    """Open model without stages; else 0."""
    stages: str
    keep_alive: bool
    workers: int
    seed: int
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSpread:
    """One row of the connection times, in seconds; over the requests that reached the phase and were ok."""

    min_s: float
    mean_s: float
    sd_s: float
    median_s: float
    max_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bar of the latency histogram: ok requests with a latency from `from_s` (the first: included) to `to_s`."""

    from_s: float
    to_s: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProcess:
    """What one of breakroom's own processes used, from its start to the report."""

    process: str
    """`main`, or `load` for a worker."""
    cpu_s: float
    max_rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What a load found. `None` where there was nothing to compute it from."""

    setup: LoadSetup
    server: str
    document_bytes: int | None
    taken_s: float
    """From the first request's intended time to the end of the last one."""
    intended: int
    completed: int
    outcomes: dict[str, int]
    """Outcome → count; the classes that occurred, `ok` always."""
    statuses: dict[str, int]
    """HTTP status → count, of every response whose head came."""
    reused: int
    """Requests on a kept-alive connection."""
    received_bytes: int
    requests_per_s: float | None
    """Ok requests per second (goodput)."""
    completed_per_s: float | None
    """Requests per second, however they ended: what `ab` prints."""
    time_per_request_s: float | None
    """As `ab` reckons it: time taken times concurrency ÷ completed; closed model only."""
    time_per_request_across_s: float | None
    """Time taken ÷ completed."""
    received_bytes_per_s: float | None
    connect: PhaseSpread | None
    """Beginning of sending → connection; new connections only."""
    wait: PhaseSpread | None
    """Connection → first byte."""
    total: PhaseSpread | None
    """Intended time → whole response."""
    percentiles_s: dict[str, float]
    """Latency of ok requests, nearest rank; keys are `PERCENTILES`."""
    failed_median_s: float | None
    failed_max_s: float | None
    histogram: tuple[Bin, ...]
    lag_p50_s: float
    lag_p99_s: float
    lag_max_s: float
    still_longest_s: float
    """The longest that a worker stood still although it had something to do."""
    still_share: float
    """The share of its time in which the worst worker stood still or waited for a processor."""
    bottleneck: str
    """See `Stream`: why the generator limited the result; empty: it did not."""
    died: str
    """How the first worker that ended early ended; empty: none did."""
    generator_cpu: tuple[float, ...]
    """Each worker's CPU time ÷ wall time."""
    tool: tuple[ToolProcess, ...]
    aborted: bool
    """It was interrupted before its plan was done."""

    @property
    def ok(self) -> int:
        """Requests that were answered as expected in time."""
        return self.outcomes["ok"]

    @property
    def failed(self) -> int:
        """Requests that were not."""
        return self.completed - self.ok

    @property
    def trusted(self) -> bool:
        """Whether the numbers are the service's: the generator did what was asked of it, when it was asked."""
        return self.bottleneck not in _UNTRUSTED

    @property
    def omits_waiting(self) -> bool:
        """Whether the latencies leave out what users would have waited while the service stood still (closed model)."""
        return self.setup.model == "closed"

    @property
    def exit_code(self) -> int:
        """0: all ok. 1: some failed. 3: aborted, nothing measured, or the generator kept the plan from being met."""
        if self.aborted or not self.completed or not self.trusted:
            return _UNKNOWN
        return _SOME_FAILED if self.failed else _OK

    def to_json(self) -> dict[str, Any]:
        """As JSON values; the keys are the fields' names, and those of the properties."""
        return {
            **asdict(self),
            "ok": self.ok,
            "failed": self.failed,
            "trusted": self.trusted,
            "omits_waiting": self.omits_waiting,
            "exit_code": self.exit_code,
        }


def summarise(
    setup: LoadSetup,
    paths: Sequence[Path],
    closed: StreamClosed,
    workers: Sequence[Done],
    *,
    tool: Sequence[ToolProcess],
    aborted: bool,
    died: str = "",
) -> LoadReport:
    """Compute the report.

    Args:
        setup: What was asked for.
        paths: The sample files.
        closed: What the stream said at its end.
        workers: The final reports of the workers that lived to give one.
        tool: What breakroom itself used.
        aborted: Whether it was interrupted.
        died: How the first worker that ended early ended.
    """
    samples = np.concatenate([read_samples(path) for path in paths])
    good = samples[samples["outcome"] == Outcome.OK]
    bad = samples[samples["outcome"] != Outcome.OK]
    taken = _time_taken(samples)
    completed = len(samples)
    received = sum(report.progress.received_bytes for report in workers)
    latency = good["total"]
    return LoadReport(
        setup=setup,
        server=next((report.server for report in workers if report.server), ""),
        document_bytes=next((r.document_bytes for r in workers if r.document_bytes >= 0), None),
        taken_s=taken,
        intended=closed.intended,
        completed=completed,
        outcomes=_outcomes(samples),
        statuses=_statuses(samples),
        reused=int(np.count_nonzero(samples["flags"] & 1)),
        received_bytes=received,
        requests_per_s=len(good) / taken if taken else None,
        completed_per_s=completed / taken if taken else None,
        time_per_request_s=taken * setup.concurrency / completed if completed and setup.concurrency else None,
        time_per_request_across_s=taken / completed if completed else None,
        received_bytes_per_s=received / taken if taken else None,
        connect=_spread(_between(good[(good["flags"] & 1) == 0], "lag", "connect")),
        wait=_spread(_between(good, "connect", "first_byte")),
        total=_spread(latency.astype(np.float64)),
        percentiles_s=_percentiles(latency),
        failed_median_s=float(np.median(bad["total"])) / 1e6 if len(bad) else None,
        failed_max_s=float(bad["total"].max()) / 1e6 if len(bad) else None,
        histogram=_histogram(latency),
        lag_p50_s=closed.lag_p50_ns / 1e9,
        lag_p99_s=closed.lag_p99_ns / 1e9,
        lag_max_s=closed.lag_max_ns / 1e9,
        still_longest_s=closed.still_longest_ns / 1e9,
        still_share=round(closed.still_share, 3),
        bottleneck=closed.bottleneck,
        died=died,
        generator_cpu=tuple(round(report.busy_ratio, 3) for report in workers),
        tool=tuple(tool),
        aborted=aborted,
    )


def _time_taken(samples: NDArray[np.void]) -> float:
    if not len(samples):
        return 0.0
    ends = samples["intended"] + samples["total"].astype(np.int64) * 1000
    return float(ends.max() - samples["intended"].min()) / 1e9


def _outcomes(samples: NDArray[np.void]) -> dict[str, int]:
    counts = np.bincount(samples["outcome"], minlength=len(Outcome))
    words = {outcome: outcome.name.lower().replace("_", "-") for outcome in Outcome}
    return {word: int(counts[o]) for o, word in words.items() if counts[o] or o is Outcome.OK}


def _statuses(samples: NDArray[np.void]) -> dict[str, int]:
    values, counts = np.unique(samples["status"], return_counts=True)
    return {str(value): int(count) for value, count in zip(values, counts, strict=True) if value}


def _between(samples: NDArray[np.void], begin: str, end: str) -> NDArray[np.float64]:
    """Microseconds between two phases, of the samples that reached both."""
    reached = samples[(samples[begin] != NOT_REACHED) & (samples[end] != NOT_REACHED)]
    between: NDArray[np.float64] = reached[end].astype(np.float64) - reached[begin]
    return between


def _spread(values: NDArray[np.float64]) -> PhaseSpread | None:
    if not len(values):
        return None
    return PhaseSpread(
        min_s=float(values.min()) / 1e6,
        mean_s=float(values.mean()) / 1e6,
        sd_s=float(values.std()) / 1e6,
        median_s=float(np.median(values)) / 1e6,
        max_s=float(values.max()) / 1e6,
    )


def _percentiles(latency: NDArray[np.uint32]) -> dict[str, float]:
    if not len(latency):
        return {}
    ordered = np.sort(latency)
    # Nearest rank, in whole numbers: 99.9 % of 1,000 is the 999th value, which floating point would miss.
    ranks = {p: -(-len(ordered) * round(p * 10) // 1000) for p in PERCENTILES}
    return {f"{p:g}": float(ordered[rank - 1]) / 1e6 for p, rank in ranks.items()}


def _histogram(latency: NDArray[np.uint32]) -> tuple[Bin, ...]:
    """Bars of equal width, or of equal ratio where the slowest took more than ten times as long as the fastest."""
    if not len(latency):
        return ()
    low, high = max(1, int(latency.min())), max(2, int(latency.max()))
    ratio = high / low
    steps = range(_BINS + 1)
    if ratio > 10:
        edges = [low * math.pow(ratio, step / _BINS) for step in steps]
    else:
        edges = [low + (high - low) * step / _BINS for step in steps]
    edges[-1] = high
    limits = np.array([-np.inf, *edges[1:-1], np.inf])
    counts, _ = np.histogram(latency, limits)
    return tuple(
        Bin(from_s=edges[i] / 1e6, to_s=edges[i + 1] / 1e6, count=int(count))
        for i, count in enumerate(counts)
    )
