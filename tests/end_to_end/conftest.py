"""A fresh directory with the command line in it for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from end_to_end.tool import Tool


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """The command line in an empty directory."""
    return Tool(tmp_path)
