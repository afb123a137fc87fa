"""Random trials, in no time at all: the analysis and plain loops over the same samples must find the same numbers.

The trials are written by the journal's own writers; `truth.naive` reads them with nothing of breakroom's. Outcomes are
drawn in stretches around a fault, and requests may be in flight for long, as on a busy machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from analysis.conftest import Sample, Scene
from breakroom.analysis.results import TrialResults
from breakroom.analysis.run import analyse
from breakroom.journal.records import TrialStarted
from breakroom.journal.samples import Outcome
from breakroom.spec.drill import LoadSpec
from truth.evidence import read_trials
from truth.naive import numbers

BEGUN, WATCHED, OVER = -1_000.0, -30.0, 1_500.0
"""The streams' begin, the window's begin and its end, in ms after the fault's effect."""
FAILED = (Outcome.REFUSED, Outcome.RESET, Outcome.TIMEOUT, Outcome.HTTP_ERROR, Outcome.BAD_BODY)

Stretch = tuple[bool, int, float, Outcome]
"""Whether all is well, for how many requests, their latency in ms, and how they end if it is not."""


@st.composite
def _stretches(draw: st.DrawFn) -> list[Stretch]:
    return [
        (
            draw(st.booleans()),
            draw(st.integers(1, 12)),
            draw(st.sampled_from((1.0, 5.0, 40.0, 160.0))),
            draw(st.sampled_from(FAILED)),
        )
        for _ in range(draw(st.integers(1, 25)))
    ]


def _samples(stretches: list[Stretch], start: float, step: float, lag: float) -> Iterator[Sample]:
    """Well until `start`, then the stretches, then well again."""
    ms = BEGUN
    while ms < start:
        yield Sample(ms, lag=lag)
        ms += step
    for well, count, latency, outcome in stretches:
        for _ in range(count):
            if ms < OVER - 200:
                yield Sample(ms, latency, Outcome.OK if well else outcome, lag=lag)
                ms += step
    while ms < OVER + 20:
        yield Sample(ms, lag=lag)
        ms += step


def _compared(
    directory: Path, probe: list[Sample], load: list[Sample]
) -> tuple[TrialResults, dict[str, Any]]:
    """What each of the two finds."""
    scene = Scene(directory)
    trial = scene.trial("orchestrated", load=LoadSpec(model="open", rate=140))
    trial.start(BEGUN - 500)
    for slot in (1, 2, 3):
        trial.running(BEGUN - 400, f"t{slot}", slot)
    trial.stream("probe", probe, opened=BEGUN, closed=OVER + 40)
    trial.stream("load", load, opened=BEGUN, closed=OVER + 40)
    trial.phase(WATCHED, "faulting")
    trial.kill(("t1",))
    trial.leaves(1, "t1")
    trial.task(300, "t4", 1, "new")
    trial.task(301, "t4", 1, "running", pid=9)
    trial.enters(400, "t4")
    trial.phase(OVER, "undoing")
    trial.end(OVER + 50)
    scene.records = [
        msgspec.structs.replace(record, plan={**record.plan, "probe": {"timeout": 100_000_000}})
        if isinstance(record, TrialStarted)
        else record
        for record in scene.records
    ]
    (found,) = analyse(scene.journal()).trials
    (read,) = read_trials(directory).values()
    return found, numbers(read)


def _assert_same(found: TrialResults, naive: dict[str, Any]) -> None:
    ours = {
        "availability": found.availability.requests,
        "availability_time": found.availability.time,
        "outage": found.outage_total_s,
        "longest_outage": found.longest_outage_s,
        "recovery_time": found.recovery_time_s,
        "time_to_full_capacity": found.time_to_full_capacity_s,
        "failed_requests": found.failed_requests,
        "blast_radius": found.blast_radius,
        "before_per_s": found.capacity.before_per_s,
        "during_per_s": found.capacity.during_per_s,
        "after_per_s": found.capacity.after_per_s,
    }
    assert ours == pytest.approx({name: naive[name] for name in ours}, abs=1e-9)
    assert found.outcomes == naive["outcomes"]
    outages = [(one.kind, one.start_at_s, one.end_at_s, one.failed) for one in found.outages]
    assert len(outages) == len(naive["outages"])
    for mine, other in zip(outages, naive["outages"], strict=True):
        assert mine[0] == other[0]
        assert mine[3] == other[3]
        assert mine[1:3] == pytest.approx(other[1:3], abs=1e-9)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # to shrink takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    probe=_stretches(),
    load=_stretches(),
    begin=st.sampled_from((-200.0, -100.0, -20.0, 0.0, 3.0)),
    lag=st.sampled_from((0.0, 0.2, 8.0)),
)
# Two probes that were in flight when observation began, and a request of the load after them that was still answered.
@example(
    probe=[(False, 2, 160.0, Outcome.RESET)], load=[(True, 9, 90.0, Outcome.RESET)], begin=-130.0, lag=0.2
)
def test_plain_loops_find_the_same(
    probe: list[Stretch], load: list[Stretch], begin: float, lag: float
) -> None:
    with tempfile.TemporaryDirectory() as name:
        _assert_same(
            *_compared(
                Path(name), list(_samples(probe, begin, 10.0, 0.1)), list(_samples(load, begin, 7.0, lag))
            )
        )


def test_an_outage_that_was_over_before_observation_began_takes_nothing_from_availability(
    tmp_path: Path,
) -> None:
    probe = list(_samples([(False, 2, 160.0, Outcome.RESET)], -130.0, 10.0, 0.1))
    load = list(_samples([(True, 9, 90.0, Outcome.OK)], -130.0, 7.0, 0.1))
    found, _ = _compared(tmp_path, probe, load)
    (outage,) = found.outages
    assert (outage.kind, outage.failed) == ("total", 2)
    assert outage.end_at_s is not None
    assert outage.end_at_s < WATCHED / 1e3
    assert found.availability.time == 1.0


def test_a_load_that_was_sent_late_ends_no_outage_before_that(tmp_path: Path) -> None:
    probe = list(_samples([(False, 20, 1.0, Outcome.REFUSED)], 0.0, 10.0, 0.1))
    # Due at 150 ms, in the middle of the outage; sent 60 ms later, when all was well again.
    load = [one for one in _samples([], 0.0, 7.0, 0.1) if not 0 <= one.intended < 205]
    load.append(Sample(150.0, 62.0, lag=60.0))
    load.sort(key=lambda one: one.intended)
    found, _ = _compared(tmp_path, probe, load)
    (outage,) = found.outages
    assert outage.end_at_s is not None
    assert 0.2 <= outage.end_at_s <= 0.211
