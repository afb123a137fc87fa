"""Plays each platform's scenarios once a session, and shows the contract's table at its end.

BREAKROOM_CONTRACT_TABLE=PATH writes the table to a file as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import scenarios
from contract.rows import ROWS
from contract.stages import PLATFORMS, why_not
from docker_lab.base_image import BASE_IMAGE, base_image
from docker_lab.lab import Lab

__all__ = ["Outcomes"]

assert scenarios.__all__
TESTS = Path(__file__).parent.parent
LONGEST = 500.0
"""Seconds that one platform's scenarios may take in all."""

Outcome = dict[str, Any]
_TABLE = pytest.StashKey[dict[tuple[str, str], tuple[str, str]]]()


class Outcomes:
    """What each row came to on each platform; a platform is played when it is first asked for."""

    def __init__(self, wanted: dict[str, set[str]], directory: Path) -> None:
        self._wanted = wanted
        self._directory = directory
        self._played: dict[str, dict[str, Outcome]] = {}
        self._lab: Lab | None = None

    def of(self, platform: str) -> dict[str, Outcome]:
        """Row → outcome."""
        if platform not in self._played:
            self._played[platform] = self._play(platform)
        return self._played[platform]

    def close(self) -> None:
        """Take the lab away."""
        if self._lab is not None:
            self._lab.down()

    def _play(self, platform: str) -> dict[str, Outcome]:
        out = self._directory / f"{platform}.json"
        words = [sys.executable, "-m", "contract.player", platform, str(out), *sorted(self._wanted[platform])]
        if platform != "local":
            words = self._host().command(*words)
        paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        done = subprocess.run(
            words,
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        if done.returncode or not out.exists():
            why = f"the player ended with {done.returncode}: {done.stderr[-3000:]}"
            return {row: {"outcome": "failed", "why": why} for row in ROWS}
        results: dict[str, Outcome] = json.loads(out.read_text())
        return results

    def _host(self) -> Any:
        if self._lab is None:
            self._lab = Lab("contract", 1)
            self._lab.up(tied=True)
            self._lab.load_image(base_image(), BASE_IMAGE)
            self._lab.swarm()
        return self._lab.hosts[0]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLE] = {}


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    wanted: dict[str, set[str]] = {platform: set() for platform in PLATFORMS}
    for item in request.session.items:
        words = getattr(item, "callspec", None)
        if words is not None and {"row_name", "platform"} <= set(words.params):
            wanted[words.params["platform"]].add(ROWS[words.params["row_name"]][0].name)
    played = Outcomes(wanted, tmp_path_factory.mktemp("contract"))
    try:
        yield played
    finally:
        played.close()


@pytest.fixture
def outcome(request: pytest.FixtureRequest, outcomes: Outcomes, row_name: str, platform: str) -> Outcome:
    """One row's outcome, noted for the table."""
    table = request.config.stash[_TABLE]
    missing = why_not(platform)
    if missing:
        table[row_name, platform] = ("skipped", missing)
        pytest.skip(missing)
    found = outcomes.of(platform)[row_name]
    table[row_name, platform] = (found["outcome"], found["why"])
    return found


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    table = config.stash[_TABLE]
    if not table:
        return
    text = _render(table)
    terminalreporter.section("contract")
    terminalreporter.write_line(text)
    path = os.environ.get("BREAKROOM_CONTRACT_TABLE")
    if path:
        Path(path).write_text(text + "\n", encoding="utf-8")


def _render(table: dict[tuple[str, str], tuple[str, str]]) -> str:
    platforms = [platform for platform in PLATFORMS if any(key[1] == platform for key in table)]
    names = [name for name in ROWS if any(key[0] == name for key in table)]
    width = max(len(name) for name in names)
    words = {"ok": "ok", "failed": "FAILED", "skipped": "skipped"}
    lines = ["  ".join(["row".ljust(width), *(platform.ljust(10) for platform in platforms), "what"])]
    for name in names:
        cells = [
            words[table[name, platform][0]] if (name, platform) in table else "-" for platform in platforms
        ]
        lines.append("  ".join([name.ljust(width), *(c.ljust(10) for c in cells), ROWS[name][1].sentence]))
    whys = sorted({(outcome, why) for outcome, why in table.values() if why and outcome == "skipped"})
    lines += [f"{outcome}: {why}" for outcome, why in whys]
    counted = [outcome for outcome, _ in table.values()]
    lines.append(
        f"{counted.count('ok')} ok, {counted.count('failed')} failed, {counted.count('skipped')} skipped"
        f" of {len(counted)}; {len(names)} rows"
    )
    return "\n".join(line.rstrip() for line in lines)
