"""Whether contenders that run at the same time disturb each other's numbers: the same drill both ways, in turns.

Run it: `python benchmarks/bench_side_by_side.py [--rounds 5] [DRILL …]` (default: scale rolling-update).

Each round runs the drill with its contenders side by side and then one by one, both with the round's seed. For each
contender and number it prints the medians of both ways, their difference, the spread of the rounds themselves, and
whether the difference is larger than that. A number that could not be trusted is left out of its median and counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

METRICS = (
    "availability",
    "outage",
    "recovery_time",
    "time_to_full_capacity",
    "capacity_kept",
    "goodput_gain",
    "scale_response",
    "latency_p50_before",
    "latency_p99_before",
)

Values = dict[tuple[str, str, str], list[float]]
"""(drill, contender, metric) → one value a round."""


def run(drills: list[str], seed: int, out: Path, *, one_by_one: bool) -> dict[str, Any]:
    """One command; its results."""
    way = ["--one-by-one"] if one_by_one else []
    options = ["--seed", str(seed), "--out", str(out), "--json", *way]
    command = [sys.executable, "-m", "breakroom", "run", *drills, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1, 3}:
        sys.exit(done.stderr)
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def collect(results: dict[str, Any], values: Values, lags: dict[str, list[float]]) -> None:
    """Add what a run measured; lags are those of the probe, by drill."""
    for drill in results["drills"]:
        for contender in drill["contenders"]:
            for metric in METRICS:
                value = contender["metrics"][metric]["median"]
                if value is not None:
                    values.setdefault((drill["name"], contender["name"], metric), []).append(value)
    for trial in results["trials"]:
        lags.setdefault(trial["drill"], []).extend(
            report["lag_p99_s"] for report in trial["generators"] if report["stream"] == "probe"
        )


def shown(metric: str, value: float) -> str:
    """A value as text: ratios in percent, factors as such, times in ms."""
    if metric == "goodput_gain":
        return f"x{value:.3f}"
    if metric in {"availability", "capacity_kept"}:
        return f"{value:.1%}"
    return f"{value * 1000:.1f} ms"


def table(together: Values, alone: Values) -> str:
    """The comparison, a row for each number that both ways have."""
    columns = ("side by side", "one by one", "difference", "spread")
    head = f"{'drill/contender':30}{'number':24}" + "".join(f"{column:>14}" for column in columns)
    lines = [head]
    for key, values in together.items():
        others = alone.get(key)
        if not others:
            continue
        drill, contender, metric = key
        one, other = statistics.median(values), statistics.median(others)
        spread = max(max(values) - min(values), max(others) - min(others))
        larger = "  larger than the spread" if abs(one - other) > spread else ""
        apart = [shown(metric, value).removeprefix("x") for value in (abs(one - other), spread)]
        cells = [shown(metric, one), shown(metric, other), *apart]
        row = f"{drill + '/' + contender:30}{metric:24}" + "".join(f"{cell:>14}" for cell in cells)
        lines.append(row + larger)
    return "\n".join(lines)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("drills", nargs="*", default=["scale", "rolling-update"])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    together: Values = {}
    alone: Values = {}
    lags: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    with tempfile.TemporaryDirectory() as directory:
        for seed in range(1, asked.rounds + 1):
            for way, values, lag in ((False, together, lags[0]), (True, alone, lags[1])):
                print(
                    f"round {seed} of {asked.rounds}: {'one by one' if way else 'side by side'}",
                    file=sys.stderr,
                )
                collect(run(asked.drills, seed, Path(directory), one_by_one=way), values, lag)
    print(table(together, alone))
    for drill in lags[0]:
        both = (statistics.median(lag[drill]) * 1000 for lag in lags)
        print(
            f"{drill}: the probe's lag, p99 (median of all trials): "
            + " / ".join(f"{ms:.2f} ms" for ms in both)
        )


if __name__ == "__main__":
    main()
