"""What every part of the results is made of. Re-exported by `analysis.results`, where others import it from."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Reason", "ResultStruct", "Spread"]


class ResultStruct(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all results: immutable, named fields only."""


class Reason(ResultStruct, frozen=True, kw_only=True):
    """A sentence to be: a stable code and what fills it in. Words: `i18n.reasons`."""

    code: str
    params: dict[str, Any] = {}


class Spread(ResultStruct, frozen=True, kw_only=True):
    """One number over the repeats of a contender.

    `ci95_low/high`: a 95 % bootstrap interval of the median; None below 5 known values. `n` counts the trials
    where it is known, `unknown` those where it is not. `resolution` is what the measurement could tell apart,
    in the value's own unit. `modelled`: it contains an operator model's time.
    """

    median: float | None
    minimum: float | None
    maximum: float | None
    ci95_low: float | None = None
    ci95_high: float | None = None
    n: int
    unknown: int = 0
    values: tuple[float | None, ...] = ()
    resolution: float | None = None
    modelled: bool = False
