"""`breakroom load URL`: load without a drill, as `ab` does it. Called by `cli.main`; the work is `load.command`'s.

Progress goes to standard error; the report, or its JSON, to standard output.
"""

from __future__ import annotations

import json as json_module
import sys

from rich.console import Console

from breakroom.cli.exits import fail
from breakroom.cli.language import choose_translator
from breakroom.load.command import LoadError, LoadOptions, LoadProgress, run_load
from breakroom.load.report import render_report

__all__ = ["load_command"]


def load_command(options: LoadOptions, *, lang: str, json: bool) -> int:
    """Carry the load out and print its report; returns the report's exit code."""
    tr = choose_translator(lang)
    console = Console(stderr=True)
    teller = _Teller(console)
    try:
        report = run_load(options, teller.tell)
    except LoadError as error:
        teller.end()
        fail(str(error), error.exit_code)
    teller.end()
    if json:
        sys.stdout.write(json_module.dumps(report.to_json(), indent=2) + "\n")
    else:
        sys.stdout.write(render_report(report, tr))
    return report.exit_code


class _Teller:
    """One line of progress: redrawn in place at a terminal, printed now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("") if console.is_terminal else None
        self._told_target = False
        self._next_s = 5.0

    def tell(self, progress: LoadProgress) -> None:
        """Say where the load goes, once, and how far it is."""
        if not self._told_target:
            self._told_target = True
            self._print(f"load on {progress.target}; Ctrl-C ends it and keeps what was measured")
            if self._status is not None:
                self._status.start()
        line = self._line(progress)
        if self._status is not None:
            self._status.update(line)
        elif progress.elapsed_s >= self._next_s:
            self._next_s = progress.elapsed_s + 5.0
            self._print(line)

    def end(self) -> None:
        """Take the line away."""
        if self._status is not None:
            self._status.stop()

    @staticmethod
    def _line(progress: LoadProgress) -> str:
        planned = f" of {progress.planned_requests:,}" if progress.planned_requests else ""
        of = f" of {progress.planned_s:.0f} s" if progress.planned_s else " s"
        return (
            f"{progress.elapsed_s:.1f}{of}  {progress.completed:,}{planned} requests, "
            f"{progress.failed:,} failed, {progress.per_s:,.0f}/s"
        )

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
