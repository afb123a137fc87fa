"""The terminal says why numbers cannot be trusted, as the report does."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from breakroom.analysis.results import Reason, RunResults
from breakroom.i18n import Language, translator
from breakroom.live.summary import _print_doubts


def _said(lang: Language, trials: list[tuple[str, Reason]]) -> str:
    """What is printed of trials of these contenders, each with that reason."""
    found = [SimpleNamespace(contender=name, reasons_unknown=(why,)) for name, why in trials]
    results: RunResults = SimpleNamespace(trials=found)  # type: ignore[assignment]
    out = io.StringIO()
    _print_doubts(Console(file=out, width=300), results, translator(lang))
    return out.getvalue()


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_each_reason_is_said_once_for_each_contender(lang: Language) -> None:
    why = Reason(code="unknown.cut-off", params={"phase": "watching"})
    said = _said(lang, [("single", why), ("single", why), ("orchestrated", why)])
    lines = said.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["? single", "? orchestrated"]
    text = translator(lang).reason(why)
    assert all(text in line for line in lines)


def test_what_was_skipped_is_not_said_twice() -> None:
    why = Reason(code="unknown.skipped", params={"message": "node_loss: one node"})
    assert _said("en", [("single", why)]) == ""
