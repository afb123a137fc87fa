"""Durations, sizes, rates and ratios as Compose and people write them, and back.

Used by the loader for every unit in a user's file, and by presenters to print one. Pure.
The marker classes (`Duration`, `Size`, …) stand in the field types of `spec.service` and `spec.drill`, where they
tell the file shapes (`spec.shapes`) how a field is written.

Sources: Compose specification, "Specifying durations" and "Specifying byte values".
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

__all__ = [
    "Cpus",
    "Duration",
    "Rate",
    "Ratio",
    "Size",
    "UnitError",
    "format_duration",
    "format_size",
    "parse_duration",
    "parse_rate",
    "parse_ratio",
    "parse_size",
]

_UNITS_NS = {"us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?", re.IGNORECASE)
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/\s*(s|m))?")


class UnitError(ValueError):
    """A quantity that cannot be read; `expected` shows the correct form."""

    def __init__(self, value: object, kind: str, expected: str) -> None:
        self.value = value
        self.kind = kind
        self.expected = expected
        super().__init__(f"{value!r} is not a {kind}; write it as {expected}")


def parse_duration(value: object) -> int:
    """Read `1m30s`, `200ms`, `1.5s` or 0 as nanoseconds.

    Raises:
        UnitError: not a duration, or a bare number other than 0 (Compose demands the unit).
    """
    if value == 0 and not isinstance(value, bool):
        return 0
    text = value.strip() if isinstance(value, str) else ""
    if text == "0":
        return 0
    if not _DURATION.fullmatch(text):
        raise UnitError(value, "duration", "a number with its unit, like 500ms, 10s or 1m30s")
    return sum(round(float(n) * _UNITS_NS[unit]) for n, unit in _DURATION_PART.findall(text))


def parse_size(value: object) -> int:
    """Read `512m`, `1.5gb`, `64MiB` or a plain number of bytes (Compose: powers of 1024).

    Raises:
        UnitError: not a size.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise UnitError(value, "size", "a number with its unit, like 64m, 512m or 1g")
    return int(float(match[1]) * _SIZES[match[2].lower()])


def parse_rate(value: object) -> float:
    """Read `100/s`, `600/m` or a plain number as events per second.

    Raises:
        UnitError: not a rate, or not above zero.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        rate = float(value)
    else:
        match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise UnitError(value, "rate", "a number per second or minute, like 100/s or 30/m")
        rate = float(match[1]) / (60 if match[2] == "m" else 1)
    if not 0 < rate <= 1_000_000:
        raise UnitError(value, "rate", "a number above zero, like 100/s")
    return rate


def parse_ratio(value: object) -> float:
    """Read `99.9%` or `0.999` as a fraction from 0 to 1.

    Raises:
        UnitError: not a ratio, or outside 0 to 1.
    """
    try:
        if isinstance(value, str) and value.strip().endswith("%"):
            ratio = float(value.strip()[:-1]) / 100
        elif isinstance(value, bool):
            ratio = -1.0
        else:
            ratio = float(value)  # type: ignore[arg-type]  # a wrong type raises just below
    except (TypeError, ValueError):
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise UnitError(value, "ratio", "a percentage or a fraction from 0 to 1, like 99.9% or 0.999")
    return ratio


def parse_cpus(value: object) -> float:
    """Read `0.5` or `"0.5"` as a number of cores.

    Raises:
        UnitError: not a positive number.
    """
    try:
        cpus = float(value) if not isinstance(value, bool) else -1.0  # type: ignore[arg-type]  # raises just below
    except (TypeError, ValueError):
        cpus = -1.0
    if not cpus > 0:
        raise UnitError(value, "number of cores", "a number above zero, like 0.5")
    return cpus


def format_duration(ns: float) -> str:
    """Print nanoseconds for a person: `0.8 ms`, `340 ms`, `5.62 s`, `2 min 5 s`.

    The result is for reading; `parse_duration` need not accept it.
    """
    seconds = ns / 1e9
    if abs(seconds) < 0.01:
        return f"{seconds * 1e3:.1f} ms"
    if abs(seconds) < 1:
        return f"{seconds * 1e3:.0f} ms"
    if abs(seconds) < 120:
        return f"{seconds:.2f} s" if abs(seconds) < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def format_size(size: float) -> str:
    """Print bytes for a person in binary units: `512 B`, `64.0 MiB`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


class _Unit:
    """Base of the markers below: `parse` reads a field marked so, `schema` describes it in the JSON Schema."""

    @staticmethod
    def parse(value: object) -> Any:
        """Read the field as a user wrote it; raises `UnitError`."""
        raise NotImplementedError

    schema: ClassVar[dict[str, Any]]


class Duration(_Unit):
    """Marks an `int` of nanoseconds written as a Compose duration."""

    parse = staticmethod(parse_duration)
    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [{"type": "string", "pattern": r"^(\d+(\.\d+)?(us|µs|ms|s|m|h))+$|^0$"}, {"const": 0}],
        "description": "a duration such as 500ms, 10s or 1m30s",
    }


class Size(_Unit):
    """Marks an `int` of bytes written as a Compose byte value."""

    parse = staticmethod(parse_size)
    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"type": "string", "pattern": r"^\d+(\.\d+)?\s*[kKmMgG]?[iI]?[bB]?$"},
            {"type": "integer", "minimum": 0},
        ],
        "description": "a size such as 64m, 512m or 1g (powers of 1024)",
    }


class Rate(_Unit):
    """Marks a `float` of events per second."""

    parse = staticmethod(parse_rate)
    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(/\s*[sm])?$"},
            {"type": "number", "exclusiveMinimum": 0},
        ],
        "description": "a rate such as 100/s or 30/m; a bare number is per second",
    }


class Ratio(_Unit):
    """Marks a `float` from 0 to 1."""

    parse = staticmethod(parse_ratio)
    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"type": "string", "pattern": r"^\d+(\.\d+)?%$"},
            {"type": "number", "minimum": 0, "maximum": 1},
        ],
        "description": "a percentage or fraction such as 99.9% or 0.999",
    }


class Cpus(_Unit):
    """Marks a `float` of cores."""

    parse = staticmethod(parse_cpus)
    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?$"}, {"type": "number", "exclusiveMinimum": 0}],
        "description": "a number of cores such as 0.5",
    }
