"""How much CPU time a container may have: what its engine is told to give it less, and to give back what it had.

Called by the platforms, for this node's daemon, and by the Swarm agent (`engine_socket`), for its own. What the kernel
says afterwards is `cgroups.cpu_quota`. Pure. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["LEAST_SHARE", "LIMITS", "limits_of", "restored", "share_of", "throttled"]

LIMITS = ("NanoCpus", "CpuPeriod", "CpuQuota")
"""The words of the Engine API for it. A container that was made with `NanoCpus` takes only that in an update."""
LEAST_SHARE = 0.01
"""Of one core. The kernel's quota has at least a millisecond (kernel/sched/core.c, min_cfs_quota_period)."""
_PERIOD_US = 100_000
_CORE = 1_000_000_000


def limits_of(host_config: Mapping[str, Any]) -> dict[str, int]:
    """What a container's `HostConfig` says of it; 0: nothing."""
    return {name: int(host_config.get(name) or 0) for name in LIMITS}


def throttled(limits: Mapping[str, int], share: float) -> dict[str, int]:
    """The body of `POST /containers/{id}/update` that leaves a container `share` of one core, or what it had if less.

    Args:
        limits: what it has now, as `limits_of` tells it.
        share: from LEAST_SHARE on; below it the daemon refuses.
    """
    had = share_of(limits)
    share = share if had is None else min(share, had)
    if limits.get("NanoCpus"):
        return {"NanoCpus": round(share * _CORE)}
    return {"CpuPeriod": _PERIOD_US, "CpuQuota": round(share * _PERIOD_US)}


def restored(limits: Mapping[str, int]) -> dict[str, int]:
    """The body that gives a container back what it had. An update cannot say 0; a quota of -1 is none."""
    if limits.get("NanoCpus"):
        return {"NanoCpus": limits["NanoCpus"]}
    quota = limits.get("CpuQuota") or 0
    return {"CpuPeriod": limits.get("CpuPeriod") or _PERIOD_US, "CpuQuota": quota if quota > 0 else -1}


def share_of(limits: Mapping[str, int]) -> float | None:
    """What these limits allow, in cores; None: all there are."""
    if limits.get("NanoCpus"):
        return limits["NanoCpus"] / _CORE
    quota = limits.get("CpuQuota") or 0
    return quota / (limits.get("CpuPeriod") or _PERIOD_US) if quota > 0 else None
