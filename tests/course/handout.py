"""The commands of the course's handout, read from its Markdown. Used by `test_course_list`. Pure."""

from __future__ import annotations

import re

__all__ = ["handout_commands"]

_BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def handout_commands(text: str) -> list[str]:
    """Every command in the handout's bash blocks, in order, without comments and empty lines.

    A command goes on over lines that end in a backslash, and a loop to its `done`.
    """
    commands: list[str] = []
    for block in _BLOCK.findall(text):
        begun: list[str] = []
        for line in block.splitlines():
            if not begun and (not line.strip() or line.startswith("#")):
                continue
            begun.append(line)
            in_loop = begun[0].startswith("while ") and line.strip() != "done"
            if not in_loop and not line.endswith("\\"):
                commands.append("\n".join(begun))
                begun = []
        if begun:
            commands.append("\n".join(begun))
    return commands
