"""When each request of an open-model stream is to be sent: the plan's arrival times, exact to the nanosecond.

The load workers send by it and the analysis computes it again, to prove from the samples that every contender
met the same arrivals; so it is whole-number arithmetic throughout and the same on every machine. Pure.

Source of the Poisson gaps: J. von Neumann, "Various techniques used in connection with random digits" (1951):
exponentially distributed numbers from comparisons of uniform ones alone, without a logarithm whose last bit
depends on the C library.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import count, islice

from breakroom.spec.drill import LoadSpec, ProbeSpec, Stage

__all__ = ["planned_offsets", "planned_spacing"]

_SECOND = 1_000_000_000
_BITS = 64


def planned_offsets(spec: ProbeSpec | LoadSpec, seed: int = 0) -> Iterator[int]:
    """The intended send times of an open-model stream, in order, as nanoseconds after the stream's `t0`.

    Args:
        spec: A probe, or a load; of a load, `rate` or `stages`, `arrivals` and `requests` are read.
        seed: Decides the gaps of Poisson arrivals; constant ones do not depend on it.

    Yields:
        Offsets that never decrease. Constant arrivals start at 0 (of each stage); Poisson ones after a first
        gap. Endless for a plain rate, up to the end of the last stage otherwise; at most `requests` of them
        where that is above 0.

    Raises:
        ValueError: the load is a closed one, which has no planned arrivals.
    """
    if isinstance(spec, ProbeSpec):
        return _constant(spec.rate)
    if spec.model != "open":
        raise ValueError("a closed load has no planned arrivals: each request follows the answer to another")
    source = random.Random(seed)  # noqa: S311  # a reproducible plan is wanted, not a secret
    arrivals = _staged(spec, source) if spec.stages else _at_rate(spec, spec.rate, source)
    return islice(arrivals, spec.requests) if spec.requests > 0 else arrivals


def planned_spacing(spec: ProbeSpec | LoadSpec) -> int:
    """The (mean) time between arrivals at the plan's highest rate, in nanoseconds."""
    stages: tuple[Stage, ...] = spec.stages if isinstance(spec, LoadSpec) else ()
    return int(_SECOND / max((stage.rate for stage in stages), default=spec.rate))


def _staged(spec: LoadSpec, source: random.Random) -> Iterator[int]:
    """Stage after stage; each starts its own arrivals, which for Poisson ones changes nothing (no memory)."""
    begin = 0
    for stage in spec.stages:
        for offset in _at_rate(spec, stage.rate, source):
            if offset >= stage.duration:
                break
            yield begin + offset
        begin += stage.duration


def _at_rate(spec: LoadSpec, rate: float, source: random.Random) -> Iterator[int]:
    return _poisson(rate, source) if spec.arrivals == "poisson" else _constant(rate)


def _period(rate: float) -> tuple[int, int]:
    """The time between arrivals in nanoseconds as a fraction; the rate is taken as its shortest decimal."""
    period = _SECOND / Fraction(repr(float(rate)))
    return period.numerator, period.denominator


def _constant(rate: float) -> Iterator[int]:
    numerator, denominator = _period(rate)
    return (number * numerator // denominator for number in count())


def _poisson(rate: float, source: random.Random) -> Iterator[int]:
    numerator, denominator = _period(rate)
    elapsed = 0
    while True:
        elapsed += _exponential(source)
        # Rounded once, from the exact sum: the rounding of single gaps would add up.
        yield elapsed * numerator // (denominator << _BITS)


def _exponential(source: random.Random) -> int:
    """One exponentially distributed number of mean 1, in units of 2**-64."""
    draw = source.getrandbits
    whole = 0
    while True:
        first = last = draw(_BITS)
        descents = 1
        while (value := draw(_BITS)) < last:
            last = value
            descents += 1
        # A descending run of odd length keeps its first number as the fraction; an even one adds 1.
        if descents & 1:
            return (whole << _BITS) + first
        whole += 1
