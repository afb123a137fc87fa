"""How a service's update goes: what the API's `UpdateStatus` says at each look, as journal records, nothing left out.

Used by `watcher`. Pure. A look shows one state only, and a rollback may be over before the next one. Swarm keeps when
an update began and when it was completed, so what lay between two looks can be told all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breakroom.journal.records import UpdateChanged
from breakroom.platforms.docker.clock import parse_time
from breakroom.platforms.swarm.tasks import TellTime

__all__ = ["UPDATING", "UpdateStory"]

UPDATING = frozenset({"updating", "rollback_started"})
"""States in which Swarm is at work on it."""
_AUTOMATIC = "update rolled back"
_ENDED = frozenset({"paused", "completed"})
_ROLLED_BACK = frozenset({"rollback_paused", "rollback_completed"})


class UpdateStory:
    """The updates of one service, one after the other."""

    def __init__(self, *, trial: str, service: str, tell_time: TellTime) -> None:
        self._trial = trial
        self._service = service
        self._tell = tell_time
        self._last = ("", "")
        self._began = ""
        self._told = 0
        """The last record's time: what came after it is not told as earlier, though it was seen late."""

    @property
    def state(self) -> str:
        """The last that was seen; empty: there was no update yet."""
        return self._last[0]

    def observe(self, status: Mapping[str, Any]) -> list[UpdateChanged]:
        """Take in a look; the records of what is new, in order."""
        news = (str(status.get("State") or ""), str(status.get("Message") or ""))
        if news == self._last or not news[0]:
            return []
        before, self._last = self.state, news
        began = str(status.get("StartedAt") or "")
        another, self._began = began != self._began, began
        at = max(self._told, self._when(news[0], status, another=another))
        record = self._record(*news, at)
        self._told = at
        return [*self._missed(before, record, another=another), record]

    def _missed(self, before: str, now: UpdateChanged, *, another: bool) -> list[UpdateChanged]:
        """What must have been between the last look and this one. `another`: Swarm's beginning of it is a new one."""
        began = self._tell("", parse_time(self._began))
        rolled_back = now.state == "rollback_started" and now.message.startswith(_AUTOMATIC)
        if another and (now.state in _ENDED or rolled_back):
            return [self._record("updating", "update in progress", min(began, now.t))]
        if now.state in _ROLLED_BACK and (another or before != "rollback_started"):
            # One that a person asks for has a beginning of its own; otherwise it began and ended since the last look.
            text = "manually requested rollback" if another else ""
            return [self._record("rollback_started", text, min(began, now.t) if another else now.t)]
        return []

    def _when(self, state: str, status: Mapping[str, Any], *, another: bool) -> int:
        """By Swarm's own time, where it keeps one: an automatic rollback has its update's beginning, not its own."""
        key = ""
        if state.endswith("completed"):
            key = "CompletedAt"
        elif state == "updating" or (state in UPDATING and another):
            key = "StartedAt"
        if str(status.get("Message") or "").startswith(_AUTOMATIC):
            key = ""
        return self._tell("", parse_time(str(status.get(key) or "")))

    def _record(self, state: str, message: str, t: int) -> UpdateChanged:
        return UpdateChanged(t=t, trial=self._trial, service=self._service, state=state, message=message)
