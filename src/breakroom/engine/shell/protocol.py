"""What the main process and the engine say to each other: one JSON object a line, over a socket pair.

Used by `engine.shell.engine` on one side and `platforms.local_client` on the other. A request carries an
`id`, which its `Reply` repeats; everything else that the engine says is pushed in the turn of its loop in which it
happens. `t` is always the moment of the event itself (`time.monotonic_ns`), not of the sending. Services travel as
`spec.service` values, which msgspec reads without help.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from breakroom.spec.service import ServiceSpec

__all__ = [
    "Cost",
    "CostOf",
    "Create",
    "EngineProblem",
    "FillMemory",
    "FreeMemory",
    "Health",
    "Hello",
    "Impair",
    "KillThroughApi",
    "Log",
    "Pause",
    "Ping",
    "Pong",
    "ProcessState",
    "Pushed",
    "Remove",
    "Replace",
    "Reply",
    "Request",
    "Restart",
    "Rollback",
    "Rotation",
    "Scale",
    "SignalInside",
    "SignalTask",
    "Stalled",
    "Start",
    "Stats",
    "Stop",
    "TaskInfo",
    "Tasks",
    "ThrottleCpu",
    "Unpause",
    "UnthrottleCpu",
    "Update",
    "UpdateState",
    "View",
    "Witness",
    "decode_pushed",
    "decode_request",
    "encode",
]


class _Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="op"):
    id: int


class Hello(_Request, frozen=True, kw_only=True, tag="hello"):
    """First request. `marker` is put into every child's environment, so that leftovers can be told by it."""

    marker: str
    logs: str
    """Directory for the tasks' logs; created by the caller."""
    hostname: str = "local"
    memory: Literal["", "rss-watch"] = ""
    """`rss-watch`: make no control groups, watch resident memory even where the kernel would do it."""


class Create(_Request, frozen=True, kw_only=True, tag="create"):
    """Deploy the one service or container of this engine and publish its port. Result: `port`, `hosts`."""

    runs_as: Literal["container", "service"]
    spec: ServiceSpec
    hosts: tuple[str, ...]
    port: int = 0


class Tasks(_Request, frozen=True, kw_only=True, tag="tasks"):
    """Result: a list of `TaskInfo`."""


class SignalTask(_Request, frozen=True, kw_only=True, tag="signal-task"):
    """Signal a task's main process past the orchestrator, as a crash would come."""

    task: str
    signal: str


class Start(_Request, frozen=True, kw_only=True, tag="start"):
    """`docker start`. Containers only."""


class Stop(_Request, frozen=True, kw_only=True, tag="stop"):
    """`docker stop`. Containers only."""


class Restart(_Request, frozen=True, kw_only=True, tag="restart"):
    """`docker restart`. Containers only. Answered when it was started again."""


class Replace(_Request, frozen=True, kw_only=True, tag="replace"):
    """`docker stop`, `docker rm`, `docker run` of another spec. Containers only. Answered when that was started."""

    spec: ServiceSpec


class KillThroughApi(_Request, frozen=True, kw_only=True, tag="kill-through-api"):
    """`docker kill`: no container's restart policy revives it; a service's task (`task`) is replaced."""

    signal: str = "SIGKILL"
    task: str = ""


class SignalInside(_Request, frozen=True, kw_only=True, tag="signal-inside"):
    """`pkill -f` inside a task. Result: the pids of those that were signalled."""

    task: str
    match: str
    signal: str


class ProcessState(_Request, frozen=True, kw_only=True, tag="process-state"):
    """Result: the state letter of the task's main process; empty: gone."""

    task: str


class Pause(_Request, frozen=True, kw_only=True, tag="pause"):
    """`docker pause`. Result: `Witness`."""

    task: str


class Unpause(_Request, frozen=True, kw_only=True, tag="unpause"):
    """`docker unpause`."""

    task: str


class FillMemory(_Request, frozen=True, kw_only=True, tag="fill-memory"):
    """Have `size` bytes more used inside the task's limit. Result: `Witness`."""

    task: str
    size: int


class FreeMemory(_Request, frozen=True, kw_only=True, tag="free-memory"):
    """Take that away."""

    task: str


class ThrottleCpu(_Request, frozen=True, kw_only=True, tag="throttle-cpu"):
    """Let a task's processes have only `share` of one core. Result: `Witness`."""

    task: str
    share: float


class UnthrottleCpu(_Request, frozen=True, kw_only=True, tag="unthrottle-cpu"):
    """Let them have what they had before."""

    task: str


class Scale(_Request, frozen=True, kw_only=True, tag="scale"):
    """`service scale`. Services only."""

    replicas: int


class Update(_Request, frozen=True, kw_only=True, tag="update"):
    """`service update`. Services only."""

    spec: ServiceSpec


class Rollback(_Request, frozen=True, kw_only=True, tag="rollback"):
    """`service rollback`. Services only."""


