"""`breakroom report RUN`: findings and report files again from the journal, also of a run that was cut off."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from breakroom.cli.exits import fail
from breakroom.cli.findings import findings_of, print_json
from breakroom.cli.language import choose_translator
from breakroom.journal.store import JOURNAL_NAME, JournalError
from breakroom.live.summary import print_summary

__all__ = ["report_command"]


def report_command(run: str, *, out: Path, lang: str, json: bool) -> int:
    """Carry out the command; returns 0: making a report succeeds whatever the run's verdict was."""
    tr = choose_translator(lang)
    directory = _find(run, out)
    try:
        results, report = findings_of(directory, tr.lang)
    except JournalError as error:
        fail(str(error))
    if json:
        print_json(results)
    else:
        print_summary(Console(file=sys.stdout), results, tr, report)
    return 0


def _find(run: str, out: Path) -> Path:
    """The directory of the run that `run` names: a path, an id under `out`, or `latest`.

    `latest` is the newest journal, not the link: a run that was cut off never came to set the link.
    """
    if run == "latest":
        runs = _runs(out)
        if not runs:
            fail(
                f"there is no run in {out}; start one with `breakroom run`, or name its place with --out DIR"
            )
        return runs[-1]
    for directory in (Path(run), out / run):
        if (directory / JOURNAL_NAME).is_file():
            return directory.resolve()
    names = ", ".join(path.name for path in _runs(out)[-5:]) or "none"
    fail(
        f"no run is called {run!r} (runs in {out}, newest last: {names}); name one, its directory, or `latest`"
    )


def _runs(out: Path) -> list[Path]:
    if not out.is_dir():
        return []
    runs = [path for path in out.iterdir() if not path.is_symlink() and (path / JOURNAL_NAME).is_file()]
    return sorted(runs, key=lambda path: (path / JOURNAL_NAME).stat().st_mtime_ns)
