"""The actions of a timeline, key by key: how each is written, and the step that it becomes.

Used by `spec.drill_shapes` (reading, JSON Schema) and `spec.plan`. To add an action: its dataclass in
`spec.drill_steps`, one entry in `ACTIONS` here, and its fault in `breakroom.faults`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from breakroom.spec.compose_forms import SignalName, Variables, duration
from breakroom.spec.drill_action_forms import BANDWIDTH, ActionForm, Check, CountForm, FillForm
from breakroom.spec.drill_steps import (
    ApiKillStep,
    CpuStep,
    DrainStep,
    HangStep,
    KillStep,
    MemoryStep,
    NetworkStep,
    NodeLossStep,
    OomStep,
    PartitionStep,
    PauseStep,
    RequestStep,
    RollbackStep,
    ScaleStep,
    Step,
    UpdateStep,
)
from breakroom.spec.shapes import Choice, Field, Fields, Integer, Quantity, Shape, Text
from breakroom.spec.units import Ratio

__all__ = ["ACTIONS", "Action", "as_written"]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a timeline can do: its form, and the step it becomes."""

    shape: Shape
    step: Callable[..., Step]
    doc: str
    bare: bool = True
    """Whether it means something without any key."""


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


def _check_cpu(values: Mapping[str, Any]) -> tuple[str, str, str] | None:
    if 0 < values.get("share", 0) < 1:
        return None
    return (
        "`share` is not a part of one core that would starve a replica",
        "0% would be a pause, and 100% is no fault",
        "cpu: {tasks: 1, share: 5%, for: 10s}",
    )


def _check_update(values: Mapping[str, Any]) -> tuple[str, str, str] | None:
    missing = [name for name, value in values.get("environment", {}).items() if value is None]
    if missing:
        return (
            f"the variable {missing[0]} has no value",
            "a release cannot take variables from outside",
            f"update: {{environment: {{{missing[0]}: value}}}}",
        )
    if values.get("image") or values.get("environment"):
        return None
    return (
        "nothing is new in this release",
        "it has neither `image` nor `environment`",
        "update: {image: improved-app:v2}",
    )


def _check_request(values: Mapping[str, Any]) -> tuple[str, str, str] | None:
    if "proof_status" in values and "proof_path" not in values:
        return (
            "`proof_status` is how `proof_path` must be answered, and there is none",
            "`proof_path` was forgotten",
            "request: {path: /fail?mode=sick, proof_path: /health, proof_status: 503}",
        )
    return None


def _request_path(text: str) -> str:
    return (
        ""
        if re.fullmatch(r"/[!-~]*", text)
        else f"{text!r} is not a path: it must begin with `/`, without spaces"
    )


_REQUEST_PATH = Text("/fail?mode=sick", _request_path, pattern=r"^/[!-~]*$")
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
    check: Check | None = None,
) -> Action:
    form = ActionForm(Fields(f"the action `{name}`", fields, example=example), check)
    return Action(
        form,
        step,
        doc,
        bare=check in {None, _check_partition} and not any(f.required for f in fields.values()),
    )


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
            "rate": Field(BANDWIDTH, "Bandwidth."),
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
    "cpu": _action(
        "cpu",
        {
            "tasks": _TASKS,
            "share": Field(_PROBABILITY, "How much of one core's time is left to each.", required=True),
            "for": _FOR,
        },
        CpuStep,
        "{tasks: 1, share: 5%, for: 10s}",
        "Replicas are starved: they get only a share of one core's time.",
        _check_cpu,
    ),
    "request": _action(
        "request",
        {
            "tasks": _TASKS,
            "method": Field(Choice(("POST", "GET", "PUT", "DELETE")), "The method (default POST)."),
            "path": Field(_REQUEST_PATH, "What is requested.", required=True),
            "proof_path": Field(
                _REQUEST_PATH, "What is then asked for as the proof (default: the answer's 2xx alone)."
            ),
            "proof_status": Field(Integer(100, 599, "503"), "And how it must be answered (default 503)."),
        },
        RequestStep,
        "{tasks: 1, path: /fail?mode=sick}",
        "Replicas themselves are sent an HTTP request, past the ingress: how an app is told to fall ill.",
        _check_request,
    ),
    "oom": _action(
        "oom",
        {
            "tasks": Field(Integer(1, 1_000, "1"), "How many replicas must be killed (default 1)."),
            "within": Field(duration("60s", positive=True), "How long that is waited for (default 60s)."),
        },
        OomStep,
        "{within: 60s}",
        "The load itself is the fault: waits until replicas are killed at their memory limit.",
    ),
    "scale": _action(
        "scale",
        {"replicas": Field(Integer(0, 1_000, "6"), "The new number of replicas.", required=True)},
        ScaleStep,
        "{replicas: 6}",
        "The service is scaled (`docker service scale`). A single container stays one.",
    ),
    "update": _action(
        "update",
        {
            "image": Field(Text("improved-app:v2"), "The new image."),
            "environment": Field(Variables(), "Variables that are new or others in this release."),
        },
        UpdateStep,
        "{image: improved-app:v2}",
        "A new release: a rolling update of a service (by its `update_config`); a container is stopped and made anew.",
        _check_update,
    ),
    "rollback": _action(
        "rollback",
        {},
        RollbackStep,
        "",
        "Back to the release before (`docker service rollback`); of a container, by making it anew.",
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
    written = {key: value for key, value in values.items() if value not in (None, "", {})}
    if "lasts" in written:
        written["for"] = written.pop("lasts")
    return written
