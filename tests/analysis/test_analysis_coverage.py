"""Whether intervals and comparisons are right as often as they say, over many simulated runs of repeats.

Nothing is timed, everything is seeded: a repeat's value is drawn from a distribution whose median is known. How often
an interval holds it, and how often two contenders that are alike pass for different, are counted; docs/numbers.md says
the same figures. With so many runs (`RUNS`), a share of 95 % is known to 1 point (one standard error).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from breakroom.analysis import statistics
from breakroom.analysis.comparisons import compare
from breakroom.analysis.contenders import Repeats
from breakroom.analysis.statistics import bootstrap_difference, bootstrap_median

RUNS = 400
REPEATS = (5, 7, 10, 20)
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


def _even(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    return random.normal(3.0, 0.2, count)


def _skewed(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """As recovery times are: never below what the restart takes, now and then much longer."""
    return 2.0 + random.exponential(1.0, count)


def _ticks(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Outages in whole spacings of the probe: most values occur several times."""
    return np.round(random.normal(8.0, 1.2, count))


MEDIANS: dict[Draw, float] = {_even: 3.0, _skewed: 2.0 + math.log(2), _ticks: 8.0}


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of them: enough for shares of runs, and the tests take seconds instead of a minute."""
    monkeypatch.setattr(statistics, "RESAMPLES", 1_000)


@pytest.mark.parametrize("count", REPEATS)
@pytest.mark.parametrize("draw", MEDIANS, ids=lambda draw: draw.__name__.strip("_"))
def test_a_95_percent_interval_holds_the_true_median_in_about_95_percent_of_runs(
    draw: Draw, count: int
) -> None:
    random = np.random.default_rng(count)
    held = 0
    for number in range(RUNS):
        low, high = bootstrap_median(draw(random, count).tolist(), number) or (0.0, 0.0)
        held += low <= MEDIANS[draw] <= high
    # Three standard errors below 94 %, what five values give. Whole ticks make it wider, never narrower.
    assert 0.905 <= held / RUNS <= (1.0 if draw is _ticks else 0.99), held / RUNS


@pytest.mark.parametrize("count", REPEATS)
@pytest.mark.parametrize("draw", MEDIANS, ids=lambda draw: draw.__name__.strip("_"))
def test_two_that_are_alike_differ_by_more_than_noise_in_at_most_5_percent_of_runs(
    draw: Draw, count: int
) -> None:
    random = np.random.default_rng(100 + count)
    alarms = 0
    for number in range(RUNS):
        interval = bootstrap_difference(draw(random, count).tolist(), draw(random, count).tolist(), number)
        assert interval is not None
        alarms += interval[0] > 0 or interval[1] < 0
    # Two standard errors above 5 %.
    assert alarms / RUNS <= 0.07, alarms / RUNS


def _repeats(name: str, values: NDArray[np.float64]) -> Repeats:
    """What `compare` asks of a contender: its values of one metric, to 10 ms."""
    found = SimpleNamespace(
        name=name,
        seed=1,
        facts=SimpleNamespace(started=SimpleNamespace(drill="kill")),
        values=lambda metric: tuple(values.tolist()) if metric == "recovery_time" else (),
        resolution=lambda metric: 0.01,
    )
    return cast("Repeats", found)


def _said(one: NDArray[np.float64], other: NDArray[np.float64]) -> Any:
    (comparison,) = compare((_repeats("one", one), _repeats("other", other)))
    return comparison


def test_the_comparisons_own_rule_has_that_rate_too_and_finds_what_is_there() -> None:
    random = np.random.default_rng(7)
    alike = [_said(_skewed(random, 7), _skewed(random, 7)).beyond_noise for _ in range(RUNS)]
    assert sum(alike) / RUNS <= 0.07
    apart = [_said(_even(random, 7), _even(random, 7) + 0.6).beyond_noise for _ in range(RUNS)]
    assert sum(apart) / RUNS >= 0.95, "three times the spread between the runs"


def test_a_difference_below_the_resolution_is_none_however_sure() -> None:
    steady = np.full(6, 3.0)
    assert _said(steady, steady + 0.005).beyond_noise is False
    assert _said(steady, steady + 0.02).beyond_noise is True
