"""A container's CPU time made less and given back by its engine, with the kernel's word for it.

Used by `acts`, and by the platform `swarm` for its tasks; the engines of other nodes are told by the agents there. What
an engine is to be told is worked out in `agent.cpu`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from breakroom.agent import cgroups
from breakroom.agent.cpu import LEAST_SHARE, limits_of
from breakroom.agent.errors import ActError
from breakroom.i18n.terms import N_
from breakroom.platforms.base import Evidence, PlatformError
from breakroom.platforms.docker.connect import Daemon

__all__ = ["NO_QUOTA", "cpu_evidence", "limits_now", "local_quota", "require_share", "set_limits"]

Quota = tuple[int | None, int]
"""Microseconds in each period, None: no limit; and the period, as `cgroups.cpu_quota` reads them."""
NO_QUOTA = N_("this Docker daemon cannot limit CPU time: its control groups have no CFS quota")
_SLACK = 0.002
"""Of a core: quotas are whole microseconds of a tenth of a second."""


def require_share(daemon: Daemon, share: float) -> None:
    """Refuse what the kernel or the daemon has no way to do.

    Raises:
        PlatformError: `unsupported`.
    """
    if not daemon.info.get("CpuCfsQuota", True):
        raise PlatformError("unsupported", NO_QUOTA, "`docker info` says so among its warnings")
    if share < LEAST_SHARE:
        raise PlatformError(
            "unsupported",
            f"{share:.2%} of a core is less than the kernel can measure out",
            f"the smallest share is {LEAST_SHARE:.0%}; `pause` leaves a task nothing at all",
        )


async def limits_now(daemon: Daemon, container: str) -> dict[str, int]:
    """What the container may have, as its engine has it.

    Raises:
        PlatformError: `not-found`, or the daemon is gone.
    """
    with daemon.asking("look at the container's CPU limit"):
        return limits_of((await daemon.docker.containers.container(container).show())["HostConfig"])


async def set_limits(daemon: Daemon, container: str, body: dict[str, int]) -> None:
    """`docker update`; of a container that has ended it is for its next start.

    Raises:
        PlatformError: the daemon refuses, or is gone.
    """
    with daemon.asking("change the container's CPU limit"):
        await daemon.docker._query_json(f"containers/{container}/update", method="POST", data=body)  # noqa: SLF001  # it has no call for this


async def local_quota(container: str, pid: int) -> Quota | None:
    """What this machine's kernel has in force for the container; None: it cannot be read here.

    Raises:
        ProcessLookupError: the process has ended.
    """
    try:
        return await asyncio.to_thread(cgroups.cpu_quota, pid, container)
    except ActError as error:
        if error.code in {"gone", "not-in-container"}:
            raise ProcessLookupError(str(error)) from error
    return None


def cpu_evidence(share: float, seen: Quota | None, t: int, detail: dict[str, Any] | None = None) -> Evidence:
    """Whether the kernel allows no more than `share` of one core, by what was read back."""
    if seen is None:
        return Evidence(holds=False, t=t, means="cfs-quota", detail={"witness": "none", **(detail or {})})
    quota, period = seen
    holds = quota is not None and period > 0 and quota / period <= share + _SLACK
    return Evidence(
        holds=holds,
        t=t,
        means="cfs-quota",
        detail={"witness": "cgroup", "quota_us": quota, "period_us": period, **(detail or {})},
    )
