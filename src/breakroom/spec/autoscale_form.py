"""The form of a contender's `autoscale:`, and what must be right between its keys.

Used by `spec.drill_shapes` for the form and by `spec.drill_reader` for the check against the service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from breakroom.spec.compose_forms import duration
from breakroom.spec.drill import AutoscaleSpec
from breakroom.spec.errors import Problems
from breakroom.spec.nodes import MapNode, Node, ScalarNode
from breakroom.spec.service import ServiceSpec
from breakroom.spec.shapes import INVALID, Boolean, Choice, Field, Fields, Integer, Quantity, Schema, Shape
from breakroom.spec.units import Duration, Rate, Ratio, UnitError

__all__ = ["AUTOSCALE", "check_replicas"]

_UTILISATION = "autoscale: {metric: utilisation, target: 70%, capacity: 120/s, min: 2, max: 6}"
_LATENCY = "autoscale: {metric: latency, target: 200ms, min: 2, max: 6}"
_MILLISECOND = 1_000_000
_MOST = 1000
_DEFAULT = AutoscaleSpec()


@dataclass(frozen=True, slots=True)
class _Target(Shape):
    """A ratio or a duration: which of the two is decided by the metric, so it is read by `AutoscaleForm`."""

    example: str = "70%"

    def read(self, node: Node, path: str, problems: Problems) -> Any:  # noqa: ARG002  # read when the metric is known
        """The node itself."""
        return node

    def schema(self, *, variables: bool) -> Schema:  # noqa: ARG002  # no variables stand in a drill's own keys
        """Either of the two."""
        return {"anyOf": [Ratio.schema, Duration.schema]}


_KEYS = Fields(
    "autoscale",
    {
        "metric": Field(
            Choice(("utilisation", "latency"), {"cpu": "the load is measured, not the CPU"}),
            "What the number of replicas follows (default utilisation).",
        ),
        "target": Field(
            _Target(), "What the metric is kept at: a share of the capacity (default 70%), or a latency."
        ),
        "capacity": Field(
            Quantity(Rate.parse, Rate.schema, "120/s"),
            "Requests a second that one replica can serve; for `utilisation`.",
        ),
        "min": Field(Integer(1, _MOST, "2"), "The least number of replicas (default 1)."),
        "max": Field(Integer(1, _MOST, "6"), "The greatest (default 10)."),
        "interval": Field(
            duration("1s", positive=True),
            "From one decision to the next, and how far back each looks (default 1s).",
        ),
        "tolerance": Field(
            Quantity(Ratio.parse, Ratio.schema, "10%"),
            "No change while that close to the target (default 10%).",
        ),
        "cooldown": Field(
            Fields(
                "a cooldown",
                {
                    "up": Field(duration("0s"), "After a change, how long nothing is added (default 0s)."),
                    "down": Field(
                        duration("10s"), "After a change, how long nothing is taken away (default 60s)."
                    ),
                },
                example="{up: 0s, down: 10s}",
            ),
            "How long the number stays as it is after a change.",
        ),
        "dry_run": Field(Boolean(), "Decide and explain, but change nothing (default false)."),
    },
    example="{target: 70%, capacity: 120/s, min: 2, max: 6}",
    doc="The number of replicas follows the measured load. Services only.",
)


@dataclass(frozen=True, slots=True)
class AutoscaleForm(Shape):
    """The keys, and what must be right between them."""

    example: str = "{target: 70%, capacity: 120/s, min: 2, max: 6}"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """An `AutoscaleSpec`."""
        before = problems.noted
        values = _KEYS.read(node, path, problems)
        if not isinstance(node, MapNode):
            return INVALID
        metric = values.get("metric", "utilisation")
        target = _target(node, metric, path, problems)
        _check_capacity(node, metric, path, problems)
        least, most = values.get("min", _DEFAULT.minimum), values.get("max", _DEFAULT.maximum)
        if least > most:
            named = "min" if "min" in node.entries else "max"
            problems.add(
                node.entries[named].key_place,
                f"{path}.{named}",
                f"`min` ({least}) is above `max` ({most})",
                cause="the two were exchanged"
                if {"min", "max"} <= node.entries.keys()
                else "the other has its default",
                correct="min: 2, max: 6",
            )
        if problems.noted > before:
            return INVALID
        return _spec(values, target)

    def schema(self, *, variables: bool) -> Schema:
        """The keys alone: what belongs together may come from the drill that a file extends."""
        return _KEYS.schema(variables=variables)


AUTOSCALE = AutoscaleForm()


def check_replicas(
    node: MapNode, spec: AutoscaleSpec, service: ServiceSpec, path: str, problems: Problems
) -> None:
    """Note it if the number that the service starts with lies outside of the bounds. `node`: the contender's."""
    replicas = service.deploy.replicas
    if spec.minimum <= replicas <= spec.maximum:
        return
    problems.add(
        node.entries["autoscale"].key_place,
        f"{path}.autoscale",
        f"the service starts with {replicas} replicas, outside of {spec.minimum} to {spec.maximum}",
        cause="`deploy.replicas` says so, or three are the default",
        correct=f"deploy: {{replicas: {min(max(replicas, spec.minimum), spec.maximum)}}}",
    )