class Impair(_Request, frozen=True, kw_only=True, tag="impair"):
    """Spoil the link to a task (`*`: to all), in the words of `ingress.link.LinkSpec`; null heals it.

    Result: `Witness`.
    """

    task: str
    link: dict[str, Any] | None


class View(_Request, frozen=True, kw_only=True, tag="view"):
    """A table as a person reads it with docker/cli. Result: text."""

    name: Literal["service-ls", "service-ps", "node-ls", "docker-ps"]


class Ping(_Request, frozen=True, kw_only=True, tag="ping"):
    """Whether the engine still turns. Answered by `Pong`, at once and without a task."""


class Cost(_Request, frozen=True, kw_only=True, tag="cost"):
    """What the engine and the ingress have used so far. Result: a list of `CostOf`."""


class Remove(_Request, frozen=True, kw_only=True, tag="remove"):
    """Stop and remove everything, then look. Result: what is still there, as texts."""

    grace: float
    """Seconds from SIGTERM to SIGKILL."""


Request = (
    Hello
    | Create
    | Tasks
    | SignalTask
    | Start
    | Stop
    | Restart
    | Replace
    | KillThroughApi
    | SignalInside
    | ProcessState
    | Pause
    | Unpause
    | FillMemory
    | FreeMemory
    | ThrottleCpu
    | UnthrottleCpu
    | Scale
    | Update
    | Rollback
    | Impair
    | View
    | Ping
    | Cost
    | Remove
)


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="task", omit_defaults=True):
    """One task as it is at `t`: pushed at every change, and listed by `Tasks`."""

    t: int
    task: str
    service: str
    slot: int
    node: str
    state: str
    desired: str
    image: str = ""
    version: int = 0
    message: str = ""
    error: str = ""
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool = False
    pid: int | None = None
    port: int | None = None
    in_rotation: bool = False
    healthy: bool | None = None


class _Pushed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    pass


class Reply(_Pushed, frozen=True, kw_only=True, tag="reply"):
    """Answer to the request `id`. `code` is empty on success."""

    id: int
    code: str = ""
    message: str = ""
    hint: str = ""
    result: Any = None


class Rotation(_Pushed, frozen=True, kw_only=True, tag="rotation"):
    """The ingress put a task into rotation or took it out; `t` is the ingress's own."""

    t: int
    task: str
    in_rotation: bool
    reason: str = ""
    open_connections: int = 0
    refused_connections: int = 0
    total_connections: int = 0


class Health(_Pushed, frozen=True, kw_only=True, tag="health"):
    """A health probe finished."""

    t: int
    task: str
    status: Literal["starting", "healthy", "unhealthy"]
    ok: bool
    failing_streak: int = 0
    duration_ns: int = 0
    output: str = ""


class UpdateState(_Pushed, frozen=True, kw_only=True, tag="update"):
    """An update or rollback is in a new state."""

    t: int
    service: str
    state: str
    message: str = ""


class Stats(_Pushed, frozen=True, kw_only=True, tag="stats"):
    """Memory and CPU of every running task at `t`: rows of task, memory bytes, limit bytes or null, CPU ns."""

    t: int
    rows: tuple[tuple[str, int, int | None, int], ...]


class Pong(_Pushed, frozen=True, kw_only=True, tag="pong"):
    """The engine came to the `Ping` of that id at `t`."""

    id: int
    t: int


class Stalled(_Pushed, frozen=True, kw_only=True, tag="stalled"):
    """A part of breakroom stood still; the fields are those of the journal's `PartStalled`."""

    t: int
    part: str
    since: int
    still_ns: int
    longest_ns: int


class Log(_Pushed, frozen=True, kw_only=True, tag="log"):
    """A task is over; its log is in `file` (a name within the logs directory) and ended with `tail`."""

    t: int
    task: str
    file: str
    tail: str


class EngineProblem(_Pushed, frozen=True, kw_only=True, tag="problem"):
    """Something that a reader of the results must know."""

    t: int
    severity: Literal["note", "warning", "error"]
    code: str
    params: dict[str, Any] = {}


Pushed = Reply | Pong | TaskInfo | Rotation | Health | UpdateState | Stats | Stalled | Log | EngineProblem


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen after an act: the fields of `platforms.base.Evidence`."""

    holds: bool
    t: int
    means: str
    detail: dict[str, Any] = {}


class CostOf(msgspec.Struct, frozen=True, kw_only=True):
    """What one process used from its start to `t`."""

    t: int
    process: str
    cpu_user_ns: int
    cpu_system_ns: int
    max_rss_bytes: int
    wall_ns: int


_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_pushed: msgspec.json.Decoder[Pushed] = msgspec.json.Decoder(Pushed)


def encode(message: object) -> bytes:
    """One line, with its newline."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Read a request.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _requests.decode(line)


def decode_pushed(line: bytes) -> Pushed:
    """Read what the engine said.

    Raises:
        msgspec.MsgspecError: it is nothing that an engine says.
    """
    return _pushed.decode(line)
