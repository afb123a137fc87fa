"""Docker's health log as records of the journal. Pure.

Used by `deployment` and by the platform `swarm`: an inspected container holds the last five probes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from breakroom.journal.records import HealthChanged
from breakroom.platforms.docker.clock import parse_time

__all__ = ["HealthLog"]

_OUTPUT_LIMIT = 4096
_Status = Literal["starting", "healthy", "unhealthy"]


@dataclass(slots=True, kw_only=True)
class HealthLog:
    """What has been told of one task's health."""

    trial: str
    task: str
    since: int | None = None
    """When the task's process began (Unix ns): earlier probes were of an earlier start."""
    status: _Status = "starting"
    streak: int = 0
    _seen: set[int] = field(default_factory=set)

    def read(self, health: Mapping[str, Any] | None, at: Callable[[int | None], int]) -> list[HealthChanged]:
        """The probes that are new in an inspection's `State.Health`, oldest first.

        Args:
            health: `Status`, `FailingStreak` and `Log`; None: the container has no health check.
            at: turns Docker's Unix ns into the journal's time.
        """
        if not health or health.get("Status") in {None, "none", ""}:
            return []
        log = [entry for entry in health.get("Log") or () if self._is_new(entry)]
        records = []
        for number, entry in enumerate(log):
            ok = entry.get("ExitCode") == 0
            if number == len(log) - 1:
                # Docker's own word, which knows of start_period and retries.
                self.status = cast("_Status", health["Status"])
                self.streak = int(health.get("FailingStreak", 0))
            else:
                self.status, self.streak = ("healthy", 0) if ok else (self.status, self.streak + 1)
            records.append(self._record(entry, ok=ok, at=at))
        return records

    def _is_new(self, entry: Mapping[str, Any]) -> bool:
        start = parse_time(entry.get("Start", ""))
        if start is None or start in self._seen or (self.since is not None and start < self.since):
            return False
        self._seen.add(start)
        return True

    def _record(
        self, entry: Mapping[str, Any], *, ok: bool, at: Callable[[int | None], int]
    ) -> HealthChanged:
        start, end = parse_time(entry.get("Start", "")), parse_time(entry.get("End", ""))
        return HealthChanged(
            t=at(end),
            trial=self.trial,
            task=self.task,
            status=self.status,
            ok=ok,
            failing_streak=self.streak,
            duration_ns=max(0, end - start) if start is not None and end is not None else 0,
            output=str(entry.get("Output", ""))[:_OUTPUT_LIMIT],
        )
