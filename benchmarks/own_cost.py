"""What breakroom costs itself: the memory of all its processes during a run, and how long its commands take to start.

Memory is looked at twenty times a second while a drill runs with default settings: the sum over breakroom's processes,
replicas apart, of their proportional share (PSS: a page that several share counts once), and of their resident memory.
Linux only.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.context import ROOT, BrokenError, Context, environment, run
from benchmarks.rows import OURS, Goal, Row

__all__ = ["memory", "start"]

LOOK_S = 0.05
DRILLS = ("kill",)
STARTS_A_ROUND = 5


def _share(pid: int) -> tuple[float, float]:
    """Proportional and resident memory of a process, in MB; nothing of one that has gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0, 0.0
    found = dict.fromkeys(("Pss:", "Rss:"), 0.0)
    for line in text.splitlines():
        word, *rest = line.split()
        if word in found:
            found[word] = int(rest[0]) * 1024 / 1e6
    return found["Pss:"], found["Rss:"]


def _name(process: psutil.Process) -> str:
    """Which of breakroom's processes it is; empty: none of them, so a replica or a tool."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    modules = {
        "breakroom.engine": "engine",
        "breakroom.ingress": "ingress",
        "breakroom.load": "load",
        "breakroom": "main",
    }
    for before, word in pairwise(words):
        if before == "-m" and word in modules:
            return modules[word]
    return "replica" if "apps" in " ".join(words) else ""


class Peak:
    """The largest sums so far, and what they were made of."""

    def __init__(self) -> None:
        self.pss = self.rss = 0.0
        self.parts: dict[str, float] = {}

    def look(self, root: psutil.Process) -> None:
        """Add up once."""
        parts: dict[str, float] = {}
        resident = 0.0
        # Engines have replicas as children; a process between fork and exec is its parent's copy for a moment.
        for process in (root, *root.children(recursive=True)):
            name = _name(process)
            if name in {"", "replica"}:
                continue
            pss, rss = _share(process.pid)
            parts[name] = parts.get(name, 0.0) + pss
            resident += rss
        if (total := sum(parts.values())) > self.pss:
            self.pss, self.parts = total, parts
        self.rss = max(self.rss, resident)


def _run_drills(context: Context) -> Peak:
    out = context.directory / f"run-{time.monotonic_ns()}"
    words = [sys.executable, "-m", "breakroom", "run", *DRILLS, "--out", str(out), "--json"]
    if context.small:
        words += ["--contender", "orchestrated"]
    peak = Peak()
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    ) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak.look(root)
            except psutil.NoSuchProcess:
                break
            time.sleep(LOOK_S)
    # 3: a machine too busy to trust the verdict; the memory is as true.
    if process.returncode not in {0, 1, 3} or not peak.pss:
        raise BrokenError(f"breakroom run ended with {process.returncode}")
    return peak


def memory(context: Context) -> list[Row]:
    """The peak over a run of a drill with its default contenders side by side."""
    peaks = context.alternate({OURS: lambda: _run_drills(context)})[OURS]
    return [
        Row(
            bench="memory",
            name=f"`breakroom run {' '.join(DRILLS)}`, all of breakroom's processes at their peak",
            unit="MB (PSS)",
            better="less",
            figures={OURS: [peak.pss for peak in peaks]},
            beside={
                "of which, MB": {
                    name: [peak.parts.get(name, 0.0) for peak in peaks] for name in sorted(peaks[0].parts)
                },
                "sum of resident memory, MB (shared pages counted again)": {OURS: [p.rss for p in peaks]},
            },
            goals=[Goal(text="≤ 150 MB", at_most=150)],
        )
    ]


def start(context: Context) -> list[Row]:
    """The launcher's commands that people wait for."""
    rows = []
    launcher = str(ROOT / "breakroom")
    empty = [sys.executable, "-c", "pass"]
    for words in (["--help"], ["drills"]):
        command = [launcher, *words]
        run(command)  # the first start compiles
        times = context.alternate(
            {OURS: partial(_typical, command), "an empty Python": partial(_typical, empty)}
        )
        bare = times.pop("an empty Python")
        rows.append(
            Row(
                bench="start",
                name=f"`./breakroom {' '.join(words)}`",
                unit="ms",
                better="less",
                figures=times,
                beside={"Python that does nothing, ms": {"python": bare}},
                goals=[Goal(text="≤ 150 ms", at_most=150)],
                note="From the launcher's start to its end, files in the page cache; a round is the median of five.",
            )
        )
    return rows


def _typical(command: list[str]) -> float:
    """Median of some starts, in ms."""
    return sorted(run(command).wall_s for _ in range(STARTS_A_ROUND))[STARTS_A_ROUND // 2] * 1e3
