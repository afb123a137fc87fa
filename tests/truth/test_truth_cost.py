"""What breakroom says it cost, against the kernel's account of the same processes, which the test reads itself.

`wait4` gives the CPU time of a process and of all below it that were waited for: of a run that is breakroom's own
processes and the service's replicas. What each one used is read from /proc while it lives.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from end_to_end.tool import MINI_DRILL

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
_LOOK_S = 0.1


@dataclass(frozen=True)
class Seen:
    """What the kernel said of a process when it was last seen."""

    command: str
    cpu_s: float
    peak: int
    """The most memory that it had so far, in bytes."""


def _run(directory: Path, *words: str) -> tuple[str, float, dict[int, Seen]]:
    """Output; CPU seconds of all processes together; each process below it."""
    seen: dict[int, Seen] = {}
    with (directory / "out").open("w") as out, (directory / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "breakroom", *words],
            cwd=directory,
            stdout=out,
            stderr=err,
            env={**os.environ, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": f"{directory}-state"},
        )
        ends = os.pidfd_open(process.pid)
        while not select.select([ends], [], [], _LOOK_S)[0]:
            seen |= dict(_below(process.pid))
        os.close(ends)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in {0, 3}, (directory / "err").read_text()
    return (directory / "out").read_text(), usage.ru_utime + usage.ru_stime, seen


def _below(parent: int) -> Iterator[tuple[int, Seen]]:
    """All processes below it that live."""
    for child in _children(parent):
        place = Path(f"/proc/{child}")
        try:
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            ticks = (place / "stat").read_text().rpartition(")")[2].split()[11:13]
            status = (place / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        peak = next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), 0)
        if peak:
            yield child, Seen(command, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), peak * 1024)
        yield from _below(child)


def _children(parent: int) -> list[int]:
    try:
        return [
            int(word)
            for task in Path(f"/proc/{parent}/task").iterdir()
            for word in (task / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _added(costs: list[dict[str, Any]]) -> float:
    return float(sum(cost["cpu_s"] for cost in costs))


def test_a_load_tells_what_it_used(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split("port ")[1].split()[0]
        out, cpu, seen = _run(
            tmp_path, "load", "-n", "900", "-c", "2", "--workers", "2", "--json", f"http://127.0.0.1:{port}/"
        )
    finally:
        server.kill()
        server.communicate()
    tool = json.loads(out)["tool"]
    assert [one["process"] for one in tool] == ["main", "load", "load"]
    assert _added(tool) <= cpu + 0.02
    # A process cannot account for its own end.
    assert _added(tool) >= 0.9 * cpu - 0.15, (tool, cpu)
    workers = sorted(one["max_rss_bytes"] for one in tool if one["process"] == "load")
    assert workers == pytest.approx(sorted(one.peak for one in seen.values()), rel=0.1)


@pytest.mark.timeout(180)
def test_a_run_tells_what_it_and_the_replicas_used(tmp_path: Path) -> None:
    (tmp_path / "mini.yaml").write_text(MINI_DRILL.split("expect:", maxsplit=1)[0])
    _, cpu, seen = _run(tmp_path, "run", "mini.yaml", "--contender", "orchestrated", "--json")
    (path,) = tmp_path.glob("breakroom-results/2*/results.json")
    results = json.loads(path.read_text())
    (trial,) = results["trials"]
    costs = {cost["process"]: cost for cost in trial["tool_cost"]}
    assert set(costs) == {"main", "engine", "ingress", "probe", "load"}
    for module, names in {"load": ("probe", "load"), "engine": ("engine",), "ingress": ("ingress",)}.items():
        mine = [one for one in seen.values() if f"breakroom.{module}" in one.command.split()]
        # What was seen last is a tenth of a second old.
        assert sum(costs[name]["cpu_s"] for name in names) == pytest.approx(
            sum(one.cpu_s for one in mine), rel=0.15, abs=0.15
        )
        assert max(costs[name]["max_rss_bytes"] for name in names) == pytest.approx(
            max(one.peak for one in mine), rel=0.1
        )
    replicas = trial["replica_use"]
    assert replicas["replicas"] == 4, "three, and the one in the place of the killed one"
    # The kernel's sum has the report's making in it, too, which is after the run.
    assert _added(results["tool_cost"]) + replicas["cpu_s"] <= cpu + 0.02
    # The run's own is the trial's, and what the main process did before and after.
    assert _added(trial["tool_cost"]) <= _added(results["tool_cost"]) + 1e-6
