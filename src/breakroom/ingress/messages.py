"""The control messages between the ingress and whoever started it: one JSON object a line, both ways.

Used by `server` in the ingress's process and by the engine's shell at the other end. A line that cannot be read is
answered with `Error(code="bad-message")` and changes nothing. Times are nanoseconds of `time.monotonic_ns`.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

import msgspec

from breakroom.ingress.link import LinkSpec

__all__ = [
    "MAX_LINE",
    "Command",
    "Enter",
    "Error",
    "Event",
    "Impair",
    "Leave",
    "Ping",
    "Pong",
    "Publish",
    "Published",
    "Rotation",
    "Stats",
    "StatsReport",
    "TaskTraffic",
    "decode_command",
    "decode_event",
    "encode",
]

MAX_LINE = 1 << 20
"""A longer line is a bad message; its bytes are thrown away up to the next newline."""


class _Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True):
    pass


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    pass


class Publish(_Command, frozen=True, kw_only=True, tag="publish"):
    """Reserve a port on these addresses. Answer: `Published`, or `Error` (`port-taken`, `bind-failed`)."""

    hosts: tuple[str, ...] = ("127.0.0.1", "::1")
    port: int = 0
    """0 lets the system choose one that is free on all addresses."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535 or not self.hosts:
            raise ValueError("publish needs at least one host and a port from 0 to 65535")
        for host in self.hosts:
            ip_address(host)


class Enter(_Command, frozen=True, kw_only=True, tag="enter"):
    """Send the task, which listens at host and port, its share of new connections. Answer: `Rotation`.

    With the id of its process, the task is also cut by itself when that ends, which gives the `Rotation` of a cut.
    """

    task: str
    host: str
    port: int
    pid: int = 0

    def __post_init__(self) -> None:
        ip_address(self.host)
        if not self.task or self.task == "*" or not 0 < self.port <= 65535:
            raise ValueError("enter needs a task id (other than '*') and a port from 1 to 65535")


class Leave(_Command, frozen=True, kw_only=True, tag="leave"):
    """Send the task no new connections. `drain`: existing ones live on; `cut`: the task is dead. Answer: `Rotation`.

    `cut` may follow `drain`; a second message of the same kind is answered too, and changes nothing.
    """

    task: str
    how: Literal["drain", "cut"]


class Impair(_Command, frozen=True, kw_only=True, tag="impair"):
    """Make the task's link (`*`: every task's, also of tasks still to come) behave so; null restores it.

    A task's own setting goes before that of `*`. No answer: `Stats` tells what is in force.
    """

    task: str
    link: LinkSpec | None


class Stats(_Command, frozen=True, kw_only=True, tag="stats"):
    """Ask for `StatsReport`."""


class Ping(_Command, frozen=True, kw_only=True, tag="ping"):
    """Ask whether the ingress still turns. Answer: `Pong` with the same number."""

    number: int


Command = Publish | Enter | Leave | Impair | Stats | Ping


class Pong(_Event, frozen=True, kw_only=True, tag="pong"):
    """The ingress turns: it came to the question at `t`."""

    number: int
    t: int


class Published(_Event, frozen=True, kw_only=True, tag="published"):
    """The port is reserved. `hosts` are those that this machine has; the port refuses until a task enters."""

    port: int
    hosts: tuple[str, ...]


class Rotation(_Event, frozen=True, kw_only=True, tag="rotation"):
    """A task entered or left. Taken at the moment of the change; the counts are those since the task entered."""

    t: int
    task: str
    in_rotation: bool
    reason: Literal["", "drain", "cut"] = ""
    open_connections: int = 0
    """Client connections assigned to the task and not finished; for a cut, with those that its death had just ended."""
    refused_connections: int = 0
    """Connections that its port refused; their clients were reset."""
    total_connections: int = 0


class TaskTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """What went over one task. `bytes_in` came from clients, `bytes_out` from the task."""

    open: int
    total: int
    refused: int
    bytes_in: int
    bytes_out: int
    link: LinkSpec | None = None
    """How its connections are impaired; None: not at all."""


class StatsReport(_Event, frozen=True, kw_only=True, tag="stats"):
    """Traffic by task, and the process's own cost since its start."""

    tasks: dict[str, TaskTraffic]
    link: LinkSpec | None = None
    """How those of all tasks are that have no setting of their own (`*`), tasks still to come too."""
    cpu_user_ns: int
    cpu_system_ns: int
    max_rss_bytes: int
    wall_ns: int


class Error(_Event, frozen=True, kw_only=True, tag="error"):
    """Something could not be done. The process goes on.

    Codes: `bad-message`, `already-published`, `port-taken`, `bind-failed`, `already-in-rotation`, `unknown-task`,
    `fd-exhausted` (new connections wait), `connect-failed` (the ingress itself could not reach out: no free local port
    or descriptor; its client was reset).
    """

    code: str
    message: str


Event = Published | Pong | Rotation | StatsReport | Error

_encoder = msgspec.json.Encoder()
_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(message: Command | Event) -> bytes:
    """One line, with its newline."""
    return _encoder.encode(message) + b"\n"


def decode_command(line: bytes) -> Command:
    """Read a line on the ingress's side.

    Raises:
        msgspec.DecodeError: not JSON, or no command; the text says what and where.
    """
    return _commands.decode(line)


def decode_event(line: bytes) -> Event:
    """Read a line on the caller's side.

    Raises:
        msgspec.DecodeError: not JSON, or no event.
    """
    return _events.decode(line)
