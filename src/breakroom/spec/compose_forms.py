"""The forms of single values in a Compose service: commands, ports, health tests, signals, ….

Combined into a service by `spec.compose_shapes`. Forms and units are the Compose specification's; the one addition is
the health test `["HTTP", "/path"]`.
"""

# ruff: noqa: ARG002  # every shape has the same two methods, whether it needs all of their arguments or not

from __future__ import annotations

import re
import shlex
import signal
from dataclasses import dataclass
from typing import Any

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
from breakroom.spec.units import Duration

__all__ = [
    "PORT_NUMBER",
    "EnvFiles",
    "HealthTest",
    "PortForm",
    "RestartForm",
    "SignalName",
    "Variables",
    "Words",
    "duration",
]

MILLISECOND = 1_000_000


def duration(example: str, *, positive: bool = False) -> Quantity:
    """The shape of a duration; `positive`: at least a millisecond."""
    low = MILLISECOND if positive else None
    return Quantity(Duration.parse, Duration.schema, example, low, "1ms" if positive else "")


PORT_NUMBER = Integer(1, 65535, "3000")


@dataclass(frozen=True, slots=True)
class Words(Shape):
    """A command: a list of words, or a line that is split as a shell would (Compose does the same; no shell runs)."""

    example: str = '["python3", "server.py", "--port", "{port}"]'

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A tuple of words."""
        if isinstance(node, SeqNode):
            return ListOf(Text('"word"', numbers=True)).read(node, path, problems)
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            problems.add(
                node.place,
                path,
                f"this must be a command, as text or as a list, but it is {describe(node)}",
                correct=example_of(path, self.example),
            )
            return INVALID
        try:
            return tuple(shlex.split(node.value))
        except ValueError as error:
            problems.add(
                node.place,
                path,
                f"the command cannot be split into words: {error}",
                cause="a quote inside the line is not closed",
                correct=example_of(path, self.example),
            )
            return INVALID

    def schema(self, *, variables: bool) -> Schema:
        """A string or an array of scalars."""
        return {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
            ]
        }


def _variable_check(name: str) -> str:
    return f"{name!r} is not a variable's name" if not name or "=" in name else ""


_VALUES = MapOf(Text('"value"', numbers=True), "{NAME: value}", null_ok=True, check_name=_variable_check)


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
            problems.add(
                node.place,
                path,
                f"this must be a mapping or a list of NAME=value, but it is {describe(node)}",
                correct=example_of(path, self.example),
            )
            return INVALID
        values: dict[str, str | None] = dict.fromkeys(node.entries)
        return values | _VALUES.read(node, path, problems)

    @staticmethod
    def _pair(node: Node, path: str, problems: Problems) -> tuple[str, str | None]:
        text = node.text if isinstance(node, ScalarNode) and node.value is not None else ""
        name, equals, value = text.partition("=")
        if not name:
            problems.add(
                node.place,
                path,
                f"this must be NAME=value, but it is {describe(node)}",
                cause="`NAME: value` is written without the `- `" if isinstance(node, MapNode) else "",
                correct="- NAME=value",
            )
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
    r"(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9.]+|localhost):(?=[0-9]*:))?"
    r"(?:(?P<published>[0-9]{0,9}):)?(?P<target>[0-9]{1,9})(?:/(?P<protocol>\w+))?"
)
_LONG_PORT = Fields(
    "a port",
    {
        "target": Field(PORT_NUMBER, "The port inside a task.", required=True),
        "published": Field(Integer(0, 65535, "8080"), "The port outside; left out or 0: any free one."),
        "host_ip": Field(Text('"127.0.0.1"'), "The address to publish on."),
        "protocol": Field(Choice(("tcp",), {"udp": "only TCP is measured"}), "Only `tcp`."),
        "mode": Field(Choice(("ingress", "host"), {}), "Accepted: connections are balanced in either mode."),
        "name": Field(Text("web"), "A name for people."),
        "app_protocol": Field(Text("http"), "A note for other tools."),
    },
    example="{target: 3000, published: 8080}",
    extensions=True,
)


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
            problems.add(
                node.place,
                path,
                f"{describe(node)} is not a port",
                cause=cause,
                correct='ports: ["8080:3000"]   (published:target), or "3000" for any free published port',
            )
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
            problems.add(
                node.place,
                path,
                f"this must be a line of text or a list, but it is {describe(node)}",
                correct=example_of(path, self.example),
            )
            return INVALID
        before = problems.noted
        words = ListOf(Text('"word"', numbers=True)).read(node, path, problems)
        if problems.noted > before:
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
            return (
                f"a test's list must begin with {', '.join(_TEST_KINDS)}, not {kind!r}",
                "the kind of test is missing before the command",
                f'test: ["CMD", {joined}]',
            )
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


_ENDING_WORDS = (
    "ABRT ALRM BUS FPE HUP ILL INT KILL PIPE PROF QUIT SEGV SYS TERM TRAP USR1 USR2 VTALRM XCPU XFSZ"
)
_ENDING = frozenset(f"SIG{name}" for name in _ENDING_WORDS.split())
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
        problems.add(
            node.place,
            path,
            f"{describe(node)} is not a restart policy",
            cause=cause,
            correct=f"restart: {correct}   (no, always, unless-stopped, on-failure or on-failure:N)",
        )
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
