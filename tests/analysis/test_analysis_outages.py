"""Outages found from probes, against schedules whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from breakroom.analysis.availability import availability, outcome_counts
from breakroom.analysis.outages import NEAR_NS, find, outages
from breakroom.journal.samples import Outcome

MS = 1_000_000
SPACING = 10 * MS

Schedule = tuple[tuple[int, int], ...]


def probe(schedule: Schedule, count: int, phase: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Intended times and outcomes of `count` probes against a service that is down in [start, end) of each entry."""
    times = phase + SPACING * np.arange(count, dtype=np.int64)
    outcome = np.full(count, Outcome.OK, np.uint8)
    for start, end in schedule:
        outcome[(times >= start) & (times < end)] = Outcome.REFUSED
    return times, outcome


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Outages in order, at least two spacings apart, of any length."""
    parts, at = [], 0
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.integers(2 * SPACING, 2_500 * MS))
        length = draw(st.integers(1, 1_500 * MS))
        parts.append((at, at + length))
        at += length
    return tuple(parts)


@given(schedule=schedules(), phase=st.integers(0, SPACING - 1))
@example(schedule=((100 * MS, 121 * MS), (160 * MS, 190 * MS)), phase=0)
def test_every_outage_longer_than_two_spacings_is_found_to_one_spacing(
    schedule: Schedule, phase: int
) -> None:
    end = (schedule[-1][1] if schedule else 0) + 3 * SPACING
    times, outcome = probe(schedule, end // SPACING + 2, phase)
    found = [o for o in outages(times, outcome, zero=0, window_end=int(times[-1])) if o.kind == "total"]
    for start, stop in schedule:
        if stop - start <= 2 * SPACING:
            continue  # it may have hit one probe only, and near others that makes a mixture
        near = [
            one
            for one in found
            if one.end_at_s is not None
            and abs(one.start_at_s * 1e9 - start) <= SPACING + 1
            and abs(one.end_at_s * 1e9 - stop) <= SPACING + 1
        ]
        assert len(near) == 1, (start, stop, found)


@given(schedule=schedules(), phase=st.integers(0, SPACING - 1))
def test_no_outage_is_invented(schedule: Schedule, phase: int) -> None:
    times, outcome = probe(schedule, 3_000, phase)
    for stretch in find(times, outcome != Outcome.OK):
        end = stretch.end if stretch.end is not None else int(times[-1]) + SPACING
        assert any(start < end and stop > stretch.start - SPACING for start, stop in schedule)


@given(schedule=schedules(), data=st.data())
def test_failures_and_successes_add_up_to_the_intended_probes(
    schedule: Schedule, data: st.DataObject
) -> None:
    times, outcome = probe(schedule, 2_000)
    found = outages(times, outcome, zero=0, window_end=int(times[-1]))
    result = availability(outcome, found, window_s=20.0, window_from_s=0.0)
    counts = outcome_counts(outcome)
    assert result.ok + sum(outage.failed for outage in found) == result.intended == sum(counts.values())


@given(schedule=schedules(), seed=st.integers(0, 1_000))
def test_the_order_of_samples_does_not_matter(schedule: Schedule, seed: int) -> None:
    times, outcome = probe(schedule, 1_000)
    order = np.random.default_rng(seed).permutation(len(times))
    expected = outages(times, outcome, zero=0, window_end=int(times[-1]))
    assert outages(times[order], outcome[order], zero=0, window_end=int(times[-1])) == expected


def stretches(failed: str) -> list[tuple[bool, int, int | None]]:
    """Of a picture: `x` failed, `.` succeeded, one a spacing."""
    bad = np.array([mark == "x" for mark in failed])
    times = SPACING * np.arange(len(failed), dtype=np.int64)
    return [
        (one.total, one.start // SPACING, None if one.end is None else one.end // SPACING)
        for one in find(times, bad)
    ]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("......", []),
        ("..x...", [(True, 2, 3)]),
        ("..xx..", [(True, 2, 4)]),
        ("..xxx", [(True, 2, None)]),
        ("xxx...", [(True, 0, 3)]),
        (".x.x.x.", [(False, 1, 6)]),
        (".x.xx.x", [(False, 1, 2), (True, 3, 5), (False, 6, None)]),
        (".x.xxx.x.", [(False, 1, 2), (True, 3, 6), (False, 7, 8)]),
        (".xxx.xxx.", [(True, 1, 4), (True, 5, 8)]),
        ("x", [(True, 0, None)]),
        ("", []),
    ],
)
def test_totals_and_mixtures_are_told_apart(
    picture: str, expected: list[tuple[bool, int, int | None]]
) -> None:
    assert stretches(picture) == expected


def test_failures_a_second_apart_do_not_belong_together() -> None:
    gap = NEAR_NS // SPACING
    assert stretches("x" + "." * (gap - 1) + "x.") == [(True, 0, 1), (True, gap, gap + 1)]
    assert stretches("x" + "." * (gap - 2) + "x.") == [(False, 0, gap)]


def test_a_probe_that_was_not_sent_is_no_failure_of_the_service() -> None:
    times, outcome = probe((), 10)
    outcome[3] = Outcome.NOT_SENT
    assert outages(times, outcome, zero=0, window_end=100 * MS) == ()
    assert availability(outcome, (), window_s=0.1, window_from_s=0.0).requests == 0.9


def _with_load(failed: set[int], served_ms: list[float]) -> list[tuple[str, float, float | None, int]]:
    """Outages of 60 probes, 10 ms apart, of which those numbered in `failed` were reset, beside a served load."""
    times = SPACING * np.arange(60, dtype=np.int64)
    outcome = np.array([Outcome.RESET if n in failed else Outcome.OK for n in range(60)], np.uint8)
    served = np.array([round(ms * MS) for ms in served_ms], np.int64)
    return [
        (o.kind, o.start_at_s, o.end_at_s, o.failed)
        for o in outages(times, outcome, zero=0, window_end=600 * MS, served=served)
    ]


def test_probes_cut_in_a_row_are_no_outage_if_the_load_was_served_between_them() -> None:
    assert _with_load({20, 21}, [198, 205, 213]) == [("degraded", 0.2, 0.213, 2)]
    assert _with_load({20, 21}, [198, 213]) == [("total", 0.2, 0.213, 2)]
    assert _with_load({20, 21}, []) == [("total", 0.2, 0.22, 2)]


def test_one_failed_probe_between_successes_of_the_load_is_no_outage() -> None:
    assert _with_load({20}, [195, 203]) == [("degraded", 0.2, 0.203, 1)]
    assert _with_load({20}, [195]) == [("total", 0.2, 0.21, 1)]
    assert _with_load({59}, [585]) == [("total", 0.59, None, 1)]


def test_an_outage_ends_with_the_first_success_of_anyone() -> None:
    assert _with_load(set(range(10, 40)), [50, 395, 396]) == [("total", 0.1, 0.395, 30)]
