"""Before a run leaves a trace: can the platform be used, and what of the plan can it run?

Called by `cli.run` in the event loop of the run, before the results' directory is made and before anything is drawn, so
that the platform may ask at the terminal and a refusal leaves nothing behind.
"""

from __future__ import annotations

from breakroom.director.plan import RunPlan, in_turns, only_runnable
from breakroom.director.tasks import shielded
from breakroom.platforms.base import Platform

__all__ = ["prepare"]


async def prepare(plan: RunPlan, platform: Platform) -> RunPlan:
    """The plan as the platform can run it.

    Contenders that it does not offer are left out (`RunPlan.left_out`); where they would disturb each other, they
    take turns.

    Raises:
        PlatformError: the platform cannot be used; it was closed.
        PlanError: it can run none of the contenders; it was closed.
    """
    try:
        await platform.preflight()
        capabilities = await platform.capabilities()
        runnable = only_runnable(plan, capabilities.runs_as)
        return runnable if capabilities.side_by_side else in_turns(runnable)
    except BaseException:
        # An interruption too: nobody else closes what `preflight` has opened.
        await shielded(platform.close())
        raise
