"""The list of built-in drills, ready to print: so that `breakroom drills` need not read seventeen YAML files first.

`python -m breakroom.spec.index` writes `drills/index.json` from the drills; `scripts/check` and a test say when it is
not current. Reading it is for the command line, and loads nothing but JSON.
"""

from __future__ import annotations

import json
import os.path
from typing import Any

import breakroom.drills

__all__ = ["INDEX", "read_index", "render_index"]

INDEX = os.path.join(os.path.dirname(breakroom.drills.__file__), "index.json")  # noqa: PTH118, PTH120  # no pathlib: it takes 7 ms


def read_index() -> list[dict[str, Any]]:
    """Each drill's `name`, `title` and `description` (by language code) and `paces`, in the order of the names."""
    with open(INDEX, encoding="utf-8") as file:  # noqa: PTH123
        found: list[dict[str, Any]] = json.load(file)
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
    with open(INDEX, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(render_index())
