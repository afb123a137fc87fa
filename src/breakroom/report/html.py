"""The report as one HTML file that works offline: texts in every language, charts drawn by the Plotly script inside it.

Called by `report.write`. Reads its own templates and Plotly's script from the installed packages, nothing else. All
texts go through the template's autoescape; JSON inside the page cannot end its script element; a content security
policy forbids every request.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from breakroom.analysis.results import ContenderResults, DrillResults, RunResults, TrialResults
from breakroom.analysis.series import TrialSeries
from breakroom.i18n import LANGUAGES, Language, Translator, translator
from breakroom.report.charts.impairment import DOTS, impairment
from breakroom.report.charts.latency import latency
from breakroom.report.charts.memory import memory
from breakroom.report.charts.moments import Lane, line_kinds
from breakroom.report.charts.recovery import SEGMENTS, recovery, segments
from breakroom.report.charts.scaling import scaling
from breakroom.report.charts.style import OUTCOMES, STATES, Figure
from breakroom.report.charts.text import merge_languages
from breakroom.report.charts.thin import thin
from breakroom.report.charts.timeline import timeline
from breakroom.report.view import ReportView
from breakroom.report.zero import zero_of

__all__ = ["drill_figures", "render_html", "script_json"]

MAX_CHOICES = 12
"""Repeats that get charts of their own; beyond, the file would grow past what mails and browsers like."""

CHART_BINS = 18_000
"""Bins in all charts together; each trial's chart gets its share, at most what the series has."""
LEAST_BINS = 80

CHARTS: dict[str, Any] = {
    "timeline": timeline,
    "latency": latency,
    "scaling": scaling,
    "memory": memory,
    "impairment": impairment,
}
"""Name of a chart of trials → what makes it of their lanes; None where it has nothing to show."""


def render_html(
    results: RunResults,
    series: Mapping[str, TrialSeries],
    views: Mapping[Language, ReportView],
    lang: Language,
) -> str:
    """The whole page; it opens in `lang`."""
    bins = bins_for(results)
    figures = {drill.name: drill_figures(drill, results, series, bins) for drill in results.drills}
    template = _environment().get_template("report.html.j2")
    return template.render(
        default=lang,
        languages=[(code, translator(code)) for code in sorted(LANGUAGES, key=lambda code: code != lang)],
        views=views,
        figures={name: script_json(made) for name, made in figures.items()},
        charts={name: _charts(made) for name, made in figures.items()},
        choices={drill.name: _choices(drill) for drill in results.drills},
        legends={drill.name: _legend(drill, results, series) for drill in results.drills},
        too_many={drill.name: _repeats(drill) > MAX_CHOICES for drill in results.drills},
        style=Markup(_resource("report.css")),  # noqa: S704  # our own file, no user's text in it
        script=Markup(_resource("report.js")),  # noqa: S704  # our own file, no user's text in it
        plotly=Markup(_plotly()),  # noqa: S704  # Plotly's own file; holds no end tag of a script
    )


