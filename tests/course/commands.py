"""The project's list of the course's commands: `commands.toml`, checked while it is read.

Used by the runner and the tests. Says for each how it is run so that it ends.
"""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HANDOUT", "Command", "course_commands"]

HANDOUT = Path(__file__).parents[3] / "shared" / "course" / "handout.ko.md"
"""The course's own text, where it lies beside the checkout."""
_LIST = Path(__file__).with_name("commands.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command; the fields are explained at the top of `commands.toml`."""

    id: str
    step: str
    outcome: str
    check: str
    line: str = ""
    extra: bool = False
    why: str = ""
    count: int = 0
    seconds: int = 0
    terminal: bool = False
    background: bool = False
    join: str = ""
    interface: str = ""
    limit: int = 180
    """Seconds after which a command that should have ended is killed and failed."""
    within: int = 0

    def script(self, interface: str) -> str:
        """What bash is given: the line as written, but for an endless loop's count and the interface's name."""
        script = self.line
        if self.count:
            script = script.replace("while true;", f"for round in $(seq {self.count});", 1)
        if self.interface:
            script = script.replace(self.interface, interface)
        if self.background:
            script = script.removesuffix("&").rstrip()
        return script

    def words(self, interface: str) -> list[str]:
        """The process to start: bash with the script, ended by Ctrl-C in time, on a terminal if it needs one."""
        words = ["bash", "-c", self.script(interface)]
        if self.terminal:
            words = ["script", "--quiet", "--return", "--command", shlex.join(words), "/dev/null"]
        if self.seconds:
            words = ["timeout", "--signal=INT", "--kill-after=5", str(self.seconds), *words]
        return words

    def how(self, interface: str) -> str:
        """How it is run otherwise than as written; empty if it is not."""
        parts = []
        if self.count:
            parts.append(f"{self.count} rounds")
        if self.seconds and not self.join:
            parts.append(f"Ctrl-C after {self.seconds} s")
        if self.terminal:
            parts.append("on a pseudo-terminal")
        if self.background:
            parts.append("beside the following commands")
        if self.interface and self.interface != interface:
            parts.append(f"{self.interface} is {interface} here")
        return ", ".join(parts)


def course_commands() -> tuple[Command, ...]:
    """The list, in the course's order."""
    with _LIST.open("rb") as file:
        entries = tomllib.load(file)["command"]
    return tuple(Command(**{**entry, "line": entry.get("line", "").strip()}) for entry in entries)
