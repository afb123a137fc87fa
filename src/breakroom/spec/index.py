"""The list of built-in drills, ready to print: so that `breakroom drills` need not read seventeen YAML files first.

`python -m breakroom.spec.index` writes `drills/index.json` from the drills; `scripts/check` and a test say when it is
not current. Reading it is for the command line, and loads nothing but JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import breakroom.drills

__all__ = ["INDEX", "read_index", "render_index"]

INDEX = Path(breakroom.drills.__file__).with_name("index.json")


def read_index() -> list[dict[str, Any]]:
    """Each drill's `name`, `title` and `description` (by language code) and `paces`, in the order of the names."""
    found: list[dict[str, Any]] = json.loads(INDEX.read_text(encoding="utf-8"))
    return found


def render_index() -> str:
    """What the file must hold."""
    from breakroom.spec.loader import builtin_drills  # the YAML reader, which reading the index is to spare

    rows = [
        {"name": one.name, "title": one.title, "description": one.description, "paces": list(one.paces)}
        for one in builtin_drills()
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    INDEX.write_text(render_index(), encoding="utf-8")