def bins_for(results: RunResults) -> int:
    """Bins of each trial's chart: all charts of the page together stay within a bound."""
    lanes = sum(len(_choices(drill)) * len(drill.contenders) for drill in results.drills)
    return max(LEAST_BINS, CHART_BINS // max(1, lanes))


def _charts(figures: Mapping[str, Any]) -> dict[str, int]:
    """Name of each chart that the drill has → its height, for which the page leaves room before it is drawn."""
    heights: dict[str, int] = {}
    for key, figure in figures.items():
        name = key.partition(":")[0]
        height = figure["layout"]["height"]
        # Labels of another language may need another line, and then the two charts differ in height.
        tallest = max(height.values()) if isinstance(height, dict) else height
        heights[name] = max(heights.get(name, 0), tallest)
    return heights


def drill_figures(
    drill: DrillResults, results: RunResults, series: Mapping[str, TrialSeries], bins: int = CHART_BINS
) -> dict[str, Any]:
    """Chart name → figure, in all languages at once; `timeline:0` shows the median trials, `timeline:N` repeat N."""
    trials = {trial.id: trial for trial in results.trials}
    zero = zero_of(trial for trial in results.trials if trial.drill == drill.name)
    figures: dict[str, Any] = {"recovery": _both(lambda t: recovery(drill, t, zero))}
    versions = _versions(drill, results, series)
    for choice in _choices(drill):
        chosen = [_trial_of(contender, choice, trials) for contender in drill.contenders]
        known = [trial for trial in chosen if trial is not None and trial.id in series]
        thinned = {trial.id: thin(series[trial.id], bins) for trial in known}
        for name, chart in CHARTS.items():

            def build(
                t: Translator, chart: Any = chart, known: Any = known, thinned: Any = thinned
            ) -> Figure | None:
                lanes = [
                    Lane(trial, thinned[trial.id], _detail(trial, drill, t), versions) for trial in known
                ]
                figure: Figure | None = chart(lanes, t) if lanes else None
                return figure

            figure = _both(build)
            if figure is not None:
                figures[f"{name}:{choice}"] = figure
    return figures


def _both(build: Any) -> Any:
    return merge_languages(build(translator("en")), build(translator("ko")))


def _choices(drill: DrillResults) -> list[int]:
    """0 for the median trials, then the repeats' numbers, where there is more than one."""
    repeats = _repeats(drill)
    return [0, *range(1, repeats + 1)] if 1 < repeats <= MAX_CHOICES else [0]


def _repeats(drill: DrillResults) -> int:
    return max((len(contender.trials) for contender in drill.contenders), default=0)


def _trial_of(
    contender: ContenderResults, choice: int, trials: Mapping[str, TrialResults]
) -> TrialResults | None:
    """The contender's trial of that repeat; for 0 the one whose recovery time is nearest to the median."""
    mine = [trials[name] for name in contender.trials if name in trials]
    if choice:
        return next((trial for trial in mine if trial.repeat == choice), None)
    spread = contender.metrics.get("recovery_time")
    target = spread.median if spread else None
    known = [trial for trial in mine if trial.recovery_time_s is not None]
    if target is None or not known:
        return mine[0] if mine else None
    return min(known, key=lambda trial: (abs((trial.recovery_time_s or 0.0) - target), trial.repeat))


def _detail(trial: TrialResults, drill: DrillResults, t: Translator) -> str:
    contender = next((c for c in drill.contenders if c.name == trial.contender), None)
    text = t.label("runs_as", contender.runs_as) if contender else ""
    if len(contender.trials if contender else ()) > 1:
        text += " · " + t.say("repeat {repeat:count}", repeat=trial.repeat)
    return f"{text} · {_cost(trial, t)}"


def _cost(trial: TrialResults, t: Translator) -> str:
    """What this trial's failure cost users, in a few words."""
    if trial.outage_total_s is None:
        return t.say("not known")
    if trial.outage_total_s > 0:
        return t.say("outage {outage:duration}", outage=trial.outage_total_s)
    failed = sum(count for outcome, count in trial.outcomes.get("probe", {}).items() if outcome != "ok")
    return t.say(
        "no outage, {failed:count} of {all:count} probe requests failed",
        failed=failed,
        all=trial.availability.intended,
    )


def _legend(
    drill: DrillResults, results: RunResults, series: Mapping[str, TrialSeries]
) -> dict[str, list[str]]:
    """What the legends must explain: only kinds that occur."""
    mine = [trial for trial in results.trials if trial.drill == drill.name]
    probes = [
        series[trial.id].streams["probe"]
        for trial in mine
        if trial.id in series and "probe" in series[trial.id].streams
    ]
    states = {band.state for trial in mine for band in trial.bands}
    bars = [segments(contender) for contender in drill.contenders]
    phases = {phase for bar in bars for phase, (_, length) in bar.items() if length > 0}
    return {
        "outcomes": [name for name in OUTCOMES if any(any(probe.outcomes.get(name, ())) for probe in probes)],
        "states": [group for group in reversed(STATES) if states & set(STATES[group])],
        "phases": [phase for phase in SEGMENTS if phase in phases],
        "versions": list(_versions(drill, results, series)),
        "lines": sorted({line for trial in mine for line in line_kinds(trial)}),
        "dots": [kind for kind in DOTS if any(trial.impairment is not None for trial in mine)],
    }


def _versions(drill: DrillResults, results: RunResults, series: Mapping[str, TrialSeries]) -> tuple[str, ...]:
    """Every version that answered in the drill's trials, in the order of their colours."""
    mine = [trial.id for trial in results.trials if trial.drill == drill.name and trial.id in series]
    return tuple(sorted({name for trial in mine for name in series[trial].versions}))


def script_json(value: Any) -> Markup:
    """JSON for a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(char, code)
    return Markup(text)  # noqa: S704  # made safe just above


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("breakroom.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    return environment


def _code(text: str) -> Markup:
    """Text with `code` between backticks, as descriptions in drill files write it."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped just here


def _resource(name: str) -> str:
    return (files("breakroom.report") / "templates" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Plotly's script, read from its package without importing the package, which would take a moment."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(
            "the package `plotly` is not installed, so the report has no charts; install breakroom again"
        )
    path = Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return path.read_text(encoding="utf-8").replace("</script", "<\\/script")
