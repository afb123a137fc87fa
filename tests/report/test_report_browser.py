"""The HTML report in a real browser: charts are drawn, controls work, nothing is asked of the network."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from breakroom.analysis.results import RunResults
from breakroom.analysis.series import TrialSeries
from breakroom.i18n import LANGUAGES, translator
from breakroom.report.html import render_html
from breakroom.report.view import view_of
from report.whole_run import DRILLS, whole_run

Made = tuple[RunResults, dict[str, TrialSeries]]
CHROMIUM = shutil.which("chromium")
ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield started
        started.close()


class Opened:
    """A report's page, with what it complained of and what it asked for."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_context(
            offline=True, viewport={"width": 1200, "height": 900}, **context
        ).new_page()
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def drawn(self, lang: str) -> list[str]:
        """Names of the charts, each of which is drawn when it is scrolled to."""
        self.page.evaluate("document.querySelectorAll('.drill').forEach(part => (part.open = true))")
        plots = self.page.locator(f"main[lang={lang}] .plot")
        for number in range(plots.count()):
            plots.nth(number).scroll_into_view_if_needed()
            plots.nth(number).locator("svg.main-svg").first.wait_for()
        return [str(plot.get_attribute("data-figure")) for plot in plots.all()]

    def chart_text(self, lang: str, name: str) -> str:
        return str(self.page.text_content(f"main[lang={lang}] .plot[data-figure={name}]"))


@pytest.fixture
def opened(browser: Any, made: Callable[..., Made], tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    pages: list[Opened] = []

    def open_report(
        *, repeat: int = 1, lang: Any = "en", names: tuple[str, ...] | None = None, **context: Any
    ) -> Opened:
        results, series = made(repeat=repeat, **({"names": names} if names else {}))
        path = tmp_path / "report.html"
        views = {language: view_of(results, translator(language)) for language in LANGUAGES}
        path.write_text(render_html(results, series, views, lang), encoding="utf-8")
        pages.append(Opened(browser, path, **context))
        return pages[-1]

    yield open_report
    for page in pages:
        page.page.context.close()


@pytest.fixture
def opened_whole(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    results, series = whole_run()
    path = tmp_path / "report.html"
    views = {language: view_of(results, translator(language)) for language in LANGUAGES}
    path.write_text(render_html(results, series, views, "en"), encoding="utf-8")
    page = Opened(browser, path)
    yield page
    page.page.context.close()


def _until(report: Opened, expression: str) -> None:
    """Waits for a condition of the page; evaluated from outside, because the page's policy forbids `eval`."""
    deadline = time.monotonic() + 20
    while not report.page.evaluate(expression):
        assert time.monotonic() < deadline, f"never true: {expression}"
        report.page.evaluate("new Promise(requestAnimationFrame)")


def test_every_chart_is_drawn_in_both_languages_without_complaint_and_without_network(
    opened: Callable[..., Opened],
) -> None:
    report = opened()
    assert report.drawn("en") == ["timeline", "latency", "memory", "recovery"]
    assert "users: share of probe requests by outcome" in report.chart_text("en", "timeline")
    assert not report.page.is_visible("main[lang=ko]")

    report.page.click("[data-set-lang=ko]")
    assert report.drawn("ko") == ["timeline", "latency", "memory", "recovery"]
    assert "사용자: 프로브 요청의 결과별 비율" in report.chart_text("ko", "timeline")
    assert not report.page.is_visible("main[lang=en]")
    assert report.page.evaluate("document.documentElement.lang") == "ko"
    assert report.page.get_attribute("[data-set-lang=ko]", "aria-pressed") == "true"

    assert report.complaints == []
    assert [url for url in report.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_it_opens_in_the_language_it_was_made_for_and_follows_the_colour_scheme(
    opened: Callable[..., Opened],
) -> None:
    report = opened(lang="ko", color_scheme="dark")
    assert report.drawn("ko")
    assert report.page.is_visible("main[lang=ko]")
    assert not report.page.is_visible("main[lang=en]")
    colour = "document.querySelector('main[lang=ko] [data-figure=timeline]').data[0].fillcolor"
    dark = report.page.evaluate(colour)
    report.page.emulate_media(color_scheme="light")
    report.page.locator("main[lang=ko] [data-figure=timeline]").scroll_into_view_if_needed()
    _until(report, f"{colour} !== '{dark}'")


def test_repeats_can_be_chosen_charts_zoom_together_and_a_narrow_page_fits(
    opened: Callable[..., Opened],
) -> None:
    report = opened(repeat=3)
    report.drawn("en")
    report.page.select_option("main[lang=en] [data-choice]", "3")
    report.page.locator("main[lang=en] [data-figure=timeline]").scroll_into_view_if_needed()
    _until(
        report,
        "document.querySelector('main[lang=en] .plot[data-figure=timeline]').textContent.includes('repeat 3')",
    )
    report.page.click("main[lang=en] [data-zoom=near]")
    ranges = """['timeline', 'latency']
        .map(name => document.querySelector(`main[lang=en] [data-figure=${name}]`))
        .map(plot => JSON.stringify(plot.layout.xaxis2.range))"""
    _until(report, f"{ranges}.every(range => range === '[-1,4]')")
    report.page.set_viewport_size({"width": 380, "height": 800})
    _until(report, "document.documentElement.scrollWidth <= 380")
    assert report.complaints == []


def test_hostile_names_run_no_script_in_charts_or_text(opened: Callable[..., Opened]) -> None:
    name = "</script><img src=x onerror=window.hit=1><b>x</b>"
    report = opened(names=("single", name))
    report.drawn("en")
    assert report.page.evaluate("window.hit === undefined")
    assert name in report.chart_text("en", "timeline")
    assert report.page.locator("img").count() == 0
    assert report.complaints == []


def test_a_run_of_many_drills_draws_each_drills_charts_when_they_come_into_sight(
    opened_whole: Opened,
) -> None:
    report = opened_whole
    _until(
        report,
        "document.querySelectorAll('.plot svg.main-svg').length >= 0 && document.readyState === 'complete'",
    )
    last = f"main[lang=en] #en-{len(DRILLS)}"
    assert report.page.locator(f"{last} ~ section .plot svg.main-svg").count() == 0
    names = report.drawn("en")
    assert names.count("timeline") == names.count("recovery") == len(DRILLS)
    assert names.count("scaling") == names.count("impairment") == 1
    assert report.complaints == []


def test_the_contents_lead_to_a_drill_and_the_other_language_opens_at_the_same_one(
    opened_whole: Opened,
) -> None:
    report = opened_whole
    report.page.click(".contents[lang=en] summary")
    report.page.click(".contents[lang=en] a[href='#en-3']")
    _until(report, "Math.abs(document.getElementById('en-3').getBoundingClientRect().top) < 130")
    assert not report.page.is_visible(".contents[lang=en] ol")
    report.page.click("[data-set-lang=ko]")
    _until(report, "Math.abs(document.getElementById('ko-3').getBoundingClientRect().top) < 130")
    assert report.complaints == []
