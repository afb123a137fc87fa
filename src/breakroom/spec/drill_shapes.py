"""The forms of a drill file, key by key: what is read, and what the JSON Schema publishes.

Used by `spec.drill_reader` and `spec.schema`. The actions of `timeline` are in `spec.drill_actions`.
"""

# ruff: noqa: ARG002  # every shape has the same two methods, whether it needs all of their arguments or not

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from breakroom.spec import compose_keys as keys
from breakroom.spec.autoscale_form import AUTOSCALE
from breakroom.spec.compose_forms import duration
from breakroom.spec.compose_shapes import ACCEPTED, SERVICE, SERVICE_FIELDS
from breakroom.spec.drill import METRICS, Step
from breakroom.spec.drill_actions import ACTIONS
from breakroom.spec.errors import Problems
from breakroom.spec.nodes import MapNode, Node, ScalarNode, describe
from breakroom.spec.shapes import (
    INVALID,
    Boolean,
    Choice,
    Field,
    Fields,
    Integer,
    ListOf,
    MapOf,
    Quantity,
    Schema,
    Shape,
    Text,
    nullable,
)
from breakroom.spec.units import Rate, Ratio

__all__ = ["CONTENDER", "CONTENDER_KEYS", "DRILL", "NAME_PATTERN", "action_of"]

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,39}$"

_RATE = Quantity(Rate.parse, Rate.schema, "100/s")
_RATIO = Quantity(Ratio.parse, Ratio.schema, "99.9%")
_STATUS = Integer(100, 599, "200")


def _path_check(text: str) -> str:
    if not text.startswith("/"):
        return f"{text!r} is not a path: it must begin with `/`"
    return (
        ""
        if re.fullmatch(r"[!-~]+", text)
        else f"{text!r} holds a space or a character that must be %-encoded"
    )


def _name_check(text: str) -> str:
    if re.fullmatch(NAME_PATTERN, text):
        return ""
    return f"{text!r} is not a name: small letters, digits and `-`, at most 40"


def _header_check(text: str) -> str:
    return f"{text!r} holds a line break" if "\n" in text or "\r" in text else ""


def _header_name_check(text: str) -> str:
    return "" if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text) else f"{text!r} is not a header's name"


_PATH = Text("/", _path_check, pattern=r"^/[!-~]*$")


@dataclass(frozen=True, slots=True)
class Deferred(Shape):
    """A value that is read later (a service, whose variables must be replaced first); its schema is `shape`'s."""

    shape: Shape
    references: bool = False
    example: str = '{image: improved-app:latest, ports: ["8080:3000"]}'

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The node itself."""
        return node

    def schema(self, *, variables: bool) -> Schema:
        """The later shape's schema, with variables, and a reference into a Compose file where that is allowed."""
        schema = self.shape.schema(variables=True)
        if not self.references:
            return schema
        reference: Schema = {
            "type": "string",
            "pattern": "#.",
            "description": "a service in a Compose file: compose.yaml#web",
        }
        # With `from`, null takes a key of the Compose file's service away, also one that breakroom does not use.
        inherited: Schema = {
            **schema,
            "properties": {
                **{key: nullable(value) for key, value in schema["properties"].items()},
                **{key: {"type": "null"} for key in keys.REFUSED_SERVICE},
                "from": reference,
            },
            "required": ["from"],
        }
        return {"anyOf": [reference, schema, inherited]}


