"""The forms of a Compose service, key by key: what is read, and what the JSON Schema publishes.

Used by `spec.compose` (to check and to build a `ServiceSpec`) and by `spec.schema`. Keys, forms and units are the Compose
specification's; the one addition is the health test `["HTTP", "/path"]`.
"""

from __future__ import annotations

import re
import shlex
import signal
from dataclasses import dataclass
from typing import Any

from breakroom.spec import compose_keys as keys
from breakroom.spec.errors import Problems, nearest
from breakroom.spec.nodes import MapNode, Node, ScalarNode, SeqNode, describe
from breakroom.spec.service import Port
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
    example_of,
)
from breakroom.spec.units import Cpus, Duration, Ratio, Size

__all__ = ["MILLISECOND", "SERVICE", "SERVICE_FIELDS", "SignalName", "duration"]

MILLISECOND = 1_000_000


def duration(example: str, *, positive: bool = False) -> Quantity:
    """The shape of a duration; `positive`: at least a millisecond."""
    low = MILLISECOND if positive else None
    return Quantity(Duration.parse, Duration.schema, example, low, "1ms" if positive else "")


_SIZE = Quantity(Size.parse, Size.schema, "512m", 1 << 20, "1m")
_CPUS = Quantity(Cpus.parse, Cpus.schema, "0.5")
_PORT_NUMBER = Integer(1, 65535, "3000")


@dataclass(frozen=True, slots=True)
class Words(Shape):
    """A command: a list of words, or a line that is split as a shell would (Compose does the same; no shell runs)."""

    example: str = '["python3", "server.py", "--port", "{port}"]'

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A tuple of words."""
        if isinstance(node, SeqNode):
            return ListOf(Text('"word"', numbers=True)).read(node, path, problems)
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            problems.add(node.place, path, f"this must be a command, as text or as a list, but it is {describe(node)}",
                         correct=example_of(path, self.example))  # fmt: skip
            return INVALID
        try:
            return tuple(shlex.split(node.value))
        except ValueError as error:
            problems.add(node.place, path, f"the command cannot be split into words: {error}",
                         cause="a quote inside the line is not closed", correct=example_of(path, self.example))  # fmt: skip
            return INVALID

    def schema(self, *, variables: bool) -> Schema:
        """A string or an array of scalars."""
        return {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
            ]
        }


@dataclass(frozen=True, slots=True)
class Variables(Shape):
    """`environment` or `labels`: a mapping, or a list of `NAME=value`. A name without a value becomes None."""

    example: str = "{NAME: value}"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A dict of text or None."""
        if isinstance(node, SeqNode):
            pairs = [self._pair(item, f"{path}[{i}]", problems) for i, item in enumerate(node.items)]
            return {name: value for name, value in pairs if name}
        if not isinstance(node, MapNode):
            problems.add(node.place, path, f"this must be a mapping or a list of NAME=value, but it is {describe(node)}",
                         correct=example_of(path, self.example))  # fmt: skip
            return INVALID
        values: dict[str, str | None] = dict.fromkeys(node.entries)
        return values | MapOf(Text('"value"', numbers=True), self.example, null_ok=True).read(
            node, path, problems
        )

    @staticmethod
    def _pair(node: Node, path: str, problems: Problems) -> tuple[str, str | None]:
        text = node.text if isinstance(node, ScalarNode) and node.value is not None else ""
        name, equals, value = text.partition("=")
        if not name:
            problems.add(node.place, path, f"this must be NAME=value, but it is {describe(node)}",
                         cause="`NAME: value` is written without the `- `" if isinstance(node, MapNode) else "",
                         correct="- NAME=value")  # fmt: skip
        return name, value if equals else None

    def schema(self, *, variables: bool) -> Schema:
        """An object of scalars, or an array of strings."""
        scalar: Schema = {"type": ["string", "number", "boolean", "null"]}
        return {
            "anyOf": [
                {"type": "object", "additionalProperties": scalar},
                {"type": "array", "items": {"type": "string", "pattern": "^[^=]"}},
            ]
        }


