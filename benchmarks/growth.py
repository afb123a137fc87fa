"""How cost grows: 10 to 500 replicas, 1,000 to 20,000 requests a second, 10,000 to 10 million samples.

`scripts/bench --growth [replicas] [load] [analysis]` measures (default: all three, some five minutes), keeps figures in
docs/figures/growth.json and draws the plots beside it. `--draw` draws them again from the figures that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import fleet, machine, open_load, peers
from benchmarks.analysis import PROGRAM
from benchmarks.context import ROOT, Context, report_of, run
from benchmarks.plots import Line, Plot, svg
from benchmarks.servers import nginx

FIGURES = ROOT / "docs" / "figures"
REPLICAS = (10, 50, 100, 250, 500)
RATES = (1_000, 2_000, 5_000, 10_000, 15_000, 20_000)
SAMPLES = (10_000, 100_000, 1_000_000, 10_000_000)
Points = list[dict[str, float]]


def replicas(context: Context) -> Points:
    """Start, replacement of half, idle CPU and memory by the number of replicas."""
    points = []
    for count in REPLICAS:
        costs = [fleet.ours(context, count, 4.0) for _ in range(context.rounds)]
        points.append(
            {key: statistics.median(cost._asdict()[key] for cost in costs) for key in fleet.Cost._fields}
        )
        context.say(f"{points[-1]}")
    return points


def load(context: Context) -> Points:
    """Send lag and CPU of the generator by the rate, for new and for kept-alive connections."""
    points = []
    with nginx(context) as server:
        for keep in (False, True):
            for rate in RATES:
                lags = [open_load.ours(server, rate, 3, keep=keep) for _ in range(context.rounds)]
                middle = {
                    key: statistics.median(lag._asdict()[key] for lag in lags)
                    for key in open_load.Lag._fields
                }
                points.append({"rate": rate, "keep_alive": float(keep), **middle})
                context.say(f"{points[-1]}")
    return points


def analysis(context: Context) -> Points:
    """Time, memory and the report's size by the number of samples."""
    points = []
    for count in SAMPLES:
        directory = context.directory / str(count)
        directory.mkdir()
        run([sys.executable, PROGRAM, "write", str(directory), str(count)])
        words = [sys.executable, PROGRAM, "analyse", str(directory)]
        found = [report_of(words) for _ in range(context.rounds)]
        points.append(
            {"samples": count, **{key: statistics.median(each[key] for each in found) for key in found[0]}}
        )
        context.say(f"{points[-1]}")
    return points


MEASURES: dict[str, Callable[[Context], Points]] = {"replicas": replicas, "load": load, "analysis": analysis}


def plots(figures: dict[str, Any]) -> dict[str, Plot]:
    """File name → plot, of what was measured."""
    found: dict[str, Plot] = {}
    for name, draw in {"replicas": _of_replicas, "load": _of_load, "analysis": _of_analysis}.items():
        if points := figures.get(name, {}).get("points"):
            found |= draw(points)
    return found


def _line(points: Points, name: str, x: str, y: str) -> Line:
    return Line(name, tuple((point[x], point[y]) for point in points))


def _of_replicas(points: Points) -> dict[str, Plot]:
    what = "replicas"
    return {
        "replicas-time": Plot(
            title="Start and replacement",
            x=what,
            y="seconds",
            log_x=False,
            lines=(
                _line(points, "all started", what, "start_s"),
                _line(points, "half replaced", what, "back_s"),
            ),
        ),
        "replicas-cpu": Plot(
            title="Idle: CPU of engine and ingress",
            x=what,
            y="% of a core",
            log_x=False,
            goal=2,
            lines=(_line(points, "CPU", what, "idle_percent"),),
        ),
        "replicas-memory": Plot(
            title="Memory of engine and ingress",
            x=what,
            y="MB",
            log_x=False,
            lines=(_line(points, "memory", what, "memory_mb"),),
        ),
    }


def _of_load(points: Points) -> dict[str, Plot]:
    what = "rate"
    found = {}
    for keep, kind, file in ((0.0, "new connections", "new"), (1.0, "kept alive", "kept")):
        some = [point for point in points if point["keep_alive"] == keep]
        found[f"load-{file}-lag"] = Plot(
            title=f"Send lag, {kind}",
            x="requests/s",
            y="ms",
            log_x=False,
            log_y=True,
            goal=1,
            lines=(_line(some, "p50", what, "p50"), _line(some, "p99", what, "p99")),
        )
        found[f"load-{file}-cpu"] = Plot(
            title=f"CPU of the generator, {kind}",
            x="requests/s",
            y="cores",
            log_x=False,
            lines=(_line(some, "workers", what, "cpu"),),
        )
    return found


def _of_analysis(points: Points) -> dict[str, Plot]:
    what = "samples"
    return {
        "analysis-time": Plot(
            title="Analysis and report",
            x=what,
            y="seconds",
            log_y=True,
            goal=5,
            lines=(_line(points, "analysis", what, "analysis_s"), _line(points, "report", what, "report_s")),
        ),
        "analysis-memory": Plot(
            title="Peak memory",
            x=what,
            y="MB",
            goal=500,
            lines=(
                _line(points, "analysis", what, "analysis_mb"),
                _line(points, "with report", what, "peak_mb"),
            ),
        ),
        "analysis-report": Plot(
            title="Size of report.html",
            x=what,
            y="MB",
            goal=6,
            lines=(_line(points, "report", what, "report_mb"),),
        ),
    }


def main() -> int:
    """Measure what was asked for, keep it, draw everything."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench --growth", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("what", nargs="*", metavar="|".join(MEASURES), help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--draw", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, default=FIGURES, metavar="DIR")
    asked = parser.parse_args()
    if unknown := set(asked.what) - set(MEASURES):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "growth.json"
    figures: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    tools, missing = peers.find()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as at a user's
    for name in [] if asked.draw else asked.what or MEASURES:
        with tempfile.TemporaryDirectory(prefix="breakroom-bench-") as directory:
            Path(directory).chmod(0o755)  # nginx drops root, and must still get in
            context = Context(
                asked.rounds, small=False, directory=Path(directory), tools=tools, missing=missing
            )
            points = MEASURES[name](context)
        described = machine.describe({})
        del described["peers"]
        figures[name] = {"rounds": asked.rounds, "machine": described, "points": points}
        file.write_text(json.dumps(figures, indent=1) + "\n")
    for name, plot in plots(figures).items():
        (asked.out / f"{name}.svg").write_text(svg(plot), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
