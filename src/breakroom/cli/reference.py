"""Writes docs/cli.md, the reference of every command and option, from the command line's own definitions.

Run by people (`python -m breakroom.cli.reference > docs/cli.md`) and by a test that keeps the page current. Pure but
for printing.
"""

from __future__ import annotations

from typing import Any

from breakroom.cli.commands import default_of
from breakroom.cli.main import app

__all__ = ["render_reference"]

_HEAD = """\
# Command line

Made by `python -m breakroom.cli.reference`. Exit codes: `0` met, `1` not met, `2` wrong use, `3` unknown or aborted.
"""


def render_reference() -> str:
    """The page, as Markdown."""
    return "\n".join([_HEAD, *(_command(name, command) for name, command in app.commands.items())])


def _command(name: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    usage = " ".join(
        [
            "breakroom",
            name,
            *(["[OPTIONS]"] if options else []),
            *(str(p.metavar or p.name) for p in arguments),
        ]
    )
    rows = [f"| `{_escaped(p.metavar or p.name)}` | {_text(p)} | {_default(p)} |" for p in arguments]
    rows += [f"| {_names(p)} | {_text(p)} | {_default(p)} |" for p in options]
    table = ["| argument or option | what it does | default |", "|---|---|---|", *rows, ""]
    return "\n".join([f"## {name}", "", command.help or "", "", f"    {usage}", "", *table])


def _names(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    return names if param.is_flag or not param.metavar else f"{names} `{_escaped(param.metavar)}`"


def _text(param: Any) -> str:
    return _escaped(str(getattr(param, "help", "") or ""))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _default(param: Any) -> str:
    value = default_of(param)
    return f"`{value}`" if value else ""


if __name__ == "__main__":
    print(render_reference(), end="")