_SHORT_PORT = re.compile(
    r"(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9.]+|localhost):(?=[\d]*:))?(?:(?P<published>\d*):)?(?P<target>\d+)(?:/(?P<protocol>\w+))?"
)
_LONG_PORT = Fields(
    "a port",
    {
        "target": Field(_PORT_NUMBER, "The port inside a task.", required=True),
        "published": Field(Integer(0, 65535, "8080"), "The port outside; left out or 0: any free one."),
        "host_ip": Field(Text('"127.0.0.1"'), "The address to publish on."),
        "protocol": Field(Choice(("tcp",), {"udp": "only TCP is measured"}), "Only `tcp`."),
        "mode": Field(Choice(("ingress", "host"), {}), "Accepted: connections are balanced in either mode."),
        "name": Field(Text("web"), "A name for people."),
        "app_protocol": Field(Text("http"), "A note for other tools."),
    },
    example='{target: 3000, published: 8080}',
    extensions=True,
)  # fmt: skip  # one entry a line


@dataclass(frozen=True, slots=True)
class PortForm(Shape):
    """A published port, in Compose's short or long form."""

    example: str = '"8080:3000"'

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A `Port`."""
        if isinstance(node, MapNode):
            values = _LONG_PORT.read(node, path, problems)
            if "target" not in values:
                return INVALID
            ip = values.get("host_ip", "")
            return Port(target=values["target"], published=values.get("published", 0), host_ip=ip)
        return self._short(node, path, problems)

    def _short(self, node: Node, path: str, problems: Problems) -> Any:
        text = node.text if isinstance(node, ScalarNode) and not isinstance(node.value, bool | float) else ""
        match = _SHORT_PORT.fullmatch(text)
        if match is None or match["protocol"] not in {None, "tcp"}:
            cause = ""
            if match is not None:
                cause = "only TCP is measured"
            elif re.search(r"\d-\d", text):
                cause = "ranges of ports are not supported: replicas share one published port"
            problems.add(node.place, path, f"{describe(node)} is not a port", cause=cause,
                         correct='ports: ["8080:3000"]   (published:target), or "3000" for any free published port')  # fmt: skip
            return INVALID
        target, published = int(match["target"]), int(match["published"] or 0)
        if not 1 <= target <= 65535 or published > 65535:
            problems.add(node.place, path, f"{text} is outside of 1 to 65535", correct='ports: ["8080:3000"]')
            return INVALID
        return Port(target=target, published=published, host_ip=(match["ip"] or "").strip("[]"))

    def schema(self, *, variables: bool) -> Schema:
        """A number, a string, or the long form."""
        short = r"^((\[[0-9a-fA-F:.]+\]|[0-9.]+|localhost):(?=[0-9]*:))?([0-9]*:)?[0-9]+(/tcp)?$"
        if variables:
            short = rf"{short}|\$"
        return {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"type": "string", "pattern": short},
                _LONG_PORT.schema(variables=variables),
            ]
        }


_TEST_KINDS = ("NONE", "CMD", "CMD-SHELL", "HTTP")


@dataclass(frozen=True, slots=True)
class HealthTest(Shape):
    """`healthcheck.test`: a line for the shell, or a list that begins with its kind."""

    example: str = '["CMD-SHELL", "curl -f http://localhost:3000/health || exit 1"]'

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A tuple that begins with the kind."""
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value.strip():
            return ("CMD-SHELL", node.value)
        if not isinstance(node, SeqNode):
            problems.add(node.place, path, f"this must be a line of text or a list, but it is {describe(node)}",
                         correct=example_of(path, self.example))  # fmt: skip
            return INVALID
        before = len(problems)
        words = ListOf(Text('"word"', numbers=True)).read(node, path, problems)
        if len(problems) > before:
            return INVALID
        wrong = self._wrong(words)
        if wrong:
            what, cause, correct = wrong
            problems.add(node.place, path, what, cause=cause, correct=correct)
            return INVALID
        return words

    def _wrong(self, words: tuple[str, ...]) -> tuple[str, str, str] | None:
        kind = words[0] if words else ""
        if kind not in _TEST_KINDS:
            joined = (
                ", ".join(f'"{word}"' for word in words) or '"curl", "-f", "http://localhost:3000/health"'
            )
            return (f"a test's list must begin with {', '.join(_TEST_KINDS)}, not {kind!r}",
                    "the kind of test is missing before the command", f'test: ["CMD", {joined}]')  # fmt: skip
        if kind in {"CMD-SHELL", "HTTP"} and len(words) != 2:
            example = self.example if kind == "CMD-SHELL" else '["HTTP", "/health"]'
            return (
                f"{kind} takes exactly one text",
                "a shell's line is not split into words",
                f"test: {example}",
            )
        if kind == "CMD" and len(words) < 2:
            return (
                "CMD needs a program",
                "the command was forgotten",
                'test: ["CMD", "curl", "-f", "http://…"]',
            )
        if kind == "HTTP" and not re.match(r"/|https?://", words[1]):
            return (
                f"{words[1]!r} is neither a path nor a URL",
                "the leading `/` is missing",
                'test: ["HTTP", "/health"]',
            )
        return None

    def schema(self, *, variables: bool) -> Schema:
        """A string, or an array whose first item is the kind."""
        first: Schema = {"enum": list(_TEST_KINDS)}
        items: Schema = {"type": ["string", "number", "boolean"]}
        return {
            "anyOf": [
                {"type": "string", "pattern": r"\S"},
                {"type": "array", "prefixItems": [first], "items": items, "minItems": 1},
            ]
        }


