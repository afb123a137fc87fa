"""The Markdown report: valid tables, escaped names, the course's section, both languages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from breakroom.analysis.results import RunResults
from breakroom.analysis.series import TrialSeries
from breakroom.i18n import LANGUAGES, Language, translator
from breakroom.report.markdown import escape, render_markdown
from breakroom.report.view import view_of

Made = tuple[RunResults, dict[str, TrialSeries]]


def _render(made: Made, lang: Language) -> str:
    t = translator(lang)
    return render_markdown(view_of(made[0], t), t)


def _columns(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    "names", [("single", "single-restart", "orchestrated"), ("a|b", "c\nd", "</script><img>")]
)
def test_every_table_has_a_head_and_rows_of_equal_width(
    made: Callable[..., Made], lang: Language, names: tuple[str, ...]
) -> None:
    lines = _render(made(repeat=3, names=names), lang).splitlines()
    heads = [index for index, line in enumerate(lines) if re.fullmatch(r"\|( --- \|)+", line)]
    assert len(heads) >= 7
    for index in heads:
        assert lines[index - 2] == ""
        width = _columns(lines[index])
        assert _columns(lines[index - 1]) == width
        end = index + 1
        while end < len(lines) and lines[end].startswith("|"):
            assert _columns(lines[end]) == width
            end += 1
        assert end > index + 1


def test_modelled_values_are_marked_and_the_mark_explained(made: Callable[..., Made]) -> None:
    text = _render(made(), "en")
    outage = next(line for line in text.splitlines() if line.startswith("| Outage, total"))
    cells = outage.split("|")[2:5]
    assert ["†" in cell for cell in cells] == [True, False, False]
    assert "\n† modelled, not measured" in text


def test_repeats_show_interval_and_each_value(made: Callable[..., Made]) -> None:
    text = _render(made(repeat=3), "en")
    assert "95% interval" in text
    assert "| Number | Contender | 1 | 2 | 3 |" in text


def test_special_characters_are_escaped() -> None:
    assert escape("a|b <c> *d* `e`\nf [g](h)") == r"a\|b \<c\> \*d\* \`e\` f \[g\](h)"


def test_the_same_findings_give_the_same_text(made: Callable[..., Made]) -> None:
    assert _render(made(), "ko") == _render(made(), "ko")
