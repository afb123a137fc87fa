"""Removing what cut-off runs left in the kernel of a daemon's node: nft tables, netem, and processes that hold memory.

Used by `safety.cleanup`, before the containers go, through the same hands that made it. Only what bears the mark of a
run that may go is named. Where this process may not look (not root, and no image for a helper container) that is said:
what is in a container's own namespace goes with the container, and a partition heals itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from breakroom.i18n.terms import N_
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.errors import CONNECTION_LOST
from breakroom.platforms.docker.hands import Hands, hands_for
from breakroom.platforms.docker.names import mark
from breakroom.safety.deeds import Deed, said
from breakroom.safety.standing import Runs

__all__ = ["sweep_kernel"]

_RUN_ID = re.compile(r"-[0-9a-f]{4}$")
"""How the id of every run ends (`director.run.make_run_directory`)."""
_NO_HANDS = frozenset({"image-missing", "permission-denied", "unsupported"})


async def sweep_kernel(daemon: Daemon, runs: Runs, wanted: Collection[str]) -> list[Deed]:
    """Remove what bears the marks of these runs on the daemon's own node; with a dry run only say it.

    Raises:
        PlatformError: the daemon stopped answering.
    """
    alive = {mark(run.run_id) for run in runs.alive} if not runs.wish.force else set()
    deeds: list[Deed] = []
    for run in sorted(wanted):
        # A mark is found by its beginning: a word that is no run's id must not find the marks of others.
        if not _RUN_ID.search(run) or mark(run) in alive:
            continue
        try:
            hands = await hands_for(daemon, run)
            answer = await _sweep(hands, dry=runs.wish.dry_run, spare=sorted(alive))
        except PlatformError as error:
            if error.code in CONNECTION_LOST:
                raise
            if error.code not in _NO_HANDS:
                deeds.append(_failed(daemon, run, str(error)))
                continue
            why = said(
                N_("not looked at ({trouble}); what a run does to links goes with its containers"),
                trouble=str(error),
            )
            return [*deeds, Deed(done="note", thing="kernel", name=daemon.host, why=why)]
        deeds += _told(run, answer, dry=runs.wish.dry_run)
    return deeds


async def _sweep(hands: Hands, *, dry: bool, spare: list[str]) -> dict[str, Any]:
    try:
        return await hands.act({"act": "sweep", "dry": dry, "spare": spare})
    finally:
        if not dry:
            await hands.close()


def _told(run: str, answer: dict[str, Any], *, dry: bool) -> list[Deed]:
    left = {_name(thing): str(thing.get("reason", "")) for thing in answer["left"]}
    deeds = []
    for thing in answer["found"]:
        name = _name(thing)
        if name in left:
            why = said(N_("{trouble}"), trouble=left[name])
            deeds.append(Deed(done="failed", thing="kernel", name=name, run=run, why=why))
        else:
            deeds.append(Deed(done="would" if dry else "removed", thing="kernel", name=name, run=run))
    return deeds


def _failed(daemon: Daemon, run: str, trouble: str) -> Deed:
    return Deed(
        done="failed", thing="kernel", name=daemon.host, run=run, why=said(N_("{trouble}"), trouble=trouble)
    )


def _name(thing: dict[str, Any]) -> str:
    return f"{thing['kind']} {thing['what']} @ {thing['where']}"
