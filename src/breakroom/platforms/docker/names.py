"""How breakroom marks what it makes under Docker, so that it can be found again and nothing else is touched.

Used by everything that creates, lists or removes Docker objects, and by `breakroom cleanup`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = [
    "DRAINED_BY",
    "OWNER",
    "RUN",
    "TRIAL",
    "WAS_AVAILABILITY",
    "labels",
    "mark",
    "object_name",
    "owned",
    "short_run",
]

OWNER = "breakroom"
"""Label that every object of breakroom's bears; its value is the kind: `container`, `service`, `helper`, `agent`, …"""
RUN = "breakroom.run"
"""The run's id."""
TRIAL = "breakroom.trial"
"""The trial's id, `DRILL/CONTENDER/REPEAT`; none for what the whole run shares."""
DRAINED_BY = "breakroom.drained-by"
"""Label on a Swarm node whose availability a run has changed: that run's id."""
WAS_AVAILABILITY = "breakroom.was-availability"
"""Label beside it: the availability before, which undoing restores."""


def labels(kind: str, run: str, trial: str = "") -> dict[str, str]:
    """The labels of an object of that kind."""
    marks = {OWNER: kind, RUN: run}
    return {**marks, TRIAL: trial} if trial else marks


def owned(marks: Mapping[str, str] | None, run: str = "") -> bool:
    """Whether an object with these labels is breakroom's (and of that run, if one is named)."""
    if not marks or OWNER not in marks:
        return False
    return not run or marks.get(RUN) == run


def short_run(run: str) -> str:
    """The last, random part of a run id: enough to tell runs apart where names must be short."""
    return run.rsplit("-", 1)[-1]


def object_name(run: str, *words: str) -> str:
    """A name for a container, service or network: `breakroom-<run>-<word>…`, fit for Docker's rules."""
    parts = [re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words]
    return "-".join(["breakroom", short_run(run), *(part for part in parts if part)])[:60].rstrip("-")


def mark(run: str) -> str:
    """The owner's mark for kernel objects (nft tables, …): letters, digits and `_` only."""
    return f"breakroom_{re.sub(r'[^a-z0-9]', '', short_run(run).lower())}"
