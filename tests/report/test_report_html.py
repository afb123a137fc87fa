"""The HTML report as text: well-formed, self-contained, safe, in both languages, bounded in size, always the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from breakroom.analysis.results import RunResults
from breakroom.analysis.series import TrialSeries
from breakroom.i18n import LANGUAGES, translator
from breakroom.report.html import drill_figures, render_html
from breakroom.report.view import view_of

Made = tuple[RunResults, dict[str, TrialSeries]]
VOID = {"meta", "link", "br", "hr", "img", "input", "col", "wbr"}
HOSTILE = "</script><img src=x onerror=alert(1)>&\"'|`"


def _render(made: Made) -> str:
    results, series = made
    return render_html(
        results, series, {lang: view_of(results, translator(lang)) for lang in LANGUAGES}, "en"
    )


class _Page(HTMLParser):
    """Checks nesting, and collects ids, addresses, event handlers, images and text by language."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.keys: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.tags: dict[str, int] = {}
        self.text: dict[str, str] = {"en": "", "ko": ""}
        self._lang = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.addresses += [
            value or "" for name, value in attrs if name in {"src", "href", "action", "data", "poster"}
        ]
        if "data-figures" in values:
            self.keys.append(str(values["data-figures"]))
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if tag == "main":
            self._lang = str(values["lang"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> at {self.getpos()} closes {self.open[-1:]}")
            return
        self.open.pop()
        if tag == "main":
            self._lang = ""

    def handle_data(self, data: str) -> None:
        if self._lang:
            self.text[self._lang] += data


def _parse(html: str) -> _Page:
    page = _Page()
    page.feed(html)
    page.close()
    return page


def test_the_page_is_well_formed(made: Callable[..., Made]) -> None:
    page = _parse(_render(made(repeat=3)))
    assert page.faults == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_the_page_refers_to_nothing_outside_itself(made: Callable[..., Made]) -> None:
    html = _render(made())
    page = _parse(html)
    assert page.addresses
    assert all(address.startswith("#") and address[1:] in page.ids for address in page.addresses)
    assert page.tags.get("link", 0) == 0
    assert "default-src 'none'" in html
    style = html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_both_languages_stand_in_the_page(made: Callable[..., Made]) -> None:
    page = _parse(_render(made()))
    assert "with “single”, the service was down for" in page.text["en"]
    assert re.search(r"에서는 서비스가 [\d.]+초 동안 중단되었습니다", page.text["ko"])
    assert "복제본 프로세스 강제 종료" in page.text["ko"]
    assert not re.search("[가-힣]", page.text["en"])


def test_every_value_of_the_comparison_stands_in_the_page(made: Callable[..., Made]) -> None:
    results, series = made()
    html = _render((results, series))
    for lang in LANGUAGES:
        for row in view_of(results, translator(lang)).drills[0].rows:
            for cell in row.cells:
                assert f">{cell.text}</span>" in html


def test_hostile_names_do_nothing_and_are_shown(made: Callable[..., Made]) -> None:
    html = _render(made(names=("single", HOSTILE), drill="kill"))
    page = _parse(html)
    assert page.faults == []
    assert page.tags.get("img", 0) == 0
    assert page.handlers == []
    assert page.tags["script"] == 3
    assert HOSTILE in page.text["en"]
    assert HOSTILE in page.text["ko"]


def test_hostile_drill_names_survive_as_the_key_of_their_charts(made: Callable[..., Made]) -> None:
    html = _render(made(drill=HOSTILE))
    page = _parse(html)
    assert page.keys == [HOSTILE]
    data = (
        html.split('<script type="application/json" data-figures=')[1].split(">", 1)[1].split("</script>")[0]
    )
    assert "timeline:0" in json.loads(data)


def test_names_are_escaped_inside_charts(made: Callable[..., Made]) -> None:
    results, series = made(names=("single", "<a href='javascript:1'>x</a>"))
    text = json.dumps(drill_figures(results.drills[0], results, series))
    assert "<a href" not in text
    assert "&lt;a href" in text


def test_the_same_findings_give_the_same_page(made: Callable[..., Made]) -> None:
    assert _render(made(repeat=2)) == _render(made(repeat=2))


@pytest.mark.parametrize("repeat", [1, 20, 40])
def test_the_page_stays_below_six_megabytes(made: Callable[..., Made], repeat: int) -> None:
    assert len(_render(made(repeat=repeat)).encode()) < 6_000_000


def test_repeats_can_be_chosen_and_have_their_charts(made: Callable[..., Made]) -> None:
    results, series = made(repeat=3)
    figures = drill_figures(results.drills[0], results, series)
    assert {f"timeline:{choice}" for choice in range(4)} <= set(figures)
    assert _render((results, series)).count("<option") == 2 * 4


def test_a_run_without_one_trial_is_still_a_page(made: Callable[..., Made]) -> None:
    results, _ = made()
    empty = RunResults(
        **{name: getattr(results, name) for name in results.__struct_fields__}
        | {"drills": (), "trials": (), "claims": (), "outcome": "cut-off"}
    )
    page = _parse(_render((empty, {})))
    assert page.faults == []
    assert "Nothing was measured" in page.text["en"]
    assert "did not end by itself (cut off)" in page.text["en"]


def test_reasons_for_distrust_stand_at_the_top(made: Callable[..., Made]) -> None:
    results, series = made()
    from msgspec.structs import replace

    from breakroom.analysis.results import Reason

    doubtful = replace(
        results.trials[0],
        reasons_unknown=(Reason(code="unknown.fault-unproved", params={"kind": "kill"}),),
    )
    changed = replace(results, trials=(doubtful, *results.trials[1:]))
    text = _parse(_render((changed, series))).text["en"]
    assert text.index("nothing proves that it took effect") < text.index("Comparison")
