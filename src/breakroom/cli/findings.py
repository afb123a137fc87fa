"""From a run's directory to its findings, report files and JSON: what `run` and `report` have in common.

Writes `results.json`, `report.md` and `report.html` into the run's directory, each atomically, and the `latest` link.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from breakroom.analysis.results import RunResults
from breakroom.analysis.run import analyse
from breakroom.i18n import Language
from breakroom.journal.store import read_journal
from breakroom.report.write import update_latest, write_report, write_results

__all__ = ["findings_of", "print_json"]


def findings_of(directory: Path, lang: Language) -> tuple[RunResults, Path | None]:
    """Analyse the run and write its files.

    Returns:
        The findings, and the path of the HTML report; None where the files could not be written, which is said on
        standard error, because the findings in memory are still worth showing.

    Raises:
        JournalError: there is no journal to read.
    """
    journal = read_journal(directory)
    results = analyse(journal)
    try:
        write_results(directory, results)
        paths = write_report(directory, results, journal, lang)
    except OSError as error:
        print(f"the report could not be written in {directory}: {error.strerror}", file=sys.stderr)
        return results, None
    try:
        update_latest(directory)
    except OSError as error:
        print(f"{error.filename or 'latest'} was not updated: {error.strerror}", file=sys.stderr)
    return results, paths.html


def print_json(*results: RunResults) -> None:
    """Print the findings as one indented JSON document on standard output: an object, or an array of several runs'."""
    document = results[0] if len(results) == 1 else results
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
