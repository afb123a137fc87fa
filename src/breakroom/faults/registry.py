"""Which fault plays which step of a timeline. Called by the director; a new fault adds one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breakroom.faults.api_kill import api_kill
from breakroom.faults.base import FaultContext, Injected
from breakroom.faults.cpu import cpu
from breakroom.faults.drain import drain
from breakroom.faults.hang import hang
from breakroom.faults.kill import kill
from breakroom.faults.memory import memory
from breakroom.faults.network import network
from breakroom.faults.node_loss import node_loss
from breakroom.faults.oom import oom
from breakroom.faults.partition import partition
from breakroom.faults.pause import pause
from breakroom.faults.request import request
from breakroom.faults.scale import scale
from breakroom.faults.update import rollback, update
from breakroom.spec.drill import (
    ApiKillStep,
    CpuStep,
    DrainStep,
    HangStep,
    KillStep,
    MemoryStep,
    NetworkStep,
    NodeLossStep,
    OomStep,
    PartitionStep,
    PauseStep,
    RequestStep,
    RollbackStep,
    ScaleStep,
    Step,
    UpdateStep,
)

__all__ = ["inject"]

_FAULTS: Mapping[type, Any] = {
    ApiKillStep: api_kill,
    CpuStep: cpu,
    DrainStep: drain,
    HangStep: hang,
    KillStep: kill,
    MemoryStep: memory,
    NetworkStep: network,
    NodeLossStep: node_loss,
    OomStep: oom,
    PartitionStep: partition,
    PauseStep: pause,
    RequestStep: request,
    RollbackStep: rollback,
    ScaleStep: scale,
    UpdateStep: update,
}


async def inject(ctx: FaultContext, action: str, step: Step) -> Injected:
    """Play one step.

    Raises:
        FaultError: it could not be injected.
    """
    injected: Injected = await _FAULTS[type(step)](ctx, action, step)
    return injected
