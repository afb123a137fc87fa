"""Plays the scenarios of one platform, several at a time in one loop, and writes each row's outcome as JSON.

`python -m contract.player PLATFORM OUT [SCENARIO …]` (in `tests/`). A process of its own because a Swarm of the lab
lives in another network namespace: its player is started there. Platforms: see `stages`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from contract import scenarios
from contract.rows import SCENARIOS, Scenario
from contract.scene import Deployer, Scene
from contract.stages import open_stage

__all__ = ["main", "play"]

AT_ONCE = 6
"""Scenarios that are played at the same time: on two cores, more would measure the machine."""
LONGEST = 160.0
"""Seconds after which a scenario is given up."""


async def play(platform: str, wanted: list[str], directory: Path) -> dict[str, dict[str, Any]]:
    """Play and judge. Returns row → {"outcome": "ok" | "failed" | "skipped", "why", "seconds"}."""
    chosen = [s for s in SCENARIOS.values() if platform in s.platforms]
    chosen = [s for s in chosen if not wanted or s.name in wanted]
    results: dict[str, dict[str, Any]] = {}
    gate = asyncio.Semaphore(AT_ONCE)
    async with open_stage(platform, directory) as deployer:

        async def one(scenario: Scenario) -> None:
            async with gate:
                results.update(await _play(scenario, platform, deployer, directory))

        async with asyncio.TaskGroup() as group:
            for scenario in chosen:
                group.create_task(one(scenario), name=scenario.name)
    return results


async def _play(
    scenario: Scenario, platform: str, deployer: Deployer, directory: Path
) -> dict[str, dict[str, Any]]:
    scene = Scene(scenario, platform, deployer, directory)
    began = time.monotonic()
    broken = ""
    try:
        async with asyncio.timeout(LONGEST):
            await scenario.play(scene)
    except Exception as error:  # noqa: BLE001  # whatever breaks a play is its rows' outcome
        where = traceback.extract_tb(error.__traceback__)
        lines = [
            f"{Path(frame.filename).name}:{frame.lineno}" for frame in where if "contract" in frame.filename
        ]
        broken = f"the play broke at {lines[-1] if lines else '?'}: {type(error).__name__}: {error}"
    took = round(time.monotonic() - began, 1)
    results: dict[str, dict[str, Any]] = {}
    for row in scenario.rows:
        if row.name in scene.skipped:
            outcome, why = "skipped", scene.skipped[row.name]
        elif row.name in scene.outcomes:
            why = scene.outcomes[row.name]
            outcome = "failed" if why else "ok"
        else:
            outcome, why = "failed", broken or "the play did not come to this row"
        results[row.name] = {"outcome": outcome, "why": why, "seconds": took}
    if broken and all(result["outcome"] == "ok" for result in results.values()):
        # What broke after the last row (something was left behind) is no less a failure.
        results[scenario.rows[-1].name] = {"outcome": "failed", "why": broken, "seconds": took}
    return results


def main() -> None:
    """See the module."""
    platform, out, *wanted = sys.argv[1:]
    assert scenarios.__all__
    with tempfile.TemporaryDirectory(prefix="breakroom-contract-") as directory:
        results = asyncio.run(play(platform, wanted, Path(directory)))
    text = json.dumps(results, indent=1)
    if out == "-":
        for name, result in results.items():
            print(f"{result['outcome']:8} {result['seconds']:6} s  {name}  {result['why']}")
    else:
        Path(out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
