"""The charts' figure dictionaries: accepted by Plotly's own validation, true to their data, small."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.analysis.results import RunResults
from breakroom.analysis.series import StreamSeries, TrialSeries
from breakroom.i18n import LANGUAGES, Language, translator
from breakroom.report.charts.latency import latency
from breakroom.report.charts.memory import memory
from breakroom.report.charts.moments import Lane
from breakroom.report.charts.recovery import recovery, segments
from breakroom.report.charts.text import merge_languages
from breakroom.report.charts.thin import thin
from breakroom.report.charts.timeline import timeline

Made = tuple[RunResults, dict[str, TrialSeries]]


def _lanes(made: Made) -> list[Lane]:
    results, series = made
    return [Lane(trial, series[trial.id], "detail") for trial in results.trials if trial.repeat == 1]


def _resolved(node: Any) -> Any:
    """Colours as the page's script would put them in."""
    if isinstance(node, dict):
        return {key: _resolved(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_resolved(value) for value in node]
    return "#123456" if isinstance(node, str) and node.startswith("var(--") else node


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", ["timeline", "latency", "memory", "recovery"])
def test_plotly_accepts_every_figure(made: Callable[..., Made], name: str, lang: Language) -> None:
    import plotly.graph_objects as go

    run, t = made(), translator(lang)
    charts: dict[str, Callable[[], Any]] = {
        "timeline": lambda: timeline(_lanes(run), t),
        "latency": lambda: latency(_lanes(run), t),
        "memory": lambda: memory(_lanes(run), t),
        "recovery": lambda: recovery(run[0].drills[0], t),
    }
    figure = go.Figure(_resolved(charts[name]()))
    assert len(figure.data) >= 3


def test_plotly_rejects_a_wrong_figure() -> None:
    """The test above can fail: an unknown property does."""
    import plotly.graph_objects as go

    with pytest.raises(ValueError, match="Invalid property"):
        go.Figure({"data": [{"type": "scatter", "nonsense": 1}], "layout": {}})


def test_shares_of_each_moment_sum_to_all_requests(made: Callable[..., Made]) -> None:
    figure = timeline(_lanes(made()), translator("en"))
    panels: dict[str, list[list[float]]] = {}
    for trace in figure["data"]:
        if "stackgroup" in trace:
            panels.setdefault(trace["stackgroup"], []).append(trace["y"])
    assert len(panels) == 3
    for traces in panels.values():
        for shares in zip(*traces, strict=True):
            assert sum(shares) == pytest.approx(100)


def test_all_contenders_share_one_time_axis(made: Callable[..., Made]) -> None:
    layout = timeline(_lanes(made()), translator("en"))["layout"]
    axes = [value for key, value in layout.items() if key.startswith("xaxis")]
    assert len(axes) == 3
    assert len({tuple(axis["range"]) for axis in axes}) == 1
    assert [axis.get("matches") for axis in axes] == [None, "x", "x"]


def test_panels_do_not_overlap(made: Callable[..., Made]) -> None:
    layout = timeline(_lanes(made()), translator("ko"))["layout"]
    domains = sorted(value["domain"] for key, value in layout.items() if key.startswith("yaxis"))
    assert all(low < high for low, high in domains)
    assert all(first[1] < second[0] for first, second in pairwise(domains))


def test_the_fault_is_marked_at_zero_in_every_panel(made: Callable[..., Made]) -> None:
    layout = timeline(_lanes(made()), translator("en"))["layout"]
    faults = [
        shape for shape in layout["shapes"] if shape["type"] == "line" and shape["line"]["dash"] == "solid"
    ]
    assert {shape["x0"] for shape in faults} == {0.0}
    assert len(faults) == sum(key.startswith("yaxis") for key in layout)


def test_recovery_segments_follow_each_other_without_gaps(made: Callable[..., Made]) -> None:
    for contender in made()[0].drills[0].contenders:
        at = 0.0
        for start, length in segments(contender).values():
            assert start == pytest.approx(at)
            assert length >= 0
            at = start + length
        full = contender.phases["full_capacity"].median
        first = contender.phases["first_success"].median
        assert full is not None
        assert first is not None
        assert at == pytest.approx(max(full, first))


def test_no_memory_chart_without_memory(made: Callable[..., Made]) -> None:
    from dataclasses import replace

    lanes = [replace(lane, series=replace(lane.series, memory=())) for lane in _lanes(made())]
    assert memory(lanes, translator("en")) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.one_of(st.none(), st.floats(0.001, 2))), min_size=1, max_size=60
    ),
    st.integers(1, 70),
)
def test_thinning_keeps_counts_and_peaks(bins: list[tuple[int, float | None]], limit: int) -> None:
    counts, values = tuple(count for count, _ in bins), tuple(value for _, value in bins)
    goodput = tuple(float(count) for count in counts)
    stream = StreamSeries("probe", "open", {"ok": counts}, goodput, values, values, values)
    at = tuple(index * 0.5 for index in range(len(bins)))
    series = TrialSeries("t", 0.0, 0.5, at, 0.0, at[-1] + 0.5, {"probe": stream})
    thinned = thin(series, limit)
    result = thinned.streams["probe"]
    assert len(thinned.at_s) <= max(2, limit)
    assert sum(result.outcomes["ok"]) == sum(counts)
    assert len(result.p99_s) == len(thinned.at_s)
    known = [value for value in values if value is not None]
    assert max((value for value in result.p99_s if value is not None), default=None) == max(
        known, default=None
    )


def test_languages_are_merged_where_they_differ() -> None:
    merged = merge_languages({"a": "x", "b": ["one", 2]}, {"a": "x", "b": ["하나", 2]})
    assert merged == {"a": "x", "b": [{"$en": "one", "$ko": "하나"}, 2]}


def test_charts_of_different_shape_are_not_merged() -> None:
    with pytest.raises(ValueError, match="in English"):
        merge_languages({"a": 1}, {"b": 1})
