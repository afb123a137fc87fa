"""The record of a standstill of one of breakroom's own parts, from what `engine.shell.pulse` has added up.

Called by whoever has a part asked whether it turns: `platforms.local` (the engine), `platforms.docker.front` (its
ingress) and `director.turning` (the main process). Pure.
"""

from __future__ import annotations

from breakroom.engine.shell.pulse import Stretch
from breakroom.journal.records import PartStalled

__all__ = ["part_stalled"]


def part_stalled(trial: str, part: str, stretch: Stretch) -> PartStalled:
    """The record; `part` is `main`, `engine` or `ingress`."""
    return PartStalled(
        t=stretch.t,
        trial=trial,
        part=part,
        since=stretch.since,
        still_ns=stretch.still_ns,
        longest_ns=stretch.longest_ns,
    )
