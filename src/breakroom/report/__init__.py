"""Presents a run's findings as files: `results.json`, `report.md`, and `report.html`, which works offline.

Reads findings (`analysis.results`, `analysis.series`); computes no number of its own that a finding could hold.
"""

from breakroom.report.write import ReportPaths, update_latest, write_report, write_results

__all__ = ["ReportPaths", "update_latest", "write_report", "write_results"]
