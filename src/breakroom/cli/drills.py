"""`breakroom drills`: what can be run, with its title in the reader's language."""

from __future__ import annotations

import json as json_module
import sys

from rich.console import Console
from rich.table import Table

from breakroom.cli.language import choose_translator
from breakroom.spec.index import read_index

__all__ = ["drills_command"]


def drills_command(*, lang: str, json: bool) -> int:
    """Print the built-in drills; returns 0."""
    tr = choose_translator(lang)
    known = read_index()
    if json:
        print(json_module.dumps(known, indent=2, ensure_ascii=False))
        return 0
    table = Table(box=None, padding=(0, 2, 1, 0), header_style="bold", pad_edge=False)
    table.add_column(tr.gettext("DRILL"), no_wrap=True)
    table.add_column(tr.gettext("WHAT IT DOES"), overflow="fold")
    table.add_column(tr.gettext("PACES"), no_wrap=True)
    for drill in known:
        text = f"{tr.text_of(drill['title'])}\n{tr.text_of(drill['description'])}".strip()
        table.add_row(drill["name"], text, ", ".join(drill["paces"]))
    Console(file=sys.stdout).print(table)
    return 0
