"""The contract: every row, on every platform that it is for. What is played is in the `plays_*` modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract import scenarios
from contract.page import render
from contract.rows import ROWS
from contract.stages import PLATFORMS

assert scenarios.__all__
CASES = [
    pytest.param(name, platform, id=f"{platform}-{name}")
    for platform in PLATFORMS
    for name, (scenario, _) in ROWS.items()
    if platform in scenario.platforms
]


@pytest.mark.timeout(600)  # the first row of a platform waits for all of its scenarios
@pytest.mark.parametrize(("row_name", "platform"), CASES)
def test_contract_row_holds(row_name: str, platform: str, outcome: dict[str, Any]) -> None:
    if outcome["outcome"] == "skipped":
        pytest.skip(outcome["why"])
    if outcome["outcome"] != "ok":
        # Without a traceback: what broke was played elsewhere, and the row and its reason are all that is known here.
        pytest.fail(f"{ROWS[row_name][1].sentence}: {outcome['why']}", pytrace=False)


def test_the_page_on_the_contract_lists_its_rows() -> None:
    page = Path(__file__).parents[2] / "docs" / "contract.md"
    assert page.read_text(encoding="utf-8") == render(), "make it anew: python -m contract.page"
