"""What the autoscaler sees of probe and load: requests that were to be sent, and how long the answered ones took.

Used by `director.autoscaler` alone: what a request counter and a latency histogram at the ingress are to an
orchestrator. It follows the streams' sample files by itself, so that a trial without an autoscaler pays nothing.

- **Offered load**, open model: the plan's own arrivals (`spec.arrivals`), which do not depend on how the service does.
  Closed model: completed requests, of any outcome. Each answer is followed by the next request, so over an interval as
  many are sent as come back, but for the number of clients at most; those still without an answer have no sample yet.
- **Latency**: of requests that *ended* in the window, successfully. By the time of their sending, the slow ones of the
  newest interval would be missing.

A sample can be read some `_DELAY` after its request ended; samples are counted over a window that much earlier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from breakroom.journal.records import StreamOpened
from breakroom.journal.samples import Outcome, SampleTail
from breakroom.spec.arrivals import planned_offsets
from breakroom.spec.drill import LoadSpec, ProbeSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LoadWatch"]

_SECOND = 1_000_000_000
_DELAY = 200_000_000
"""Workers write their samples every 100 ms; as much again for the way through a busy machine."""
_QUANTILE = 90.0


class LoadWatch:
    """All streams of a trial together."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._streams: dict[str, _OpenStream | _ClosedStream] = {}

    def opened(self, records: Iterable[StreamOpened]) -> None:
        """Take in streams; those already known are left as they are."""
        for record in records:
            if record.stream not in self._streams:
                kind = _OpenStream if record.model == "open" else _ClosedStream
                self._streams[record.stream] = kind(self._directory, record)

    def look(self, start: int, end: int) -> tuple[float | None, int | None]:
        """What the window from `start` to `end` shows. Windows must be asked for in the order of time.

        Returns:
            Requests a second that were to be sent (None: no stream), and the 90th percentile of the latency of
            answered requests in ns (None: none was answered).
        """
        if not self._streams:
            return None, None
        import numpy as np

        streams = self._streams.values()
        count = sum(stream.offered(start, end) for stream in streams)
        answered = [took for stream in streams for took in stream.answered(start - _DELAY, end - _DELAY)]
        together = np.concatenate(answered) if answered else np.empty(0)
        latency = round(float(np.percentile(together, _QUANTILE))) if len(together) else None
        return count * _SECOND / (end - start), latency


class _Samples:
    """The newest samples of one stream: when each ended, how long it took, whether it was answered."""

    def __init__(self, directory: Path, record: StreamOpened) -> None:
        self._tails = [SampleTail(directory / name) for name in record.files]
        self._chunks: deque[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = deque()

    def _read(self, start: int) -> None:
        """Take in what is new, and forget what ended before `start`."""
        for tail in self._tails:
            new = tail.read()
            new = new[new["outcome"] != Outcome.NOT_SENT]
            if len(new):
                took = new["total"].astype("int64") * 1000
                self._chunks.append((new["intended"] + took, took, new["outcome"] == Outcome.OK))
        # Several workers' chunks lie side by side, so that one of them may stay a little longer than it must.
        while self._chunks and int(self._chunks[0][0].max()) < start:
            self._chunks.popleft()

    def answered(self, start: int, end: int) -> list[NDArray[np.int64]]:
        """Latencies in ns of the requests that were answered in the window."""
        self._read(start)
        return [took[(ended >= start) & (ended < end) & ok] for ended, took, ok in self._chunks]

    def ended(self, start: int, end: int) -> int:
        """How many ended in the window, in whatever way."""
        self._read(start)
        return sum(int(((ended >= start) & (ended < end)).sum()) for ended, _, _ in self._chunks)


class _OpenStream(_Samples):
    """A probe, or a load with planned arrivals."""

    def __init__(self, directory: Path, record: StreamOpened) -> None:
        super().__init__(directory, record)
        kind: type[ProbeSpec | LoadSpec] = ProbeSpec if record.stream == "probe" else LoadSpec
        spec: ProbeSpec | LoadSpec = msgspec.convert(record.plan, kind)
        self._arrivals: Iterator[int] = (record.t0 + at for at in planned_offsets(spec, record.plan["seed"]))
        self._next = next(self._arrivals, None)

    def offered(self, start: int, end: int) -> int:
        """Arrivals of the plan in the window."""
        count = 0
        while self._next is not None and self._next < end:
            count += self._next >= start
            self._next = next(self._arrivals, None)
        return count


class _ClosedStream(_Samples):
    """A load whose clients wait for their answers."""

    def offered(self, start: int, end: int) -> int:
        """Requests that came back in the window, moved by the samples' delay."""
        return self.ended(start - _DELAY, end - _DELAY)
