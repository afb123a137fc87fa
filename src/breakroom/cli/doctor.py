"""`breakroom doctor`: what works on this machine, each thing tried, with the way to get the rest."""

from __future__ import annotations

import asyncio
import json as json_module
import sys
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from breakroom.cli.exits import UNKNOWN
from breakroom.cli.language import choose_translator
from breakroom.i18n import Translator, translator
from breakroom.safety.deeds import render
from breakroom.safety.doctor.examine import examine
from breakroom.safety.doctor.rows import AREAS, STATUSES, TITLES, Area, Row, works

__all__ = ["doctor_command"]

_STYLES = {"ok": "green", "degraded": "yellow", "missing": "red"}
_INDENT = 4
_LEAST_WIDTH = 30


def doctor_command(*, out: Path, lang: str, json: bool) -> int:
    """Carry out the command; returns 0 if drills can run on at least one platform, 3 if on none."""
    tr = choose_translator(lang)
    console, waiting = Console(file=sys.stdout), Console(stderr=True)
    area: list[Area] = []

    with waiting.status("") as status:

        def begin(check: str) -> None:
            status.update(tr.say("trying: {what}", what=tr.gettext(TITLES[check])))

        def tell(row: Row) -> None:
            if json:
                return
            if row.area not in area:
                area.append(row.area)
                console.print(Text("\n" + tr.gettext(AREAS[row.area]), style="bold"))
            _print_row(console, row, tr)

        rows = asyncio.run(examine(out, begin, tell))
    usable = [name for name in AREAS if works(rows, name) and (name != "swarm" or works(rows, "docker"))]
    if json:
        print(json_module.dumps(_as_json(rows, usable), indent=2, ensure_ascii=False))
    else:
        _print_end(console, usable, tr)
    return 0 if usable else UNKNOWN


def _print_row(console: Console, row: Row, tr: Translator) -> None:
    """`ok        Memory limit: cgroup-v1, tried`, and below it what is wrong, what that means and the way out."""
    words = {status: tr.gettext(text) for status, text in STATUSES.items()}
    widest = max(map(cell_len, words.values()))
    line = Text("  ")
    line.append(set_cell_size(words[row.status], widest), style=_STYLES[row.status])
    line.append("  " + tr.gettext(TITLES[row.check]))
    if row.found:
        line.append(f": {render(row.found, tr)}")
    console.print(line, highlight=False, soft_wrap=True)
    if row.status == "ok":
        return
    means, way = render(row.means, tr), render(row.way, tr)
    below = [means, tr.say("to get it: {way}", way=way) if way else ""]
    for text in filter(None, below):
        room = max(_LEAST_WIDTH, console.width - widest - _INDENT)
        for part in Text(text).wrap(console, room):
            part.rstrip()
            console.print(Text(" " * (widest + _INDENT)) + part, highlight=False, soft_wrap=True)


def _print_end(console: Console, usable: list[Area], tr: Translator) -> None:
    console.print()
    if not usable:
        console.print(tr.gettext("Drills cannot run here yet: what is missing stands above."))
        return
    console.print(
        tr.say("Drills run here with: {ways}", ways=", ".join(f"--platform {name}" for name in usable)),
        highlight=False,
        soft_wrap=True,
    )


def _as_json(rows: list[Row], usable: list[Area]) -> dict[str, object]:
    english = translator("en")
    return {
        "usable": usable,
        "checks": [
            {
                "area": row.area,
                "check": row.check,
                "status": row.status,
                "needed": row.needed,
                "found": render(row.found, english),
                "means": render(row.means, english),
                "way": render(row.way, english),
                "took_s": round(row.took_s, 3),
            }
            for row in rows
        ],
    }
