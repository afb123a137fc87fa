"""What a load worker and the main process say to each other: one JSON message a line, over a socket pair.

The way of a stream: worker ← `Plan`, worker → `Ready`, worker ← `Go`, worker → `Progress` (several times a second),
worker ← `Stop` (or the plan ends by itself), worker → `Done`. End of file on the worker's side means: the main
process is gone; write what is buffered and end. Times are monotonic nanoseconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from breakroom.spec.drill import LoadSpec, ProbeSpec

__all__ = [
    "Cost",
    "Done",
    "FromWorker",
    "Go",
    "Plan",
    "Progress",
    "Ready",
    "Still",
    "Stop",
    "ToWorker",
    "encode",
]


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """Base: the class name is the message's `type`."""


class Plan(_Message, frozen=True, kw_only=True, tag=True):
    """All that one worker needs. Exactly one of `probe` and `load` is set."""

    samples: str
    """Path of the sample file to append to."""
    family: int
    """Address family of `host`, a numeric address: names are resolved once, by the main process."""
    host: str
    port: int
    request: bytes
    """The whole request as it goes over the wire."""
    head: bool = False
    """Whether the method is HEAD, whose answers have no body."""
    probe: ProbeSpec | None = None
    load: LoadSpec | None = None
    seed: int = 0
    share: int = 0
    """Which worker this is, from 0 …"""
    shares: int = 1
    """… of how many. An open plan's arrival number k belongs to worker k modulo `shares`."""
    concurrency: int = 0
    """Closed model: this worker's clients."""
    requests: int = 0
    """Closed model: this worker's requests; 0: until stopped."""


class Go(_Message, frozen=True, kw_only=True, tag=True):
    """Start. The plan's offsets count from `t0`, the same for all workers of a stream."""

    t0: int


class Stop(_Message, frozen=True, kw_only=True, tag=True):
    """Begin no request whose intended time is `until` or later; wait for those outstanding, then end."""

    until: int


ToWorker = Plan | Go | Stop


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker process itself used, from its start to now."""

    cpu_user_ns: int
    cpu_system_ns: int
    max_rss_bytes: int
    wall_ns: int


class Ready(_Message, frozen=True, kw_only=True, tag=True):
    """The plan was understood, the sample file is open."""

    pid: int


class Progress(_Message, frozen=True, kw_only=True, tag=True):
    """Counts so far."""

    intended: int
    sent: int
    completed: int
    outcomes: tuple[int, ...]
    """Completed requests by `Outcome`."""
    received_bytes: int
    cost: Cost


class Still(msgspec.Struct, frozen=True, kw_only=True):
    """For how long the worker stood still though it had something to do: stopped, or waiting for a processor."""

    wall_ns: int = 0
    """The wall time of its sending, which the rest is part of."""
    longest_ns: int = 0
    """By how much one turn of its loop came too late, at most."""
    total_ns: int = 0
    """What all turns that came later than is normal were late, added up."""
    waited_ns: int = 0
    """The kernel's own count: ready to run, but without a processor (Linux; elsewhere 0)."""


class Done(_Message, frozen=True, kw_only=True, tag=True):
    """The worker's end: everything is on disk."""

    progress: Progress
    lags: dict[str, int]
    """Open model: the lag histogram, bucket → count (see `load.histogram`)."""
    lag_max_ns: int
    busy_ratio: float
    """The worker's CPU time divided by the wall time of its sending."""
    still: Still = Still()
    server: str = ""
    """The last `Server` header that came."""
    document_bytes: int = -1
    """Length of the last expected response's body; -1: there was none."""
    error: str = ""
    """Why it ended early; empty: it did not."""
    unwritable: bool = False
    """It ended early because its samples could not be written: the disk is full, say."""


FromWorker = Ready | Progress | Done

_encoder = msgspec.json.Encoder()


def encode(message: ToWorker | FromWorker) -> bytes:
    """One line of JSON, with its newline."""
    return _encoder.encode(message) + b"\n"


# For type checkers and readers: the closed set of stream names that the main process uses.
StreamName = Literal["probe", "load"]
