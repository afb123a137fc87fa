"""The report of the whole run, opened in a real browser, offline, in both languages."""

from __future__ import annotations

import shutil

import pytest

from whole_run.evidence import WholeRun

CHROMIUM = shutil.which("chromium")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

pytestmark = [
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"
    ),
]


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_report_opens_offline_draws_its_charts_and_reports_no_error(whole: WholeRun, lang: str) -> None:
    from playwright.sync_api import sync_playwright

    page_file = whole.trial("kill", "orchestrated").run / "report.html"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = browser.new_context(offline=True, locale="ko-KR" if lang == "ko" else "en-US")
        page = context.new_page()
        troubles: list[str] = []
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(page_file.as_uri())
        page.get_by_role("button", name={"en": "English", "ko": "한국어"}[lang]).click()
        # Every part is opened and scrolled to: charts are drawn when they come into view.
        page.evaluate("document.querySelectorAll('.drill').forEach(part => { part.open = true })")
        plots = page.locator(f"main[lang={lang}] .plot")
        count = plots.count()
        assert count >= 2 * len(whole.results("kill")["drills"])
        drawn = 0
        for number in range(count):
            plot = plots.nth(number)
            if plot.is_visible():
                plot.scroll_into_view_if_needed()
                plot.locator("svg.main-svg").first.wait_for(timeout=20_000)
                drawn += 1
        assert drawn >= len(whole.results("kill")["drills"])
        assert troubles == []
        browser.close()
