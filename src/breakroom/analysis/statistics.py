"""Numbers over repeats: median, spread, a bootstrap interval; and the chi-square distribution's tail.

Called by the modules that compare trials. Pure, and the same input gives the same output: resampling is
seeded.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MIN_KNOWN",
    "RESAMPLES",
    "bootstrap_difference",
    "bootstrap_median",
    "chi_square_survival",
    "seed_of",
]

RESAMPLES = 10_000
MIN_KNOWN = 5
"""Fewer values than this give no interval. The widest one, their range, holds the median of what they were drawn from
with a probability of 1 - 2 / 2^n: 94 % for five values, but 87 % for four and 75 % for three."""
_TAIL = 0.025
_NORMAL = NormalDist()
_TERMS = 10_000
_TINY = 1e-300


def seed_of(*parts: object) -> int:
    """A seed that is the same on every machine for the same parts (`hash` is not)."""
    return zlib.crc32("\0".join(map(str, parts)).encode())


def bootstrap_median(values: Sequence[float], seed: int) -> tuple[float, float] | None:
    """95 % bootstrap interval of the median, by expanded percentiles; None below `MIN_KNOWN` values.

    The plain percentile interval of few values is too narrow: of seven it holds the median in 87 % of cases. Its tails
    are therefore cut less, at the normal distribution's P(Z < -sqrt(n / (n - 1)) * t), with t the 97.5 % quantile of
    Student's distribution of n - 1 degrees of freedom. With it the coverage is 94 to 98 % from five values on.

    Sources: B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979); the expansion:
    T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69 (2015).
    """
    count = len(values)
    if count < MIN_KNOWN:
        return None
    tail = _NORMAL.cdf(-math.sqrt(count / (count - 1)) * _student(count - 1))
    return _interval(_medians(values, np.random.default_rng(seed)), tail)


def _student(degrees: int) -> float:
    """The 97.5 % quantile of Student's distribution, to 0.3 % from 4 degrees on.

    Cornish and Fisher's expansion: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = _NORMAL.inv_cdf(1 - _TAIL)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(sum(term / degrees**power for power, term in enumerate(terms)))


def bootstrap_difference(
    left: Sequence[float], right: Sequence[float], seed: int
) -> tuple[float, float] | None:
    """95 % interval of median(left) - median(right), each resampled by itself; None below `MIN_KNOWN` of either.

    Plain percentiles: of two that are alike it excludes zero in 2 to 5 % of cases, whatever their number.
    """
    if min(len(left), len(right)) < MIN_KNOWN:
        return None
    random = np.random.default_rng(seed)
    return _interval(_medians(left, random) - _medians(right, random), _TAIL)


def _medians(values: Sequence[float], random: np.random.Generator) -> NDArray[np.float64]:
    data = np.asarray(values, np.float64)
    return np.asarray(
        np.median(data[random.integers(0, len(data), (RESAMPLES, len(data)))], axis=1), np.float64
    )


def _interval(samples: NDArray[np.float64], tail: float) -> tuple[float, float]:
    low, high = np.quantile(samples, (tail, 1 - tail))
    return float(low), float(high)


def chi_square_survival(value: float, degrees: int) -> float:
    """Probability that a chi-square variable of `degrees` degrees of freedom is at least `value`.

    The regularized upper incomplete gamma function Q(degrees/2, value/2): by its power series below the mean,
    by a continued fraction (Lentz's method) above it. Source: Abramowitz & Stegun, Handbook of Mathematical
    Functions, 6.5.29 and 6.5.31, 26.4.19.
    """
    shape, x = degrees / 2, value / 2
    if x <= 0:
        return 1.0
    log_front = shape * math.log(x) - x - math.lgamma(shape)
    if x < shape + 1:
        return min(max(1.0 - math.exp(log_front) * _gamma_series(shape, x), 0.0), 1.0)
    return min(max(math.exp(log_front) * _gamma_fraction(shape, x), 0.0), 1.0)


def _gamma_series(shape: float, x: float) -> float:
    term = total = 1.0 / shape
    for n in range(1, _TERMS):
        term *= x / (shape + n)
        total += term
        if term < total * 1e-16:
            break
    return total


def _gamma_fraction(shape: float, x: float) -> float:
    b = x + 1.0 - shape
    c = 1.0 / _TINY
    d = 1.0 / b
    result = d
    for n in range(1, _TERMS):
        a = -n * (n - shape)
        b += 2.0
        d = 1.0 / (a * d + b or _TINY)
        c = b + a / c or _TINY
        step = c * d
        result *= step
        if abs(step - 1.0) < 1e-16:
            break
    return result