def _target(node: MapNode, metric: str, path: str, problems: Problems) -> float:
    """The target in the metric's unit: a ratio, or nanoseconds. 0 after a mistake was noted."""
    given = node.get("target")
    if given is None:
        if metric == "latency":
            problems.add(
                node.place,
                path,
                "`target` is missing: the latency to be kept",
                cause="only `utilisation` has a default",
                correct=_LATENCY,
            )
        return _DEFAULT.target
    if not isinstance(given, ScalarNode) or given.value is None:
        problems.add(given.place, f"{path}.target", "this must be one value", correct=_UTILISATION)
        return 0
    wanted, other = (Ratio, Duration) if metric == "utilisation" else (Duration, Ratio)
    noun, other_noun = ("ratio", "duration") if metric == "utilisation" else ("duration", "ratio")
    value = _parsed(wanted, given)
    if value is not None and value >= (_MILLISECOND if wanted is Duration else 0) and value > 0:
        return value
    other_metric = "latency" if metric == "utilisation" else "utilisation"
    cause = "a target of zero" if value == 0 else ""
    if value is None and _parsed(other, given) is not None:
        cause = f"a {other_noun} belongs to `metric: {other_metric}`"
    problems.add(
        given.place,
        f"{path}.target",
        f"{given.text!r} is not a target for `{metric}`, which needs a {noun} above zero",
        cause=cause or "another unit",
        correct=_UTILISATION if metric == "utilisation" else _LATENCY,
    )
    return 0


def _parsed(unit: type[Ratio | Duration], node: ScalarNode) -> float | None:
    try:
        return float(unit.parse(node.value))
    except UnitError:
        return None


def _check_capacity(node: MapNode, metric: str, path: str, problems: Problems) -> None:
    entry = node.entries.get("capacity")
    if metric == "utilisation" and entry is None:
        problems.add(
            node.place,
            path,
            "`capacity` is missing: the requests a second that one replica can serve",
            cause="`metric: utilisation` (the default) is the load as a share of the capacity",
            correct=_UTILISATION,
        )
    elif metric == "latency" and entry is not None:
        problems.add(
            entry.key_place,
            f"{path}.capacity",
            "`capacity` belongs to `metric: utilisation`",
            cause="latency is measured as it is",
            correct=_LATENCY,
        )


def _spec(values: dict[str, Any], target: float) -> AutoscaleSpec:
    cooldown = values.get("cooldown", {})
    renamed = {"min": "minimum", "max": "maximum"}
    read = {
        renamed.get(key, key): value for key, value in values.items() if key not in {"target", "cooldown"}
    }
    return AutoscaleSpec(
        **read, target=target, **{f"cooldown_{key}": value for key, value in cooldown.items()}
    )
