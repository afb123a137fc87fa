"""`breakroom drills`: what can be run, with its title in the reader's language.

Lays its one table out by itself: loading rich for it takes longer than all the rest of the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from unicodedata import combining, east_asian_width

from breakroom.cli.language import choose_translator
from breakroom.spec.listed import DRILLS

__all__ = ["drills_command", "wrapped"]

_GAP = "  "
_NARROWEST = 20
_WIDTH = 80
"""Where nothing tells: a pipe, a file."""
_BOLD, _PLAIN = "\033[1m", "\033[0m"


def drills_command(*, lang: str, json: bool) -> int:
    """Print the built-in drills; returns 0."""
    tr = choose_translator(lang)
    if json:
        import json as json_module

        print(json_module.dumps(DRILLS, indent=2, ensure_ascii=False))
        return 0
    rows = [
        (
            drill["name"],
            f"{tr.text_of(drill['title'])}\n{tr.text_of(drill['description'])}".strip(),
            ", ".join(drill["paces"]),
        )
        for drill in DRILLS
    ]
    head = (tr.gettext("DRILL"), tr.gettext("WHAT IT DOES"), tr.gettext("PACES"))
    names, paces = (max(_cells(row[place]) for row in (head, *rows)) for place in (0, 2))
    middle = max(_columns() - names - paces - 2 * len(_GAP), _NARROWEST)
    bold, plain = (_BOLD, _PLAIN) if sys.stdout.isatty() else ("", "")
    print(f"{bold}{_line(head, names, middle)}{plain}")
    for name, what, speeds in rows:
        cells = (name, "", speeds)
        for number, line in enumerate(wrapped(what, middle)):
            print(_line((cells[0], line, cells[2]) if number == 0 else ("", line, ""), names, middle))
        print()
    return 0


def _columns() -> int:
    """The terminal's width, as `shutil.get_terminal_size` finds it; loading that takes 6 ms of the command's 140."""
    wished = os.environ.get("COLUMNS", "")
    if wished.isdecimal() and int(wished) > 0:
        return int(wished)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        return _WIDTH


def wrapped(text: str, width: int) -> Iterator[str]:
    """The text's lines, broken at blanks so that none is wider than `width` cells; a longer word stands alone."""
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            if line and _cells(line) + 1 + _cells(word) > width:
                yield line
                line = word
            else:
                line = f"{line} {word}" if line else word
        yield line


def _line(cells: tuple[str, str, str], names: int, middle: int) -> str:
    name, what, paces = cells
    return _GAP.join((_padded(name, names), _padded(what, middle), paces)).rstrip()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _cells(text))


def _cells(text: str) -> int:
    """How wide it is in a terminal: Korean takes two cells a character."""
    return sum(0 if combining(char) else 2 if east_asian_width(char) in {"W", "F"} else 1 for char in text)
