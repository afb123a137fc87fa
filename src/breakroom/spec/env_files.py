"""Files of `NAME=value` lines: Compose's `.env` and `env_file`.

Called by `spec.compose`. Reads files, changes nothing. Source: Compose specification, "env_file format": blank
lines and `#` lines are skipped, `export ` is allowed, double quotes know backslash escapes, single quotes
nothing, an unquoted value ends at ` #`. Variables inside these files are not replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from breakroom.spec.errors import Place, Problems
from breakroom.spec.yaml_reader import read_text

__all__ = ["Environment", "read_env_text"]

_LINE = re.compile(
    r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)\s*(?:(?P<equals>=)\s*(?P<value>.*))?", re.DOTALL
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class Environment:
    """The variables that a file's values see: the caller's, over those of a `.env` file beside the file."""

    def __init__(self, variables: Mapping[str, str], problems: Problems) -> None:
        self._variables = variables
        self._problems = problems
        self._by_folder: dict[Path, Mapping[str, str]] = {}

    def of(self, file: str) -> Mapping[str, str]:
        """Variables for values that stand in `file`."""
        folder = Path(file).parent
        if folder not in self._by_folder:
            beside = folder / ".env"
            found: dict[str, str] = {}
            if (
                beside.is_file()
                and (text := read_text(beside, Place(str(beside)), self._problems)) is not None
            ):
                found = {
                    k: v for k, v in read_env_text(text, str(beside), self._problems).items() if v is not None
                }
            self._by_folder[folder] = {**found, **self._variables}
        return self._by_folder[folder]


def read_env_text(text: str, file: str, problems: Problems, *, raw: bool = False) -> dict[str, str | None]:
    """Read the lines of one file; a name without `=` becomes None. `raw`: values are taken as they are."""
    values: dict[str, str | None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            problems.add(
                Place(file, number),
                "",
                "this line is not NAME=value",
                cause="a name begins with a letter; a value of several lines is not supported",
                correct="NAME=value",
            )
            continue
        value = match["value"] if match["equals"] else None
        values[match["name"]] = value if value is None or raw else _unquoted(value)
    return values


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), value[1:-1])
    return re.split(r"\s+#", value, maxsplit=1)[0].rstrip()
