"""What a clean-up did, thing by thing: plain data that the command prints as text or JSON.

Made by the sweepers of this room, read by `cli.cleanup`. Pure. Texts are English templates with their parameters, so
that they are translated where they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from breakroom.i18n import Translator
from breakroom.i18n.terms import N_

__all__ = ["DONE", "THINGS", "Deed", "Done", "Said", "clean", "render", "said"]

Done = Literal["removed", "restored", "ended", "would", "kept", "failed", "note"]

DONE: dict[str, str] = {
    "removed": N_("removed"),
    "restored": N_("restored"),
    "ended": N_("ended"),
    "would": N_("would undo"),
    "kept": N_("left alone"),
    "failed": N_("could not"),
    "note": N_("note"),
}
"""How each kind of deed is called."""

THINGS: dict[str, str] = {
    "service": N_("service"),
    "container": N_("container"),
    "secret": N_("secret"),
    "config": N_("config"),
    "network": N_("network"),
    "volume": N_("volume"),
    "node": N_("node"),
    "swarm": N_("Swarm"),
    "kernel": N_("kernel"),
    "process": N_("process"),
    "cgroup": N_("control group"),
    "directory": N_("directory"),
    "undo": N_("planned undo"),
    "run": N_("run"),
    "daemon": N_("Docker daemon"),
}
"""How each kind of thing is called."""


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence: an English template of the catalogue and what fills it in. Empty template: nothing to say."""

    template: str = ""
    params: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.template)


def said(template: str, **params: Any) -> Said:
    """`Said` in one line; the template is to be marked with `N_` where it is written."""
    return Said(template, params)


def render(sentence: Said, tr: Translator) -> str:
    """The sentence in the reader's language; one that fills another in is translated, too. Empty stays empty."""
    if not sentence:
        return ""
    params = {
        name: render(value, tr) if isinstance(value, Said) else value
        for name, value in sentence.params.items()
    }
    return tr.say(sentence.template, **params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing, and what became of it."""

    done: Done
    thing: str
    """A key of `THINGS`."""
    name: str
    run: str = ""
    """The run it was of, where that is known."""
    why: Said = field(default_factory=Said)
    """Why it could not be done, why it was left alone, or what it was."""


def clean(deeds: Iterable[Deed]) -> bool:
    """Whether nothing that should have gone is still there."""
    return not any(deed.done == "failed" for deed in deeds)
