"""Click's commands with two things that click leaves out: defaults in the help, and whole sentences in the list.

Used by `cli.main` and, for the reference, by `cli.reference`. Imports click only.
"""

from __future__ import annotations

from typing import Any

import click

__all__ = ["Command", "Group", "default_of"]

_WHOLE = 1_000


class Command(click.Command):
    """A command whose help shows the defaults of its options."""

    def __init__(self, *words: Any, **settings: Any) -> None:
        super().__init__(*words, **settings)
        for param in self.params:
            if isinstance(param, click.Option) and default_of(param):
                param.show_default = True

    def get_short_help_str(self, limit: int = _WHOLE) -> str:  # noqa: ARG002  # what comes is what would be cut to
        """The first sentence, whole: the list wraps it."""
        return super().get_short_help_str(_WHOLE)


class Group(click.Group):
    """A group of them."""

    command_class = Command


def default_of(param: click.Parameter) -> str:
    """The default that a reader should know of, as text; empty: there is none, or it goes without saying."""
    value = param.default
    is_one = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if is_one and value != "" else ""
