"""What the autoscaler sees, from the samples and plans that streams leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from breakroom.director.observed import LoadWatch
from breakroom.journal.records import StreamOpened
from breakroom.journal.samples import NOT_REACHED, Outcome, SampleWriter
from breakroom.spec.arrivals import planned_offsets
from breakroom.spec.drill import LoadSpec, ProbeSpec, Stage

SECOND = 1_000_000_000
MS = 1_000_000
DELAY = 200 * MS
"""How much earlier than asked the samples' window lies."""
T0 = 7 * SECOND


def _opened(
    spec: ProbeSpec | LoadSpec, *, files: tuple[str, ...] = ("s.bin",), seed: int = 5
) -> StreamOpened:
    stream: Literal["probe", "load"] = "probe" if isinstance(spec, ProbeSpec) else "load"
    plan: dict[str, Any] = {**msgspec.to_builtins(spec), "seed": seed, "workers": len(files)}
    model = spec.model if isinstance(spec, LoadSpec) else "open"
    return StreamOpened(
        t=T0, trial="t", stream=stream, model=model, t0=T0, files=files, plan=plan, url="http://x/"
    )


def _ended(writer: SampleWriter, at: int, took: int, outcome: Outcome = Outcome.OK) -> None:
    """A request that ended at `at` after `took` nanoseconds."""
    writer.add(at - took, 0, 1, NOT_REACHED, took // 1000, 200, 0, 0, outcome)
    writer.flush()


def test_an_open_streams_load_is_its_plans_whatever_the_service_answers(tmp_path: Path) -> None:
    watch = LoadWatch(tmp_path)
    stages = (Stage(rate=30, duration=2 * SECOND), Stage(rate=100, duration=2 * SECOND))
    watch.opened([_opened(LoadSpec(model="open", stages=stages)), _opened(ProbeSpec(rate=10))])
    seen = [watch.look(T0 + n * SECOND, T0 + (n + 1) * SECOND)[0] for n in range(-1, 6)]
    assert seen == [0, 40, 40, 110, 110, 10, 10]


def test_poisson_arrivals_are_those_of_the_streams_own_seed(tmp_path: Path) -> None:
    spec = LoadSpec(model="open", rate=200, arrivals="poisson", requests=400)
    planned = list(planned_offsets(spec, 5))
    watch = LoadWatch(tmp_path)
    watch.opened([_opened(spec)])
    for n in range(3):
        count = sum(n * SECOND <= at < (n + 1) * SECOND for at in planned)
        assert watch.look(T0 + n * SECOND, T0 + (n + 1) * SECOND)[0] == count


def test_a_stream_that_is_heard_of_again_is_counted_once(tmp_path: Path) -> None:
    watch = LoadWatch(tmp_path)
    for _ in range(2):
        watch.opened([_opened(ProbeSpec(rate=10))])
    assert watch.look(T0, T0 + SECOND)[0] == 10


def test_without_streams_nothing_is_known(tmp_path: Path) -> None:
    assert LoadWatch(tmp_path).look(T0, T0 + SECOND) == (None, None)


def test_a_closed_loads_requests_are_those_that_came_back_in_the_window(tmp_path: Path) -> None:
    watch = LoadWatch(tmp_path)
    watch.opened([_opened(LoadSpec(concurrency=4), files=("a.bin", "b.bin"))])
    first, second = SampleWriter(tmp_path / "a.bin"), SampleWriter(tmp_path / "b.bin")
    start = T0 + SECOND - DELAY
    for writer, at, outcome in (
        (first, start - 1, Outcome.OK),
        (first, start, Outcome.OK),
        (second, start + SECOND // 2, Outcome.REFUSED),
        (second, start + SECOND // 2, Outcome.NOT_SENT),
        (first, start + SECOND - 1, Outcome.TIMEOUT),
        (second, start + SECOND, Outcome.OK),
    ):
        _ended(writer, at, 1000, outcome)
    assert watch.look(T0 + SECOND, T0 + 2 * SECOND)[0] == 3


@pytest.mark.parametrize("outcome", [one for one in Outcome if one not in {Outcome.OK, Outcome.NOT_SENT}])
def test_what_failed_is_load_but_has_no_latency(outcome: Outcome, tmp_path: Path) -> None:
    watch = LoadWatch(tmp_path)
    watch.opened([_opened(LoadSpec(concurrency=4))])
    _ended(SampleWriter(tmp_path / "s.bin"), T0 + SECOND // 2, 1000, outcome)
    assert watch.look(T0, T0 + SECOND) == (1, None)


def test_what_was_not_sent_is_neither(tmp_path: Path) -> None:
    watch = LoadWatch(tmp_path)
    watch.opened([_opened(LoadSpec(concurrency=4))])
    _ended(SampleWriter(tmp_path / "s.bin"), T0 + SECOND // 2, 1000, Outcome.NOT_SENT)
    assert watch.look(T0, T0 + SECOND) == (0, None)


def test_latency_is_of_what_ended_in_the_window_however_long_ago_it_was_sent(tmp_path: Path) -> None:
    watch = LoadWatch(tmp_path)
    watch.opened([_opened(ProbeSpec(rate=10))])
    writer = SampleWriter(tmp_path / "s.bin")
    for _ in range(8):
        _ended(writer, T0 + SECOND // 2, 20 * MS)
    for _ in range(3):
        _ended(writer, T0 + SECOND // 2, 4 * SECOND)
    assert watch.look(T0, T0 + SECOND)[1] == 4 * SECOND
    # It is over, and does not count again.
    assert watch.look(T0 + SECOND, T0 + 2 * SECOND)[1] is None


def test_a_sample_that_is_read_late_is_counted_in_its_own_window(tmp_path: Path) -> None:
    watch = LoadWatch(tmp_path)
    watch.opened([_opened(LoadSpec(concurrency=4))])
    writer = SampleWriter(tmp_path / "s.bin")
    late = T0 + SECOND - DELAY + MS
    assert watch.look(T0, T0 + SECOND) == (0, None)
    _ended(writer, late, 30 * MS)
    assert watch.look(T0 + SECOND, T0 + 2 * SECOND) == (1, 30 * MS)
