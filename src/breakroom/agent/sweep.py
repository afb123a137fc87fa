"""Finds and removes everything of a run on this node that is not Docker's: by its mark on the things themselves.

Called by `acts` for `breakroom cleanup` and for the look after each run. What it looks for: processes that stay
(`lasting`), nft tables and netem in every network namespace that can be reached.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from breakroom.agent import lasting
from breakroom.agent.errors import ActError
from breakroom.agent.namespaces import each_namespace, in_network

__all__ = ["PREFIX", "sweep"]

PREFIX = "breakroom_"
"""What every mark begins with."""


def sweep(mark: str, *, dry: bool, spare: tuple[str, ...] = ()) -> dict[str, Any]:
    """Look for what bears `mark` (empty: anything of breakroom's), and remove it unless `dry`.

    Args:
        mark: a run's mark.
        dry: only say what there is.
        spare: marks of runs that are alive; what bears them is left. netem bears only a number made of the mark.

    Returns:
        `found`: `{"kind", "where", "what"}` each; `left`: those of them that could not be removed, with `reason`;
        `unseen`: how many namespaces could not be entered.
    """
    found: list[dict[str, Any]] = []
    left: list[dict[str, Any]] = []
    # The processes first: one that waits to cut would cut after its table was swept.
    for stayer in lasting.find(mark or PREFIX):
        if stayer.mark in spare:
            continue
        thing = {
            "kind": "process",
            "where": str(stayer.pid),
            "what": f"{stayer.mark} {stayer.task.get('kind', '')}",
        }
        found.append(thing)
        if not dry:
            try:
                lasting.end(stayer)
            except ActError as error:
                left.append({**thing, "reason": str(error)})
    from breakroom.agent import links, nft_wire, partition  # noqa: F401  # once here, not in each forked process

    unseen = 0
    for path, descriptor in each_namespace():
        where = _where(path)
        try:
            answer = in_network(descriptor, lambda: _in_namespace(mark, dry, spare))
        except ActError as error:
            unseen += error.code != "failed"
            continue
        found += [{**thing, "where": where} for thing in answer["found"]]
        left += [{**thing, "where": where} for thing in answer["left"]]
    return {"found": found, "left": left, "unseen": unseen}


def _in_namespace(mark: str, dry: bool, spare: tuple[str, ...]) -> dict[str, Any]:
    from breakroom.agent import links, nft_wire, partition

    found, left = [], []
    with nft_wire.opened() as socket:
        tables = [name for name in socket.tables() if (name == mark if mark else name.startswith(PREFIX))]
    for table in tables:
        if table in spare:
            continue
        found.append({"kind": "nft", "what": f"table inet {table}"})
        if not dry:
            try:
                partition.clear(table)
            except ActError as error:
                left.append({**found[-1], "reason": str(error)})
    spared = {name for one in spare for name in links.show(one)}
    for name in links.show(mark):
        if name in spared:
            continue
        found.append({"kind": "netem", "what": name})
        if not dry:
            try:
                links.clear(mark, name)
            except ActError as error:
                left.append({**found[-1], "reason": str(error)})
    return {"found": found, "left": left}


def _where(path: str) -> str:
    """A namespace as a person knows it: by its name, or by a process that is in it."""
    parts = Path(path).parts
    if parts[:2] == ("/", "proc") and parts[-2:] == ("ns", "net"):
        pid = str(os.getpid()) if parts[2] == "self" else parts[2]
        try:
            command = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            command = "?"
        return "the node" if parts[2] == "self" else f"process {pid} ({command})"
    return path
