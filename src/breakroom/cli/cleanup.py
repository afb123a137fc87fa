"""`breakroom cleanup`: undo what killed runs left, and say line by line what was done."""

from __future__ import annotations

import asyncio
import json as json_module
import sys

from rich.console import Console
from rich.text import Text

from breakroom.cli.exits import UNKNOWN
from breakroom.cli.language import choose_translator
from breakroom.i18n import Translator, translator
from breakroom.safety.cleanup import clean_up
from breakroom.safety.deeds import DONE, THINGS, Deed, clean, render
from breakroom.safety.standing import Wish

__all__ = ["cleanup_command"]

_STYLES = {"removed": "green", "restored": "green", "ended": "green", "failed": "bold red", "kept": "yellow"}


def cleanup_command(*, run: str, dry_run: bool, force: bool, lang: str, json: bool) -> int:
    """Carry out the command; returns 0 if nothing is left that should have gone, 3 otherwise."""
    tr = choose_translator(lang)
    console, waiting = Console(file=sys.stdout), Console(stderr=True)

    def tell(deed: Deed) -> None:
        if not json:
            console.print(_line(deed, tr), soft_wrap=True, highlight=False)

    with waiting.status(tr.gettext("looking for what killed runs left")):
        deeds = asyncio.run(clean_up(Wish(run=run, force=force, dry_run=dry_run), tell))
    if json:
        rows = [_row(deed) for deed in deeds]
        print(
            json_module.dumps(
                {"clean": clean(deeds), "dry_run": dry_run, "deeds": rows}, indent=2, ensure_ascii=False
            )
        )
    else:
        console.print(_summary(deeds, tr, dry_run=dry_run), highlight=False, soft_wrap=True)
    return 0 if clean(deeds) else UNKNOWN


def _line(deed: Deed, tr: Translator) -> Text:
    """`removed    container breakroom-ab12-web: it was paused  [20260101-…-ab12]`."""
    line = Text()
    line.append(tr.gettext(DONE[deed.done]) + "  ", style=_STYLES.get(deed.done, ""))
    line.append(tr.gettext(THINGS[deed.thing]) + " " + deed.name)
    if deed.why:
        line.append(f": {render(deed.why, tr)}")
    if deed.run and deed.run != deed.name:
        line.append(f"  [{deed.run}]", style="dim")
    return line


def _row(deed: Deed) -> dict[str, object]:
    return {
        "done": deed.done,
        "thing": deed.thing,
        "name": deed.name,
        "run": deed.run,
        "why": render(deed.why, translator("en")),
    }


def _summary(deeds: list[Deed], tr: Translator, *, dry_run: bool) -> str:
    failed = sum(deed.done == "failed" for deed in deeds)
    if failed:
        return tr.say(
            "{count:count} {count:plural:thing|things} could not be undone; mend what is named above and run it again.",
            count=failed,
        )
    if dry_run:
        would = sum(deed.done == "would" for deed in deeds)
        return tr.say(
            "{count:count} {count:plural:thing|things} would be undone; nothing was changed.", count=would
        )
    done = sum(deed.done in {"removed", "restored", "ended"} for deed in deeds)
    if done:
        return tr.say(
            "{count:count} {count:plural:thing|things} undone; nothing of a killed run is left.", count=done
        )
    return tr.gettext("Nothing of a killed run was left.")
