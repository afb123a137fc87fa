"""The actions of a timeline, key by key: how each is written, and the step that it becomes.

Used by `spec.drill_shapes` (reading, JSON Schema) and `spec.plan`. To add an action: its dataclass in
`spec.drill_steps`, one entry in `ACTIONS` here, and its fault in `breakroom.faults`.
"""

# ruff: noqa: ARG002  # every shape has the same two methods, whether it needs all of their arguments or not

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from breakroom.spec.compose_forms import SignalName, duration
from breakroom.spec.drill_steps import (
    ApiKillStep,
    DrainStep,
    HangStep,
    KillStep,
    MemoryStep,
    NetworkStep,
    NodeLossStep,
    PartitionStep,
    PauseStep,
    Step,
)
from breakroom.spec.errors import Problems
from breakroom.spec.nodes import MapNode, Node, ScalarNode
from breakroom.spec.shapes import INVALID, Field, Fields, Integer, Quantity, Schema, Shape, Text
from breakroom.spec.units import Ratio, Size, UnitError, parse_ratio, parse_size

__all__ = ["ACTIONS", "Action", "as_written"]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a timeline can do: its form, and the step it becomes."""

    shape: Shape
    step: Callable[..., Step]
    doc: str
    bare: bool = True
    """Whether it means something without any key."""


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


_BANDWIDTH = Quantity(
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
    """An action's mapping; `check` sees it whole and returns (what, cause, correct) of a mistake in it."""

    fields: Fields
    check: Callable[[Mapping[str, Any]], tuple[str, str, str] | None] | None = None

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


def _check_network(values: Mapping[str, Any]) -> tuple[str, str, str] | None:
    if not any(values.get(key) for key in ("delay", "loss", "corrupt", "duplicate", "rate")):
        return (
            "nothing is wrong with this network",
            "it has none of delay, loss, corrupt, duplicate and rate",
            "network: {delay: 100ms, jitter: 20ms}",
        )
    if values.get("jitter") and not values.get("delay"):
        return (
            "`jitter` varies a delay, and there is none",
            "`delay` was forgotten",
            "network: {delay: 100ms, jitter: 20ms}",
        )
    return None


def _check_partition(values: Mapping[str, Any]) -> tuple[str, str, str] | None:
    if "tasks" in values and "node" in values:
        return (
            "either replicas are cut off, or a node",
            "`tasks` and `node` are both here",
            "partition: {tasks: 1, for: 10s}   or   partition: {node: worker, for: 10s}",
        )
    return None


def _node_check(text: str) -> str:
    return "" if re.fullmatch(r"[!-~]+", text) else f"{text!r} is not a node's name"


_TASKS = Field(CountForm(), "How many of the replicas that serve, or `all` (default 1).")
_FOR = Field(duration("10s", positive=True), "How long, before it is taken back; without it until the end.")
_ENDING = SignalName("SIGKILL", ending=True)


def _node(default: str, note: str = "") -> Field:
    text = Text("worker", _node_check)
    return Field(text, f"The node's name, or `worker`, `manager` or `any` of them (default {default}){note}.")


def _action(
    name: str,
    fields: Mapping[str, Field],
    step: Callable[..., Step],
    example: str,
    doc: str,
    check: Callable[[Mapping[str, Any]], tuple[str, str, str] | None] | None = None,
) -> Action:
    form = ActionForm(Fields(f"the action `{name}`", fields, example=example), check)
    return Action(form, step, doc, bare=check is not _check_network and "fill" not in fields)


_PROBABILITY = Quantity(Ratio.parse, Ratio.schema, "5%")
ACTIONS: Mapping[str, Action] = {
    "kill": _action(
        "kill",
        {
            "tasks": _TASKS,
            "signal": Field(_ENDING, "The signal that they get (default SIGKILL)."),
            "match": Field(
                Text("node", lambda text: "" if text.strip() else "`match` is empty"),
                "Only the processes inside whose command line contains this, as `pkill -f` does; "
                "without it the main process.",
            ),
        },
        KillStep,
        "{tasks: 1, signal: SIGKILL}",
        "Replicas crash: their main process is sent a signal from outside the platform.",
    ),
    "api_kill": _action(
        "api_kill",
        {"tasks": _TASKS, "signal": Field(_ENDING, "The signal that they get (default SIGKILL).")},
        ApiKillStep,
        "{tasks: 1}",
        "Replicas are killed through the platform's API (`docker kill`), which no container's restart policy answers.",
    ),
    "pause": _action(
        "pause",
        {"tasks": _TASKS, "for": _FOR},
        PauseStep,
        "{tasks: 1, for: 10s}",
        "All processes of replicas are frozen (`docker pause`); their health is not probed meanwhile.",
    ),
    "hang": _action(
        "hang",
        {"tasks": _TASKS, "for": _FOR},
        HangStep,
        "{tasks: 1, for: 30s}",
        "The main process of replicas stands still (SIGSTOP): it is there, but does not answer.",
    ),
    "memory": _action(
        "memory",
        {
            "tasks": _TASKS,
            "fill": Field(FillForm(), "Up to a share of the task's limit, or so much more.", required=True),
            "for": _FOR,
        },
        MemoryStep,
        "{tasks: 1, fill: 90%, for: 20s}",
        "Memory is used up inside replicas' own limits.",
    ),
    "network": _action(
        "network",
        {
            "tasks": _TASKS,
            "delay": Field(duration("100ms"), "Each direction takes so much longer."),
            "jitter": Field(duration("20ms"), "The delay varies by so much."),
            "loss": Field(_PROBABILITY, "Share of packets that are lost."),
            "corrupt": Field(_PROBABILITY, "Share of packets with a wrong bit."),
            "duplicate": Field(_PROBABILITY, "Share of packets that come twice."),
            "rate": Field(_BANDWIDTH, "Bandwidth."),
            "for": _FOR,
        },
        NetworkStep,
        "{tasks: all, delay: 100ms, jitter: 20ms, for: 30s}",
        "The network of replicas is bad, in each direction.",
        _check_network,
    ),
    "partition": _action(
        "partition",
        {"tasks": _TASKS, "node": _node("none", "; instead of `tasks`"), "for": _FOR},
        PartitionStep,
        "{tasks: 1, for: 10s}",
        "Replicas are cut off from their users, or a node from all other nodes; their processes run on.",
        _check_partition,
    ),
    "drain": _action(
        "drain",
        {"node": _node("any"), "for": _FOR},
        DrainStep,
        "{node: worker, for: 30s}",
        "A node is drained (`docker node update --availability drain`).",
    ),
    "node_loss": _action(
        "node_loss",
        {"node": _node("worker"), "for": _FOR},
        NodeLossStep,
        "{node: worker, for: 60s}",
        "Nobody hears of a node any more, as if it had lost its power.",
    ),
}


def as_written(values: dict[str, Any]) -> dict[str, Any]:
    """A step's own fields with the keys of the file; what is not set is left out."""
    written = {key: value for key, value in values.items() if value not in {None, ""}}
    if "lasts" in written:
        written["for"] = written.pop("lasts")
    return written
