"""The table of a run: for the terminal, and as Markdown between two markers of a page. Called by `__main__`."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

from benchmarks.rows import OURS, Row, Run, judge_all, ratio

__all__ = ["BEGIN", "END", "figure", "markdown", "text", "write_between_markers"]

BEGIN = "<!-- bench: begin (written by scripts/bench; do not edit) -->"
END = "<!-- bench: end -->"
_UNMET = "**not reached**"


def figure(value: float) -> str:
    """Three or four digits of it."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def text(row: Row) -> str:
    """A row for the terminal, some lines."""
    lines = [f"{row.name} ({row.unit})"]
    for name, values in row.figures.items():
        spread = f"{figure(min(values))} - {figure(max(values))}"
        compared = "" if name == OURS else f"  ratio {_ratio(row, name)}"
        lines.append(f"  {name:<34}{figure(row.median(name)):>10}   {spread:<22}{compared}")
    for what, by_name in row.beside.items():
        told = ", ".join(f"{name} {figure(statistics.median(each))}" for name, each in by_name.items())
        lines.append(f"  {what}: {told}")
    lines += [f"  missing: {name}: {why}" for name, why in row.missing.items()]
    lines += [f"  goal {goal.text}: {judged}" for goal, judged in judge_all(row)]
    if row.note:
        lines.append(f"  ({row.note})")
    return "\n".join(lines)


def _ratio(row: Row, name: str) -> str:
    value = ratio(row, name)
    return "—" if math.isnan(value) else f"{value:.2f}"


def markdown(run: Run, titles: dict[str, str]) -> str:
    """The whole section: the machine, a table a benchmark, and what was not reached.

    Args:
        run: The figures.
        titles: Benchmark → its title, in the order of the page.
    """
    parts = [_machine(run)]
    for bench, title in titles.items():
        rows = [row for row in run.rows if row.bench == bench]
        if rows:
            parts.append(
                f"### {title} (`scripts/bench {bench}`)\n\n{_table(rows)}{_notes(rows)}\n\n"
                f"Measured on {run.when.get(bench, 'an unknown day')}, in {run.seconds.get(bench, 0):.0f} s."
            )
    parts.append(_summary(run))
    return "\n\n".join(parts)


def _machine(run: Run) -> str:
    machine = "; ".join(f"{what}: {value}" for what, value in run.machine.items())
    return (
        f"Medians of {run.rounds} alternating rounds, least and most in brackets. *ratio*: how many times better "
        f"breakroom's median is (above 1: it is ahead).\n\n{machine}."
    )


def _table(rows: list[Row]) -> str:
    head = "| what | breakroom | peers | goal | beside |\n|---|---|---|---|---|"
    return "\n".join([head, *(_line(row) for row in rows)])


def _line(row: Row) -> str:
    peers = [f"{name} {_spread(row, name)}, ratio **{_ratio(row, name)}**" for name in row.peers]
    peers += [f"{name}: missing ({why})" for name, why in row.missing.items()]
    goals = [
        f"{goal.text}: {_UNMET if judged == 'not reached' else judged}" for goal, judged in judge_all(row)
    ]
    beside = [
        f"{what}: " + ", ".join(f"{name} {figure(statistics.median(each))}" for name, each in named.items())
        for what, named in row.beside.items()
    ]
    cells = [f"{row.name}, {row.unit}", _spread(row, OURS), *("<br>".join(c) for c in (peers, goals, beside))]
    return f"| {' | '.join(cell or '—' for cell in cells)} |"


def _spread(row: Row, name: str) -> str:
    values = row.figures[name]
    middle = figure(row.median(name))
    return middle if len(values) == 1 else f"{middle} ({figure(min(values))} – {figure(max(values))})"


def _notes(rows: list[Row]) -> str:
    notes = dict.fromkeys(row.note for row in rows if row.note)
    return "".join(f"\n\n{note}" for note in notes)


def _summary(run: Run) -> str:
    judged = [(row, goal, said) for row in run.rows for goal, said in judge_all(row)]
    unmet = [f"- {row.name}: {goal.text}" for row, goal, said in judged if said == "not reached"]
    unknown = [f"- {row.name}: {goal.text}" for row, goal, said in judged if said == "peer missing"]
    reached = sum(said == "reached" for _, _, said in judged)
    parts = [f"### Goals\n\n{reached} of {len(judged)} goals reached."]
    if unmet:
        parts.append("Not reached:\n\n" + "\n".join(unmet))
    if unknown:
        parts.append("Not judged, because the peer is missing:\n\n" + "\n".join(unknown))
    return "\n\n".join(parts)


def write_between_markers(page: Path, section: str) -> None:
    """Put the section into a page, between its markers; a page that is not there is made of the section alone.

    Raises:
        ValueError: the page has no markers: what it says is not ours to replace.
    """
    block = f"{BEGIN}\n\n{section}\n\n{END}"
    if not page.exists():
        page.write_text(f"{block}\n", encoding="utf-8")
        return
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has not the two lines {BEGIN!r} and {END!r}")
    page.write_text(before + block + after, encoding="utf-8")
