"""Every scenario of the contract: importing this fills `rows.SCENARIOS`."""

from __future__ import annotations

from contract import (
    plays_container,
    plays_health,
    plays_interplay,
    plays_restart,
    plays_rotation,
    plays_start,
    plays_update,
)

__all__ = [
    "plays_container",
    "plays_health",
    "plays_interplay",
    "plays_restart",
    "plays_rotation",
    "plays_start",
    "plays_update",
]
