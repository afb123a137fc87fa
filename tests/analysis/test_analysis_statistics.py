"""Percentiles, bootstrap and chi-square against naive or published references."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakroom.analysis.latency import percentiles
from breakroom.analysis.metrics import spread
from breakroom.analysis.statistics import bootstrap_difference, bootstrap_median, chi_square_survival, seed_of
from breakroom.journal.samples import NOT_REACHED

SHARES = (0.5, 0.9, 0.99, 0.999, 1.0)


@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=2_500))
def test_percentiles_are_the_nearest_rank(values: list[int]) -> None:
    ordered = sorted(values)
    for share, found in zip(SHARES, percentiles(np.array(values, np.uint32), SHARES), strict=True):
        naive = next(one for one in ordered if sum(v <= one for v in ordered) >= share * len(ordered) - 1e-6)
        assert found == naive / 1e6


@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=400))
def test_percentiles_are_numpys_inverted_cdf(values: list[int]) -> None:
    data = np.array(values, np.uint32)
    expected = np.quantile(data, (0.5, 0.9, 0.75, 1.0), method="inverted_cdf") / 1e6
    assert percentiles(data, (0.5, 0.9, 0.75, 1.0)) == pytest.approx(expected)


def test_percentiles_leave_the_samples_alone_and_skip_what_did_not_end() -> None:
    values = np.array([3, NOT_REACHED, 1, 2], np.uint32)
    assert percentiles(values, (0.5, 1.0)) == (2e-6, 3e-6)
    assert values.tolist() == [3, NOT_REACHED, 1, 2]
    assert percentiles(values[:0], (0.5,)) == (None,)


@pytest.mark.parametrize(
    # Critical values of the chi-square distribution as in every table of it.
    ("degrees", "value", "p"),
    [
        (1, 3.841, 0.05),
        (1, 6.635, 0.01),
        (2, 5.991, 0.05),
        (2, 0.103, 0.95),
        (4, 13.277, 0.01),
        (5, 1.145, 0.95),
        (9, 16.919, 0.05),
        (30, 43.773, 0.05),
        (100, 124.342, 0.05),
    ],
)
def test_chi_square_tail_agrees_with_the_tables(degrees: int, value: float, p: float) -> None:
    assert chi_square_survival(value, degrees) == pytest.approx(p, rel=2e-3)


@given(st.floats(0.0, 400.0))
def test_chi_square_tail_of_two_degrees_is_an_exponential(value: float) -> None:
    assert chi_square_survival(value, 2) == pytest.approx(math.exp(-value / 2), rel=1e-9, abs=1e-15)


def test_chi_square_tail_agrees_with_simulation() -> None:
    counts = np.random.default_rng(1).multinomial(3_000, [1 / 3] * 3, 20_000)
    statistic = ((counts - 1_000) ** 2).sum(axis=1) / 1_000
    assert np.mean(statistic >= 4.0) == pytest.approx(chi_square_survival(4.0, 2), abs=0.01)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_an_interval_needs_five_values(count: int) -> None:
    few, enough = [1.0, 2.0, 3.0, 4.0][:count], [1.0, 2.0, 3.0, 4.0, 5.0]
    assert bootstrap_median(few, 1) is None
    assert bootstrap_difference(few, enough, 1) is None
    assert bootstrap_difference(enough, few, 1) is None
    assert bootstrap_difference(enough, enough, 1) is not None


@settings(deadline=None)  # the first resampling of a process is slow, and so is a busy machine
@given(st.lists(st.floats(0, 100), min_size=5, max_size=12), st.integers(0, 1_000))
def test_the_interval_holds_the_median_within_the_range_and_is_repeatable(
    values: list[float], seed: int
) -> None:
    interval = bootstrap_median(values, seed)
    assert interval is not None
    assert min(values) <= interval[0] <= np.median(values) <= interval[1] <= max(values)
    assert bootstrap_median(values, seed) == interval


def test_a_difference_larger_than_the_spread_excludes_zero() -> None:
    interval = bootstrap_difference([10.0, 10.1, 10.2, 9.9, 10.0], [5.0, 5.2, 4.9, 5.1, 5.0], 1)
    assert interval is not None
    assert 4.5 < interval[0] <= interval[1] < 5.5
    same = bootstrap_difference([1.0, 2.0, 3.0, 4.0, 2.5], [1.5, 2.5, 2.0, 3.5, 3.0], 1)
    assert same is not None
    assert same[0] < 0 < same[1]


def test_a_seed_depends_on_every_part_and_not_on_the_process() -> None:
    assert seed_of(1, "kill", "outage") == 3_291_719_665 != seed_of(1, "kill", "recovery_time")


def test_a_repeat_that_never_ended_counts_as_longer_than_any_other() -> None:
    found = spread([1.0, math.inf, 2.0], seed=1)
    assert (found.median, found.maximum, found.n, found.unknown) == (2.0, None, 2, 1)
    assert found.values == (1.0, None, 2.0)
    assert found.ci95_low is None
    assert spread([math.inf, math.inf, 2.0], seed=1).median is None