@dataclass(frozen=True, slots=True)
class Localized(Shape):
    """Text, or text by language code. Plain text is taken as English."""

    example: str = "{en: One replica dies, ko: 복제본 하나가 죽는다}"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A dict by language code."""
        if isinstance(node, MapNode):
            return MapOf(Text("text"), self.example, check_name=self._language).read(node, path, problems)
        if isinstance(node, ScalarNode):
            text = Text("text").read(node, path, problems)
            return text if text is INVALID else {"en": text}
        problems.add(
            node.place,
            path,
            f"this must be text, or text by language, but it is {describe(node)}",
            correct=f"{path}: {self.example}",
        )
        return INVALID

    @staticmethod
    def _language(name: str) -> str:
        return (
            ""
            if re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", name)
            else f"{name!r} is not a language code such as en or ko"
        )

    def schema(self, *, variables: bool) -> Schema:
        """A string or an object."""
        by_language: Schema = {
            "type": "object",
            "propertyNames": {"pattern": r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$"},
            "additionalProperties": {"type": "string"},
        }
        return {"anyOf": [{"type": "string"}, by_language]}


_PROBE = Fields(
    "the probe",
    {
        "rate": Field(
            _RATE, "Requests a second, each on a new connection (default 100/s). Sets the resolution."
        ),
        "path": Field(_PATH, "What is requested (default /)."),
        "timeout": Field(
            duration("2s", positive=True), "A request that takes longer has failed (default 2s)."
        ),
        "expect_status": Field(_STATUS, "The status of a good answer (default 200)."),
        "expect_body": Field(Text("ok"), "Text that a good answer holds."),
    },
    example="{rate: 100/s}",
)
_STAGE = Fields(
    "a stage",
    {
        "rate": Field(_RATE, "Requests a second.", required=True),
        "duration": Field(duration("10s", positive=True), "For how long.", required=True),
    },
    example="{rate: 100/s, duration: 10s}",
)
_LOAD = Fields(
    "the load",
    {
        "model": Field(
            Choice(("closed", "open")), "`closed`: clients that wait for answers (as `ab`); `open`: a rate."
        ),
        "concurrency": Field(Integer(1, 10_000, "10"), "Closed: how many clients (default 10)."),
        "requests": Field(
            Integer(0, 1_000_000_000, "10000"), "Closed: end after so many; 0: with the trial."
        ),
        "rate": Field(_RATE, "Open: requests a second (default 100/s)."),
        "stages": Field(
            ListOf(_STAGE, "[{rate: 50/s, duration: 10s}]", least=1), "Open: rates one after the other."
        ),
        "arrivals": Field(Choice(("constant", "poisson")), "Open: evenly spaced, or at random."),
        "keep_alive": Field(Boolean(), "Whether connections are used again (default false)."),
        "path": Field(_PATH, "What is requested (default /)."),
        "method": Field(
            Choice(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")), "The method (default GET)."
        ),
        "headers": Field(
            MapOf(
                Text('"value"', _header_check, numbers=True),
                "{Accept: text/html}",
                check_name=_header_name_check,
            ),
            "Headers to send.",
        ),
        "body": Field(Text("text"), "A body to send."),
        "timeout": Field(
            duration("5s", positive=True), "A request that takes longer has failed (default 5s)."
        ),
        "expect_status": Field(_STATUS, "The status of a good answer (default 200)."),
        "pause_after_failure": Field(
            duration("100ms"), "Closed: a client's pause after a failure (default 100ms)."
        ),
        "workers": Field(Integer(1, 64, "1"), "Processes that send the load (default 1)."),
        "at": Field(
            duration("0s"),
            "When it begins, as a step's `at`; without it with the probe, before the steady state.",
        ),
    },
    example="{concurrency: 10}",
)
_STEADY = Fields(
    "steady_state",
    {
        "duration": Field(duration("3s", positive=True), "How long all must be well (default 3s)."),
        "availability": Field(_RATIO, "The share of probes that must succeed (default 100%)."),
        "within": Field(duration("30s", positive=True), "Give up after this (default 30s)."),
    },
    example="{duration: 3s}",
)
_RECOVERED = Fields(
    "recovered",
    {
        "stable": Field(duration("3s", positive=True), "How long no probe may fail (default 3s)."),
        "within": Field(
            duration("60s", positive=True), "End the trial after this all the same (default 60s)."
        ),
    },
    example="{stable: 3s}",
)
_OPERATOR = Fields(
    "the operator",
    {
        "reacts_after": Field(duration("5m"), "How long after the failure the person acts (default 5m)."),
        "acts_for": Field(duration("30s"), "How long the act takes before the restart is given (default 0)."),
    },
    example="{reacts_after: 5m}",
)


def action_of(step: Step) -> str:
    """The action's key in a timeline for a step."""
    return next(name for name, action in ACTIONS.items() if action.step is type(step))


_AT = Field(duration("0s"), "When, from the moment of the steady state.", required=True)
_STEP_KEYS = Fields(
    "a step",
    {"at": _AT, **{n: Field(a.shape, a.doc, null_ok=a.bare) for n, a in ACTIONS.items()}},
    example="{at: 0s, kill: {tasks: 1}}",
)