_ENDING = frozenset(
    "SIGABRT SIGALRM SIGBUS SIGFPE SIGHUP SIGILL SIGINT SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSEGV SIGSYS SIGTERM SIGTRAP "
    "SIGUSR1 SIGUSR2 SIGVTALRM SIGXCPU SIGXFSZ".split()
)
"""Signals whose default action ends a process (signal(7)), on Linux and macOS alike."""
_KNOWN_SIGNALS = _ENDING | {"SIGWINCH", "SIGCONT"} | {s.name for s in signal.Signals if "RT" not in s.name}


@dataclass(frozen=True, slots=True)
class SignalName(Shape):
    """A signal by name, with or without `SIG`. `ending`: one that ends a process, so that a crash can be proved."""

    example: str = "SIGTERM"
    ending: bool = False

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The full name."""
        text = node.text.upper() if isinstance(node, ScalarNode) else ""
        name = text if text.startswith("SIG") else f"SIG{text}"
        if isinstance(node, ScalarNode) and isinstance(node.value, int) and node.value in set(signal.Signals):
            name = ""
            near: str | None = signal.Signals(node.value).name
            cause = "a signal is written by its name"
        else:
            near = nearest(name, sorted(_KNOWN_SIGNALS)) if text else None
            cause = f"`{near}` was meant" if near and near != name else ""
        known = _ENDING if self.ending else _KNOWN_SIGNALS
        if name in known:
            return name
        what = f"{describe(node)} is not a signal"
        if self.ending and name in _KNOWN_SIGNALS:
            what, near = f"{name} does not end a process", self.example
            cause = "this action is a crash; it is proved by the process's end"
        problems.add(node.place, path, what, cause=cause, correct=example_of(path, near or self.example))
        return INVALID

    def schema(self, *, variables: bool) -> Schema:
        """An enum of the names, with and without `SIG`."""
        names = sorted(_ENDING if self.ending else _KNOWN_SIGNALS)
        schema: Schema = {"enum": [*names, *(name[3:] for name in names)]}
        return {"anyOf": [schema, {"type": "string", "pattern": r"\$"}]} if variables else schema


@dataclass(frozen=True, slots=True)
class RestartForm(Shape):
    """`restart`: the container engine's restart policy."""

    example: str = '"no"'

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The policy as text."""
        text = node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else ""
        if text in {"no", "always", "unless-stopped", "on-failure"} or re.fullmatch(
            r"on-failure:\d{1,6}", text
        ):
            return text
        correct, cause = "always", ""
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            correct, cause = (
                ("always", "") if node.value else ('"no"', "the policy is a word, not a yes/no value")
            )
        elif text.startswith("on-failure"):
            correct, cause = "on-failure:3", "after the colon stands how often to try"
        elif text in {"any", "none"}:
            correct, cause = (
                ("always" if text == "any" else '"no"'),
                "this is a word of deploy.restart_policy.condition",
            )
        elif near := nearest(text, ("always", "unless-stopped", "on-failure", "no")):
            correct, cause = near, f"`{near}` was meant"
        problems.add(node.place, path, f"{describe(node)} is not a restart policy", cause=cause,
                     correct=f"restart: {correct}   (no, always, unless-stopped, on-failure or on-failure:N)")  # fmt: skip
        return INVALID

    def schema(self, *, variables: bool) -> Schema:
        """A string pattern."""
        pattern = r"^(no|always|unless-stopped|on-failure(:\d+)?)$"
        return {"type": "string", "pattern": rf"{pattern}|\$" if variables else pattern}


_ENV_FILE_ENTRY = Fields(
    "an env_file",
    {
        "path": Field(Text("./web.env"), "The file, relative to this one.", required=True),
        "required": Field(Boolean(), "Whether a missing file is a mistake (default true)."),
        "format": Field(Choice(("raw",)), "`raw`: values are taken as they are, quotes included."),
    },
)


@dataclass(frozen=True, slots=True)
class EnvFiles(Shape):
    """`env_file`: a path, or a list of paths or `{path, required, format}`."""

    example: str = "./web.env"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A tuple of (path, required, raw, place)."""
        if isinstance(node, SeqNode):
            found = [self._one(item, f"{path}[{i}]", problems) for i, item in enumerate(node.items)]
        else:
            found = [self._one(node, path, problems)]
        return tuple(item for item in found if item is not INVALID)

    @staticmethod
    def _one(node: Node, path: str, problems: Problems) -> Any:
        if isinstance(node, MapNode):
            values = _ENV_FILE_ENTRY.read(node, path, problems)
            if "path" not in values:
                return INVALID
            return values["path"], values.get("required", True), values.get("format") == "raw", node.place
        text = Text("./web.env").read(node, path, problems)
        return text if text is INVALID else (text, True, False, node.place)

    def schema(self, *, variables: bool) -> Schema:
        """A string, or an array of strings and objects."""
        one: Schema = {"anyOf": [{"type": "string"}, _ENV_FILE_ENTRY.schema(variables=variables)]}
        return {"anyOf": [one, {"type": "array", "items": one}]}


