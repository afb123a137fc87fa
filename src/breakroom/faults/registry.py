"""Which fault plays which step of a timeline. Called by the director; a new fault adds one line here."""

from __future__ import annotations

from breakroom.faults.base import FaultContext, Injected
from breakroom.faults.kill import kill
from breakroom.spec.drill import Step

__all__ = ["inject"]

_FAULTS = {"KillStep": kill}


async def inject(ctx: FaultContext, action: str, step: Step) -> Injected:
    """Play one step.

    Raises:
        FaultError: it could not be injected.
    """
    return await _FAULTS[type(step).__name__](ctx, action, step)