@dataclass(frozen=True, slots=True)
class StepForm(Shape):
    """`at:` and exactly one action."""

    example: str = "{at: 0s, kill: {tasks: 1}}"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A `Step`."""
        before = problems.noted
        values = _STEP_KEYS.read(node, path, problems)
        if not isinstance(node, MapNode):
            return INVALID
        named = [name for name in ACTIONS if name in node.entries]
        unknown = set(node.entries) - set(_STEP_KEYS.fields)
        if len(named) != 1 and not unknown:
            what = (
                "a step has one action, but this one has none"
                if not named
                else f"a step has one action, not {len(named)}"
            )
            problems.add(
                node.place,
                path,
                what,
                cause=f"actions are: {', '.join(ACTIONS)}",
                correct="- at: 0s\n  kill: {tasks: 1}",
            )
        if problems.noted > before:
            return INVALID
        return ACTIONS[named[0]].step(at=values["at"], **values.get(named[0], {}))

    def schema(self, *, variables: bool) -> Schema:
        """An object with `at` and one action."""
        schema = _STEP_KEYS.schema(variables=variables)
        return {**schema, "oneOf": [{"required": [name]} for name in ACTIONS]}


CONTENDER_KEYS: Mapping[str, Field] = {
    "runs_as": Field(
        Choice(("container", "service"), {"swarm": "the platform is not the drill's matter"}),
        "`container`: one container under a container engine; `service`: replicas under an orchestrator.",
    ),
    "description": Field(Localized("{en: A lone container}"), "For the report."),
    "operator": Field(
        _OPERATOR, "The person of an unattended run, who restarts a failed container.", null_ok=True
    ),
    "autoscale": Field(AUTOSCALE, "How a service's replicas follow its load.", null_ok=True),
}
CONTENDER = Fields(
    "a contender",
    {**CONTENDER_KEYS, **SERVICE_FIELDS},
    example='{runs_as: container, restart: "no"}',
    explain=keys.explain_with(keys.REFUSED_SERVICE, keys.MISPLACED),
    accepted=ACCEPTED,
    extensions=True,
    doc="A way to deploy the service: what it runs as, and Compose keys laid over the service's.",
)

_METRIC_PATTERN = "|".join(METRICS)
_EXPECT = Text(
    "orchestrated.longest_outage <= 1s",
    pattern=rf"^\s*[a-z0-9-]+\.({_METRIC_PATTERN})\s*(<=|>=|==|!=|<|>)\s*\S+\s*$",
)


@dataclass(frozen=True, slots=True)
class ExpectForm(Shape):
    """The list of conditions; each text is read by `spec.expect` when the contenders are known."""

    example: str = '["orchestrated.longest_outage <= 1s"]'

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The node, if it is a list."""
        read = ListOf(_EXPECT, self.example).read(node, path, problems)
        return INVALID if read is INVALID else node

    def schema(self, *, variables: bool) -> Schema:
        """An array of conditions."""
        return ListOf(_EXPECT).schema(variables=False)


_OVERLAY: dict[str, Field] = {
    "title": Field(Localized(), "The drill's title."),
    "description": Field(Localized(), "What happens, for people."),
    "service": Field(
        Deferred(SERVICE, references=True), "The service, as in Compose, or `compose.yaml#web`."
    ),
    "contenders": Field(
        Deferred(MapOf(CONTENDER, "{single: {runs_as: container}}", null_ok=True, name_pattern=NAME_PATTERN)),
        "Ways to deploy the service; null takes an inherited one away. Without it: those of the drill `kill`.",
    ),
    "probe": Field(_PROBE, "The stream of requests that measures what users see."),
    "load": Field(_LOAD, "The load beside the probe.", null_ok=True),
    "steady_state": Field(_STEADY, "What must hold before anything is broken."),
    "recovered": Field(_RECOVERED, "When a trial is over."),
    "timeline": Field(
        ListOf(StepForm(), "[{at: 0s, kill: {tasks: 1}}]"), "What is done to the service, and when."
    ),
    "side_by_side": Field(
        Boolean(), "Whether the contenders run at the same time; only where they do not disturb each other."
    ),
    "expect": Field(ExpectForm(), "Conditions that decide pass or fail: CONTENDER.METRIC OP VALUE."),
}
_PACE = Fields("a pace", _OVERLAY, example="{probe: {rate: 100/s}}")


@dataclass(frozen=True, slots=True)
class PaceForm(Shape):
    """`pace:`: drill keys by the pace's name, laid over the file when that pace is chosen."""

    example: str = "{quick: {…}, course: {…}}"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The node, if it is a mapping of mappings. The keys inside are checked when they are laid over."""
        if not isinstance(node, MapNode):
            problems.add(
                node.place,
                path,
                f"this must be a mapping of paces, but it is {describe(node)}",
                cause="the pace is chosen on the command line",
                correct="pace: {quick: {recovered: {stable: 3s}}}",
            )
            return INVALID
        for name, entry in node.entries.items():
            if not isinstance(entry.node, MapNode):
                problems.add(
                    entry.key_place,
                    f"{path}.{name}",
                    f"a pace must be a mapping, but it is {describe(entry.node)}",
                    correct=f"{name}: {{recovered: {{stable: 3s}}}}",
                )
                continue
            for key in ("name", "extends", "pace"):
                if key in entry.node.entries:
                    problems.add(
                        entry.node.entries[key].key_place,
                        f"{path}.{name}.{key}",
                        f"a pace cannot change `{key}`",
                        cause="it belongs to the file as a whole",
                        correct=f"move `{key}` to the top level",
                    )
        return node

    def schema(self, *, variables: bool) -> Schema:
        """An object of overlays."""
        return MapOf(_PACE).schema(variables=variables)


DRILL = Fields(
    "a drill",
    {
        "name": Field(
            Text("my-drill", _name_check, pattern=NAME_PATTERN), "The drill's name (default: the file's)."
        ),
        "extends": Field(Text("kill"), "A built-in drill, or a drill file: this file is laid over it."),
        **_OVERLAY,
        "pace": Field(PaceForm(), "Keys laid over the file when that pace is chosen."),
    },
    extensions=True,
    doc="A drill: one failure, one service deployed in different ways, and what it costs each way's users.",
)
