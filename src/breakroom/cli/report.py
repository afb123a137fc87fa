"""`breakroom report RUN`: findings and report files again from the journal, also of a run that was cut off.

With `--beside OTHER` also that run's numbers beside the first one's, contender by contender.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from breakroom.analysis.results import RunResults
from breakroom.cli.exits import fail
from breakroom.cli.findings import findings_of, print_json
from breakroom.cli.language import choose_translator
from breakroom.i18n import Translator
from breakroom.journal.store import JOURNAL_NAME, JournalError
from breakroom.live.summary import print_summary
from breakroom.report.beside import beside as compare

__all__ = ["report_command"]


def report_command(run: str, *, beside: str, out: Path, lang: str, json: bool) -> int:
    """Carry out the command; returns 0: making a report succeeds whatever the run's verdict was."""
    tr = choose_translator(lang)
    directories = [_find(name, out) for name in (run, beside) if name]
    try:
        (results, report), *others = [findings_of(directory, tr.lang) for directory in directories]
    except JournalError as error:
        fail(str(error))
    if json:
        print_json(results, *(other for other, _ in others))
        return 0
    console = Console(file=sys.stdout)
    if not others:
        print_summary(console, results, tr, report)
    for other, _ in others:
        _print_beside(console, results, other, tr)
    return 0


def _print_beside(console: Console, results: RunResults, other: RunResults, tr: Translator) -> None:
    tables = compare(results, other, tr)
    if not tables:
        fail(
            f"{results.run_id} and {other.run_id} have no drill with a contender in common: nothing to compare"
        )
    for one in tables:
        table = Table(title=one.title, title_justify="left", title_style="bold", header_style="bold")
        for number, head in enumerate(one.head):
            table.add_column(head, justify="right" if number else "left")
        for row in one.rows:
            table.add_row(*row)
        console.print()
        console.print(table)
        if one.note:
            console.print(one.note, style="dim", markup=False)


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
