"""The fixed-size histogram: close percentiles, exact merging."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.load.histogram import Histogram


@given(st.lists(st.integers(0, 2**43), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_percentiles_are_at_most_one_step_above_the_true_ones(values: list[int], fraction: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    true = float(np.percentile(values, fraction * 100, method="inverted_cdf"))
    assert true <= histogram.percentile(fraction) <= true * (1 + 1 / 64)


@given(st.lists(st.integers(0, 10**10)), st.lists(st.integers(0, 10**10)))
def test_merging_equals_counting_together(first: list[int], second: list[int]) -> None:
    one, two, both = Histogram(), Histogram(), Histogram()
    for value in first:
        one.add(value)
        both.add(value)
    for value in second:
        two.add(value)
        both.add(value)
    one.merge(two.sparse(), two.maximum)
    assert one.sparse() == both.sparse()
    assert (one.total, one.maximum) == (both.total, both.maximum)


def test_beyond_the_last_bucket_the_maximum_is_still_exact() -> None:
    histogram = Histogram()
    histogram.add(2**60)
    assert histogram.percentile(0.99) <= histogram.maximum == 2**60


@pytest.mark.parametrize("fraction", [0.5, 0.99])
def test_an_empty_histogram_says_zero(fraction: float) -> None:
    assert Histogram().percentile(fraction) == 0
