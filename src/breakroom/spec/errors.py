"""Mistakes in people's files: where each is, what is wrong, why it probably happened, and the correct form.

Every module of this package that reads a file adds to a `Problems`; the loader raises what it gathered, all at
once, as one `SpecErrors`. The command line prints it. Pure.

    Exception
    └── SpecErrors   a drill could not be loaded; `.errors` holds one `SpecError` for each mistake

"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["NOWHERE", "Place", "Problems", "SpecError", "SpecErrors", "nearest"]


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file. Lines and columns count from 1; 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0


NOWHERE = Place("")
"""For values that stand in no file."""


@dataclass(frozen=True, slots=True)
class SpecError:
    """One mistake.

    `path` names the value in the file's own structure, such as `service.healthcheck.interval`; `correct` is what to
    write instead.
    """

    file: str
    line: int
    column: int
    path: str
    what: str
    cause: str
    correct: str

    def __str__(self) -> str:
        where = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])
        lines = [f"{where}: {self.path}: {self.what}" if self.path else f"{where}: {self.what}"]
        if self.cause:
            lines.append(f"    likely cause: {self.cause}")
        if self.correct:
            first, *rest = self.correct.splitlines()
            lines += [f"    correct form: {first}", *(f"                  {line}" for line in rest)]
        return "\n".join(lines)


class SpecErrors(Exception):  # noqa: N818  # it holds errors; the plural is the point
    """A drill could not be loaded. `errors` holds every mistake, in the order of the files' lines."""

    def __init__(self, errors: Iterable[SpecError]) -> None:
        self.errors = tuple(errors)
        count = f"{len(self.errors)} mistakes" if len(self.errors) != 1 else "1 mistake"
        super().__init__("\n\n".join([f"{count} found; nothing was run.", *map(str, self.errors)]))


class Problems:
    """Gathers mistakes. A value that is read more than once (by several contenders) is reported once."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, int, int, str], SpecError] = {}
        self._files: dict[str, int] = {}
        self.noted = 0
        """How often a mistake was noted, repeats included: it grows if what was just read is not usable."""

    def add(self, place: Place, path: str, what: str, *, cause: str = "", correct: str = "") -> None:
        """Note one mistake."""
        self.noted += 1
        self._files.setdefault(place.file, len(self._files))
        key = (place.file, place.line, place.column, what)
        if key not in self._errors:
            self._errors[key] = SpecError(place.file, place.line, place.column, path, what, cause, correct)

    def raise_if_any(self) -> None:
        """End here if there was a mistake.

        Raises:
            SpecErrors: with all of them, by file and line.
        """
        if self._errors:
            order = sorted(self._errors.values(), key=lambda e: (self._files[e.file], e.line, e.column))
            raise SpecErrors(order)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    by_folded = {name.lower().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), list(by_folded), n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None
