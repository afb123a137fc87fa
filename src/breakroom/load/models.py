"""When a worker's requests begin: the open model by the plan's arrivals, the closed one by the answers.

Used by `load.worker`, which calls `advance` on every turn of its loop. A model begins what is due through the
`Client` and says when it wants to be called again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from time import monotonic_ns
from typing import Protocol

from breakroom.load.client import NEVER, Client
from breakroom.load.messages import Plan
from breakroom.spec.arrivals import planned_offsets

__all__ = ["ClosedModel", "Model", "OpenModel", "make_model"]

_BATCH = 128
"""Requests begun in one turn of the loop, before answers are looked at again."""


class Model(Protocol):
    """Decides when requests begin."""

    def advance(self) -> int:
        """Begin what is due; returns when to be called next (0: at once; `NEVER`: when something has happened)."""
        ...

    def stop(self, until: int) -> None:
        """Begin nothing that is intended at `until` or later."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing will begin any more."""
        ...


def make_model(plan: Plan, client: Client, t0: int) -> Model:
    """The model that the plan asks for, starting at `t0`."""
    if plan.load is not None and plan.load.model == "closed":
        return ClosedModel(plan, client, t0)
    spec = plan.probe or plan.load
    assert spec is not None, "a plan holds a probe or a load"
    return OpenModel(islice(planned_offsets(spec, plan.seed), plan.share, None, plan.shares), client, t0)


class OpenModel:
    """Each request at its planned time, however many are outstanding: a stalled service does not slow it down."""

    def __init__(self, offsets: Iterator[int], client: Client, t0: int) -> None:
        self._offsets = offsets
        self._client = client
        self._t0 = t0
        self._until = NEVER
        self._due = t0 + next(offsets, NEVER)

    def advance(self) -> int:
        """See `Model`. All that is due by now is begun, a batch at a time."""
        begin = self._client.begin
        offsets = self._offsets
        t0 = self._t0
        due = self._due
        for _ in range(_BATCH):
            if due >= self._until:
                self._due = NEVER
                return NEVER
            if due > monotonic_ns():
                self._due = due
                return due
            begin(due)
            due = t0 + next(offsets, NEVER)
        self._due = due
        return 0

    def stop(self, until: int) -> None:
        """See `Model`."""
        self._until = min(self._until, until)

    @property
    def over(self) -> bool:
        """See `Model`."""
        return self._due >= min(self._until, NEVER)


class ClosedModel:
    """A number of clients, each sending its next request when its last was answered, and after a failure a pause.

    How many requests are left stands with the `Client`: on kept-alive connections it goes on by itself after the usual
    answer, and the model need not turn for it.
    """

    def __init__(self, plan: Plan, client: Client, t0: int) -> None:
        assert plan.load is not None, "only loads are closed"
        self._client = client
        client.left = plan.requests if plan.requests > 0 else NEVER
        self._pause = plan.load.pause_after_failure
        self._resting: deque[int] = deque()
        self._free = plan.concurrency
        self._t0 = t0

    def advance(self) -> int:
        """See `Model`."""
        client = self._client
        if client.ready:
            self._take_back(client)
        if client.left <= 0:
            return NEVER
        now = monotonic_ns()
        if now < self._t0:
            return self._t0
        resting = self._resting
        while resting and resting[0] <= now:
            resting.popleft()
            self._free += 1
        count = min(self._free, client.left, _BATCH)
        self._free -= count
        client.left -= count
        if client.keep_alive:
            for _ in range(count):
                client.begin()
        elif count:
            client.begin_new(count)
        if client.ready or (self._free and client.left):
            return 0  # some failed at once, or the batch was too small for all
        return resting[0] if resting and client.left else NEVER

    def _take_back(self, client: Client) -> None:
        """Completed requests free their clients: at once, or after the pause if they failed."""
        failed = client.failed if self._pause else 0
        self._free += client.ready - failed
        if failed:
            wake = monotonic_ns() + self._pause
            self._resting.extend([wake] * failed)
        client.ready = client.failed = 0

    def stop(self, until: int) -> None:  # noqa: ARG002  # the protocol's; nothing is planned ahead here
        """See `Model`; takes effect now, as nothing is planned ahead."""
        self._client.left = 0

    @property
    def over(self) -> bool:
        """See `Model`."""
        return self._client.left <= 0
