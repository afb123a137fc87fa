"""The stages that scenarios are played on: breakroom's platforms, and a Swarm read straight from its API.

Used by the player (which opens one) and by the tests (which ask whether there can be one).
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from breakroom.platforms.base import Platform, RunInfo
from contract.program import service
from contract.scene import Deployer
from docker_lab.lab import missing

__all__ = ["PLATFORMS", "open_stage", "why_not"]

PLATFORMS = ("local", "swarm", "swarm-api", "docker")
"""`swarm-api` is the contract's second witness, see `raw_swarm`."""


def why_not(stage: str) -> str:
    """Why the stage cannot be had here; empty if it can."""
    if stage == "local":
        return ""
    if shutil.which("mmdebstrap") is None:
        return "not installed: mmdebstrap, which makes the base image"
    return missing()


@asynccontextmanager
async def open_stage(stage: str, directory: Path) -> AsyncIterator[Deployer]:
    """The platform, opened for a run of its own; closed after it, when nothing may be left."""
    if stage == "local":
        from breakroom.platforms.local import LocalPlatform

        yield LocalPlatform()
    elif stage == "swarm-api":
        from contract.raw_swarm import RawSwarm

        raw = RawSwarm()
        try:
            yield cast("Deployer", raw)  # it offers what services need, and nothing more
        finally:
            await raw.close()
    else:
        platform = _platform(stage)
        await platform.preflight()
        run = RunInfo(run_id=f"contract-{secrets.token_hex(3)}", directory=directory)
        await platform.open(run, lambda _record: None)
        try:
            yield platform
        finally:
            left = await platform.close()
        if left:
            raise RuntimeError(f"left behind by {stage}: {left}")


def _platform(stage: str) -> Platform:
    service_of_the_run = service("contract")
    if stage == "swarm":
        from breakroom.platforms.swarm.platform import SwarmPlatform

        return SwarmPlatform(use_swarm=True, services=[service_of_the_run])
    from breakroom.platforms.docker.platform import DockerPlatform

    return DockerPlatform()