@dataclass(frozen=True, slots=True)
class Ignored(Shape):
    """A key whose value is not looked into."""

    example: str = "."

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """Whether it is there."""
        return True

    def schema(self, *, variables: bool) -> Schema:
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
    "image": Field(Text("improved-app:latest", lambda t: "" if t.strip() else "the image's name is empty"),
                   "The image; on the local platform, breakroom's own apps are found by their image names."),
    "build": Field(Ignored(), "Not built: accepted beside `image` or `command`, which say what to run."),
    "command": Field(Words(), "The command; `{port}` in it becomes the port to listen on (also in $PORT).", null_ok=True),
    "entrypoint": Field(Words(), "Words put before the command.", null_ok=True),
    "environment": Field(Variables(), "Environment variables, as a mapping or a list of NAME=value."),
    "env_file": Field(EnvFiles(), "Files with environment variables, relative to this file."),
    "working_dir": Field(Text("./app"), "Where the command runs; relative to this file."),
    "ports": Field(ListOf(PortForm(), '["8080:3000"]'), "Published ports; users are served on the first."),
    "expose": Field(ListOf(Text('"3000"', numbers=True, check=lambda t: "" if re.fullmatch(r"\d{1,5}(/tcp)?", t)
                                and 0 < int(t.split("/", 1)[0]) <= 65535 else f"{t!r} is not a port"), '["3000"]'),
                    "Ports inside a task; the first counts where `ports` is absent."),
    "healthcheck": Field(_HEALTHCHECK, "How a task's health is probed.", null_ok=True),
    "restart": Field(RestartForm(), "The container engine's restart policy (contenders that run as a container)."),
    "stop_grace_period": Field(duration("10s"), "How long a task may take to stop (default 10s)."),
    "stop_signal": Field(SignalName(), "The signal that asks a task to stop (default SIGTERM)."),
    "mem_limit": Field(_SIZE, "The same as deploy.resources.limits.memory."),
    "cpus": Field(_CPUS, "The same as deploy.resources.limits.cpus."),
    "labels": Field(Variables(), "Labels."),
    "deploy": Field(_DEPLOY, "What an orchestrator needs to know.", null_ok=True),
    "container_name": Field(Text("web"), "Used as the service's name in views."),
}  # fmt: skip  # one entry a key

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
