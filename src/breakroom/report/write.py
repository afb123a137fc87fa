"""Writes a run's results and reports into its directory, each file whole or not at all.

Called by the command line after a run, when it was interrupted, and by `breakroom report`. Touches only the run's
directory and, for `update_latest`, the link `latest` beside it.
"""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from breakroom.analysis.results import RunResults
from breakroom.analysis.series import TrialSeries, trial_series
from breakroom.i18n import LANGUAGES, Language, translator
from breakroom.journal.store import Journal
from breakroom.report.failure_log import render_failure_log
from breakroom.report.html import render_html
from breakroom.report.junit import render_junit
from breakroom.report.markdown import render_markdown
from breakroom.report.view import view_of

__all__ = ["ReportPaths", "update_latest", "write_report", "write_results"]


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where the reports lie."""

    html: Path
    markdown: Path
    junit: Path
    failure_log: Path


def write_results(run_directory: Path, results: RunResults) -> Path:
    """Write `results.json` and return its path.

    Raises:
        OSError: the directory is missing or not writable, or the disk is full; no half file is left.
    """
    data = msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n"
    return _write(run_directory / "results.json", data)


def write_report(run_directory: Path, results: RunResults, journal: Journal, lang: Language) -> ReportPaths:
    """Write `report.html`, which holds every language and opens in `lang`, and in `lang` the other files.

    These are `report.md`, `junit.xml` for CI systems, and `failure-log.txt`.

    Raises:
        OSError: as `write_results`.
    """
    views = {language: view_of(results, translator(language)) for language in LANGUAGES}
    html = render_html(results, _series(results, journal), views, lang)
    markdown = render_markdown(views[lang], translator(lang))
    return ReportPaths(
        html=_write(run_directory / "report.html", html.encode()),
        markdown=_write(run_directory / "report.md", markdown.encode()),
        junit=_write(run_directory / "junit.xml", render_junit(results, translator(lang))),
        failure_log=_write(
            run_directory / "failure-log.txt",
            render_failure_log(results, translator(lang)).encode("utf-8", "replace"),
        ),
    )


def update_latest(run_directory: Path) -> Path:
    """Let the link `latest` beside the run's directory point to it, without a moment in which there is none.

    Raises:
        OSError: the link cannot be made, or `latest` is something else than a link (`FileExistsError`).
    """
    link = run_directory.parent / "latest"
    if link.exists() and not link.is_symlink():
        message = "not a link, so it is left alone; move it away to have `latest` updated"
        raise FileExistsError(errno.EEXIST, message, str(link))
    temporary = link.with_name(f".latest-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(run_directory.name, target_is_directory=True)
    temporary.replace(link)
    return link


def _series(results: RunResults, journal: Journal) -> dict[str, TrialSeries]:
    """The chart lines of every trial that the journal still knows."""
    series = {}
    for trial in results.trials:
        try:
            series[trial.id] = trial_series(journal, trial.id)
        except KeyError:
            continue  # not in this journal: its tables can be shown, its charts cannot
    return series


def _write(path: Path, data: bytes) -> Path:
    """Write beside the target, then rename: a reader sees the old file or the new one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return path
