"""One run of everything, `breakroom run` without arguments, that all tests of this directory look at.

`BREAKROOM_WHOLE_RUN=DIR` lets them look at the runs in a results' directory that is there already, which takes seconds
instead of minutes; what only a run of their own can tell (the kernel's counter before and after) is then not asked.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from end_to_end.tool import TOO_BUSY, UNKNOWN, Tool
from whole_run.evidence import WholeRun

TRIES = 3
"""A machine that was too busy for the generator makes a drill rightly *unknown*: such a drill is run again."""


def _oom_kills() -> int:
    """The kernel's count of OOM kills, in control groups too, since the machine started."""
    vmstat = Path("/proc/vmstat")
    lines = vmstat.read_text().splitlines() if vmstat.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _earlier(results: Path) -> WholeRun:
    run = WholeRun(results)
    directories = sorted(
        path.parent for path in results.glob("*/results.json") if not path.parent.is_symlink()
    )
    for directory in directories:
        run.take(directory, json.loads((directory / "results.json").read_text()))
    return run


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    if earlier := os.environ.get("BREAKROOM_WHOLE_RUN"):
        return _earlier(Path(earlier))
    tool = Tool(tmp_path_factory.mktemp("whole"))
    run = WholeRun(tool.results)
    before = _oom_kills()
    ended = tool.run("run", "--lang", "en", within=900)
    run.oom_kills = _oom_kills() - before
    run.first_code = ended.code
    assert ended.code in {0, UNKNOWN}, ended.out + ended.err
    again: list[str] = []
    for _ in range(TRIES):
        latest = (tool.results / "latest").resolve()
        results = json.loads((latest / "results.json").read_text())
        run.take(latest, results)
        again = [
            drill["name"]
            for drill in results["drills"]
            if drill["verdict"] == "unknown"
            and any(
                why["code"] in TOO_BUSY
                for trial in results["trials"]
                if trial["drill"] == drill["name"]
                for why in trial["reasons_unknown"]
            )
        ]
        if not again:
            break
        tool.run("run", *again, "--lang", "en", within=600)
    return run
