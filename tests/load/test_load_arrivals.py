"""The plan of arrivals: exact, reproducible, and of the distribution that it claims."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.spec.arrivals import planned_offsets, planned_spacing
from breakroom.spec.drill import LoadSpec, ProbeSpec, Stage

SECOND = 1_000_000_000


def _open(**fields: object) -> LoadSpec:
    return LoadSpec(model="open", **fields)  # type: ignore[arg-type]  # fields of LoadSpec, by name


def test_constant_arrivals_do_not_drift_however_long_they_go_on() -> None:
    offsets = list(islice(planned_offsets(ProbeSpec(rate=3.0)), 300_001))
    assert offsets[0] == 0
    assert offsets[1:4] == [333_333_333, 666_666_666, SECOND]
    assert offsets[300_000] == 100_000 * SECOND


def test_a_decimal_rate_is_taken_as_written() -> None:
    offsets = list(islice(planned_offsets(ProbeSpec(rate=0.1)), 4))
    assert offsets == [0, 10 * SECOND, 20 * SECOND, 30 * SECOND]


def test_poisson_arrivals_of_a_seed_are_these_on_every_machine() -> None:
    spec = _open(rate=1000.0, arrivals="poisson")
    assert list(islice(planned_offsets(spec, 7), 4)) == [947_865, 1_041_995, 1_951_699, 2_192_362]


def test_poisson_arrivals_differ_between_seeds_and_not_between_calls() -> None:
    spec = _open(rate=50.0, arrivals="poisson")
    first, again, other = (list(islice(planned_offsets(spec, seed), 50)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_poisson_gaps_are_exponential() -> None:
    spec = _open(rate=1000.0, arrivals="poisson")
    gaps = np.diff(list(islice(planned_offsets(spec, 3), 200_000))) / 1e6
    assert gaps.mean() == pytest.approx(1, rel=0.01)
    assert gaps.std() == pytest.approx(1, rel=0.01)
    wanted = [0.105, 0.693, 2.303, 4.605, 6.908]
    assert np.percentile(gaps, [10, 50, 90, 99, 99.9]) == pytest.approx(wanted, rel=0.03)


def test_stages_follow_each_other_and_end() -> None:
    stages = (Stage(rate=10.0, duration=SECOND), Stage(rate=4.0, duration=SECOND))
    offsets = list(planned_offsets(_open(stages=stages)))
    assert offsets[:10] == [number * 100_000_000 for number in range(10)]
    assert offsets[10:] == [SECOND + number * 250_000_000 for number in range(4)]


def test_poisson_stages_stay_within_their_time() -> None:
    stages = (Stage(rate=500.0, duration=SECOND), Stage(rate=2000.0, duration=SECOND))
    offsets = list(planned_offsets(_open(stages=stages, arrivals="poisson"), 5))
    early = sum(offset < SECOND for offset in offsets)
    assert early == pytest.approx(500, abs=5 * 500**0.5)
    assert len(offsets) - early == pytest.approx(2000, abs=5 * 2000**0.5)
    assert max(offsets) < 2 * SECOND


def test_a_number_of_requests_bounds_the_plan() -> None:
    assert len(list(planned_offsets(_open(rate=10.0, requests=7)))) == 7


def test_a_closed_load_has_no_planned_arrivals() -> None:
    with pytest.raises(ValueError, match="closed load"):
        planned_offsets(LoadSpec())


def test_the_spacing_is_that_of_the_highest_rate() -> None:
    assert planned_spacing(ProbeSpec(rate=100.0)) == 10_000_000
    stages = (Stage(rate=10.0, duration=1), Stage(rate=1000.0, duration=1))
    assert planned_spacing(_open(stages=stages)) == 1_000_000


@given(st.floats(0.01, 1e6), st.sampled_from(["constant", "poisson"]), st.integers(0, 2**64))
def test_arrivals_never_go_back(rate: float, arrivals: str, seed: int) -> None:
    offsets = list(islice(planned_offsets(_open(rate=rate, arrivals=arrivals), seed), 50))
    assert all(isinstance(offset, int) for offset in offsets)
    assert all(earlier <= later for earlier, later in pairwise(offsets))
    assert offsets[0] >= 0
