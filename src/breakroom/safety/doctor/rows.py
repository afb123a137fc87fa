"""One line of the examination: what was tried, what came of it, what it means for drills, and the way to get it.

Made by the checks of this room, shown by `cli.doctor`. Pure. Texts are English templates, translated where shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from breakroom.i18n.terms import N_
from breakroom.safety.deeds import Said

__all__ = ["AREAS", "STATUSES", "TITLES", "Area", "Row", "Status", "works"]

Status = Literal["ok", "degraded", "missing"]
Area = Literal["local", "docker", "swarm"]

AREAS: dict[Area, str] = {
    "local": N_("This machine (--platform local)"),
    "docker": N_("Docker Engine (--platform docker)"),
    "swarm": N_("Docker Swarm (--platform swarm)"),
}
STATUSES: dict[Status, str] = {"ok": N_("ok"), "degraded": N_("limited"), "missing": N_("missing")}

TITLES: dict[str, str] = {
    "python": N_("Python and system"),
    "deploy": N_("A service deployed, asked and removed"),
    "memory-limit": N_("Memory limit"),
    "pause": N_("Freezing a task"),
    "open-files": N_("Open files"),
    "ports": N_("The course's ports"),
    "disk": N_("Room for results"),
    "cores": N_("Processor cores"),
    "client": N_("Which daemon"),
    "daemon": N_("The daemon answers"),
    "api": N_("Docker and API version"),
    "same-machine": N_("Where containers run"),
    "rights": N_("Acting on containers"),
    "cgroup": N_("The daemon's control groups"),
    "images": N_("The course's images"),
    "base-image": N_("Base image"),
    "run-container": N_("A container run and removed"),
    "agent-image": N_("Agent image"),
    "netem": N_("Network delay and loss (netem)"),
    "nft": N_("Network partition (nftables)"),
    "swarm": N_("In a Swarm"),
    "nodes": N_("Nodes"),
    "overlay": N_("An overlay network made and removed"),
    "ipvs": N_("Routing mesh (IPVS)"),
}
"""How each check is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one check found. `needed`: without it the area's platform does not work at all."""

    area: Area
    check: str
    """A key of `TITLES`."""
    status: Status
    found: Said = field(default_factory=Said)
    means: Said = field(default_factory=Said)
    """For drills; empty where it is ok."""
    way: Said = field(default_factory=Said)
    """How to get it; empty where it is there, or where it cannot be got."""
    needed: bool = False
    took_s: float = 0.0


def works(rows: Iterable[Row], area: Area) -> bool:
    """Whether the area's platform can run drills: it was looked at, and nothing that it needs is missing."""
    own = [row for row in rows if row.area == area]
    return bool(own) and not any(row.needed and row.status == "missing" for row in own)
