"""The forms of single values in a timeline's actions: how many replicas, how much memory, how much bandwidth.

Used by `spec.drill_actions`, which puts them together to actions.
"""

# ruff: noqa: ARG002  # every shape has the same two methods, whether it needs all of their arguments or not

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from breakroom.spec.errors import Problems
from breakroom.spec.nodes import MapNode, Node, ScalarNode
from breakroom.spec.shapes import INVALID, Fields, Integer, Quantity, Schema, Shape
from breakroom.spec.units import Size, UnitError, parse_ratio, parse_size

__all__ = ["BANDWIDTH", "ActionForm", "Check", "CountForm", "FillForm"]

Check = Callable[[Mapping[str, Any]], tuple[str, str, str] | None]
"""Sees an action's values whole; returns (what, cause, correct) of a mistake in them."""


@dataclass(frozen=True, slots=True)
class CountForm(Shape):
    """How many replicas: a number, or `all`."""

    example: str = "1"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The number, or `all`."""
        if isinstance(node, ScalarNode) and node.value == "all":
            return "all"
        return Integer(1, 1_000, self.example).read(node, path, problems)

    def schema(self, *, variables: bool) -> Schema:
        """An integer or the word."""
        return {"anyOf": [Integer(1, 1_000, self.example).schema(variables=variables), {"const": "all"}]}


@dataclass(frozen=True, slots=True)
class FillForm(Shape):
    """`90%` of the limit, or a size in addition."""

    example: str = "90%"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """`("fill_to", ratio)` or `("fill", bytes)`."""
        value = node.value if isinstance(node, ScalarNode) else None
        try:
            if isinstance(value, str) and value.strip().endswith("%"):
                ratio = parse_ratio(value)
                if ratio > 0:
                    return ("fill_to", ratio)
            else:
                size = parse_size(value)
                if size > 0:
                    return ("fill", size)
        except UnitError:
            pass
        shown = repr(node.text) if isinstance(node, ScalarNode) else "this"
        problems.add(
            node.place,
            path,
            f"{shown} does not say how much memory is to be used",
            cause="a share of the task's limit is written 90%, a size 100m",
            correct="fill: 90%   or   fill: 100m",
        )
        return INVALID

    def schema(self, *, variables: bool) -> Schema:
        """A percentage or a size."""
        return {
            "anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?%$"}, Size.schema],
            "description": "90%: up to that share of the task's memory limit; 100m: so much more",
        }


_BITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BIT_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)bit(?:/s)?", re.IGNORECASE)


def _parse_bit_rate(value: object) -> int:
    match = _BIT_RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    rate = int(float(match[1]) * _BITS[match[2].lower()] / 8) if match else 0
    if rate < 1:
        raise UnitError(value, "bandwidth", "bits per second as `tc` writes them, like 256kbit or 10mbit")
    return rate


BANDWIDTH = Quantity(
    _parse_bit_rate,
    {
        "type": "string",
        "pattern": r"^\d+(\.\d+)?\s*[kKmMgG]?[bB][iI][tT](/s)?$",
        "description": "bits per second such as 256kbit or 10mbit (powers of 1000)",
    },
    "10mbit",
)


@dataclass(frozen=True, slots=True)
class ActionForm(Shape):
    """An action's mapping; `check` sees it whole."""

    fields: Fields
    check: Check | None = None

    @property
    def example(self) -> str:
        """As the mapping's."""
        return self.fields.example

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The step's own keys."""
        before = problems.noted
        values = self.fields.read(node, path, problems)
        if not isinstance(node, MapNode) or problems.noted > before:
            return INVALID
        if self.check is not None and (wrong := self.check(values)) is not None:
            what, cause, correct = wrong
            problems.add(node.place, path, what, cause=cause, correct=correct)
            return INVALID
        if "for" in values:
            values["lasts"] = values.pop("for")
        if "fill" in values:
            key, amount = values.pop("fill")
            values[key] = amount
        return values

    def schema(self, *, variables: bool) -> Schema:
        """The mapping's."""
        return self.fields.schema(variables=variables)
