"""A Compose service, key by key: what is read, and what the JSON Schema publishes.

Used by `spec.compose` (to check and to build a `ServiceSpec`), by `spec.drill_shapes` (contenders override the
same keys) and by `spec.schema`. Keys, forms and units are the Compose specification's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from breakroom.spec import compose_keys as keys
from breakroom.spec.compose_forms import (
    EnvFiles,
    HealthTest,
    PortForm,
    RestartForm,
    SignalName,
    Variables,
    Words,
    duration,
)
from breakroom.spec.errors import Problems
from breakroom.spec.nodes import Node
from breakroom.spec.shapes import (
    Boolean,
    Choice,
    Field,
    Fields,
    Integer,
    ListOf,
    Quantity,
    Schema,
    Shape,
    Text,
)
from breakroom.spec.units import Cpus, Ratio, Size

__all__ = ["ACCEPTED", "SERVICE", "SERVICE_FIELDS"]

_SIZE = Quantity(Size.parse, Size.schema, "512m", 1 << 20, "1m")
_CPUS = Quantity(Cpus.parse, Cpus.schema, "0.5")


def _exposed_check(text: str) -> str:
    if re.fullmatch(r"[0-9]{1,5}(/tcp)?", text) and 0 < int(text.split("/", 1)[0]) <= 65535:
        return ""
    return f"{text!r} is not a port"


@dataclass(frozen=True, slots=True)
class Ignored(Shape):
    """A key whose value is not looked into."""

    example: str = "."

    def read(self, node: Node, path: str, problems: Problems) -> Any:  # noqa: ARG002  # its point is to look at nothing
        """Whether it is there."""
        return True

    def schema(self, *, variables: bool) -> Schema:  # noqa: ARG002  # the same
        """Anything."""
        return {}


def _update(noun: str, actions: tuple[str, ...]) -> Fields:
    return Fields(
        noun,
        {
            "parallelism": Field(
                Integer(0, 10_000, "1"), "How many tasks are replaced side by side; 0: all at once."
            ),
            "delay": Field(duration("10s"), "How long a worker waits after each task."),
            "monitor": Field(duration("5s"), "A new task that fails within this time counts as a failure."),
            "failure_action": Field(Choice(actions), "What to do when too many tasks fail."),
            "max_failure_ratio": Field(
                Quantity(Ratio.parse, Ratio.schema, "0.3"),
                "Failures above this share of the tasks count as too many.",
            ),
            "order": Field(
                Choice(("stop-first", "start-first")), "Whether the old task stops before the new one starts."
            ),
        },
        example="{parallelism: 1, delay: 10s}",
        extensions=True,
    )


_RESTART_POLICY = Fields(
    "deploy.restart_policy",
    {
        "condition": Field(
            Choice(
                ("none", "on-failure", "any"),
                {"always": "that is `restart:`'s word", "no": "that is `restart:`'s word"},
            ),
            "When a task that ended is replaced.",
        ),
        "delay": Field(duration("5s"), "How long to wait before each replacement (Swarm's default: 5s)."),
        "max_attempts": Field(Integer(0, 1_000_000, "3"), "How often to try for one slot; 0: without limit."),
        "window": Field(duration("120s"), "Over which time attempts are counted; 0: always."),
    },
    example="{condition: any, delay: 5s}",
    extensions=True,
)
_LIMITS = Fields(
    "deploy.resources.limits",
    {
        "memory": Field(_SIZE, "Memory of one task; above it, it is killed."),
        "cpus": Field(_CPUS, "Cores that one task may use."),
    },
    example="{memory: 512m}",
    explain=keys.explain_with(keys.REFUSED_LIMITS),
    extensions=True,
)
_RESOURCES = Fields(
    "deploy.resources",
    {"limits": Field(_LIMITS, "Upper bounds for one task.")},
    example="{limits: {memory: 512m}}",
    accepted={"reservations": "nothing is scheduled by it"},
    extensions=True,
)
_DEPLOY = Fields(
    "deploy",
    {
        "mode": Field(
            Choice(("replicated",), {"global": "a task on every node: drills compare numbers of replicas"}),
            "Only `replicated`.",
        ),
        "replicas": Field(Integer(0, 1_000, "3"), "How many tasks; a service contender without it has 3."),
        "update_config": Field(
            _update("deploy.update_config", ("pause", "continue", "rollback")), "How tasks are updated."
        ),
        "rollback_config": Field(
            _update("deploy.rollback_config", ("pause", "continue")), "How an update is taken back."
        ),
        "restart_policy": Field(_RESTART_POLICY, "When a task that ended is replaced."),
        "resources": Field(_RESOURCES, "Limits of one task."),
    },
    example="{replicas: 3}",
    explain=keys.explain_with(keys.REFUSED_DEPLOY),
    accepted=keys.ACCEPTED_DEPLOY,
    extensions=True,
)
_HEALTHCHECK = Fields(
    "healthcheck",
    {
        "test": Field(
            HealthTest(), "The test: a shell line, or a list beginning with NONE, CMD, CMD-SHELL or HTTP."
        ),
        "interval": Field(
            duration("10s", positive=True), "Time from a probe's end to the next (default 30s)."
        ),
        "timeout": Field(
            duration("5s", positive=True), "A probe that takes longer has failed (default 30s)."
        ),
        "retries": Field(Integer(1, 1_000, "3"), "Failures in a row that make a task unhealthy (default 3)."),
        "start_period": Field(
            duration("10s"), "Failures this soon after the start do not count (default 0)."
        ),
        "start_interval": Field(
            duration("1s", positive=True), "The interval during start_period (default 5s)."
        ),
        "disable": Field(Boolean(), "`true` switches an inherited healthcheck off."),
    },
    example='{test: ["HTTP", "/health"], interval: 10s}',
    extensions=True,
)

SERVICE_FIELDS: dict[str, Field] = {
    "image": Field(
        Text("improved-app:latest", lambda t: "" if t.strip() else "the image's name is empty"),
        "The image; on the local platform, breakroom's own apps are found by their image names.",
    ),
    "build": Field(Ignored(), "Not built: accepted beside `image` or `command`, which say what to run."),
    "command": Field(
        Words(), "The command; `{port}` in it becomes the port to listen on (also in $PORT).", null_ok=True
    ),
    "entrypoint": Field(Words(), "Words put before the command.", null_ok=True),
    "environment": Field(Variables(), "Environment variables, as a mapping or a list of NAME=value."),
    "env_file": Field(EnvFiles(), "Files with environment variables, relative to this file."),
    "working_dir": Field(Text("./app"), "Where the command runs; relative to this file."),
    "ports": Field(ListOf(PortForm(), '["8080:3000"]'), "Published ports; users are served on the first."),
    "expose": Field(
        ListOf(
            Text(
                '"3000"',
                numbers=True,
                check=_exposed_check,
            ),
            '["3000"]',
        ),
        "Ports inside a task; the first counts where `ports` is absent.",
    ),
    "healthcheck": Field(_HEALTHCHECK, "How a task's health is probed.", null_ok=True),
    "restart": Field(
        RestartForm(), "The container engine's restart policy (contenders that run as a container)."
    ),
    "stop_grace_period": Field(duration("10s"), "How long a task may take to stop (default 10s)."),
    "stop_signal": Field(SignalName(), "The signal that asks a task to stop (default SIGTERM)."),
    "mem_limit": Field(_SIZE, "The same as deploy.resources.limits.memory."),
    "cpus": Field(_CPUS, "The same as deploy.resources.limits.cpus."),
    "labels": Field(Variables(), "Labels."),
    "deploy": Field(_DEPLOY, "What an orchestrator needs to know.", null_ok=True),
    "container_name": Field(Text("web"), "Used as the service's name in views."),
}

ACCEPTED = {key: note for key, note in keys.ACCEPTED_SERVICE.items() if key not in SERVICE_FIELDS}

SERVICE = Fields(
    "a service",
    SERVICE_FIELDS,
    example='{image: improved-app:latest, ports: ["8080:3000"]}',
    explain=keys.explain_with(keys.REFUSED_SERVICE, keys.MISPLACED),
    accepted=ACCEPTED,
    extensions=True,
    doc="A Compose service. Durations and sizes are written as Compose writes them.",
)
"""A service, complete or as a contender's overrides: whether it is complete is checked when all is merged."""
