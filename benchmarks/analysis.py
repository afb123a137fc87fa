"""How long the analysis of ten million samples takes, and the report from it, and how much memory.

There is no peer: nothing else reads these files. Each round reads the same synthetic run in a process of its own.
"""

from __future__ import annotations

import sys

from benchmarks.context import Context, report_of, run
from benchmarks.generators import HERE
from benchmarks.rows import OURS, Goal, Row

__all__ = ["PROGRAM", "measure"]

PROGRAM = str(HERE / "synthetic_run.py")


def measure(context: Context) -> list[Row]:
    """Time and memory of the analysis, time and size of the report."""
    samples = context.pick(10_000_000, 100_000)
    run([sys.executable, PROGRAM, "write", str(context.directory), str(samples)])
    found = context.alternate(
        {OURS: lambda: report_of([sys.executable, PROGRAM, "analyse", str(context.directory)])}
    )[OURS]

    def row(name: str, unit: str, key: str, text: str, most: float) -> Row:
        return Row(
            bench="analysis",
            name=name,
            unit=unit,
            better="less",
            figures={OURS: [each[key] for each in found]},
            goals=[Goal(text=text, at_most=most)],
        )

    return [
        row(f"analysis of {samples:,} samples", "s", "analysis_s", "≤ 5 s", 5),
        row("peak memory of the analysis", "MB", "analysis_mb", "≤ 500 MB", 500),
        row("report from it (HTML in two languages, Markdown, JUnit)", "s", "report_s", "≤ 3 s", 3),
        row("size of report.html", "MB", "report_mb", "≤ 6 MB", 6),
        row("peak memory with the report", "MB", "peak_mb", "≤ 500 MB", 500),
    ]
