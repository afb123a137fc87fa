"""`breakroom cleanup`'s work: everything that cut-off runs left, found by its marks, undone, and told thing by thing.

Called by `cli.cleanup`. Order: the machine's own processes; then each Docker daemon that a cut-off run used and the one
that the user has now (what is paused goes on; links and firewalls; services, containers, networks; nodes; the
Swarm); then the undo journals, and at last the registry's entries of the runs of which nothing is left.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from breakroom.i18n.terms import N_
from breakroom.journal.registry import RegisteredRun, forget, registered
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import connect
from breakroom.platforms.docker.endpoint import find_endpoint
from breakroom.safety.deeds import Deed, Said, said
from breakroom.safety.docker import remove_owned, sweep_swarm, things_of
from breakroom.safety.kernel import sweep_kernel
from breakroom.safety.local import sweep_local
from breakroom.safety.standing import Runs, Wish
from breakroom.safety.undone import close_undo_journal

__all__ = ["clean_up"]

Tell = Callable[[Deed], None]


@dataclass(frozen=True, slots=True)
class _Place:
    """A daemon to be looked at: the environment that leads there, and the cut-off runs that used it."""

    host: str
    environment: Mapping[str, str]
    runs: tuple[RegisteredRun, ...]


async def clean_up(wish: Wish, tell: Tell, environment: Mapping[str, str] | None = None) -> list[Deed]:
    """Undo what cut-off runs left; calls `tell` with each deed as it is done, and returns all of them.

    Nothing is raised for what cannot be undone: it is a deed of its own, `failed`, with the reason.
    """
    environment = os.environ if environment is None else environment
    runs = Runs(registered(), wish)
    deeds: list[Deed] = []

    def note(found: list[Deed]) -> None:
        deeds.extend(found)
        for deed in found:
            tell(deed)

    note(_living(runs))
    note(await asyncio.to_thread(sweep_local, runs))
    for place in _places(runs, environment):
        note(await _clean_daemon(place, runs, tell=note))
    for entry in runs.cut_off:
        well = not any(deed.done == "failed" and deed.run in {entry.run_id, ""} for deed in deeds)
        note(close_undo_journal(entry, all_gone=well, dry_run=wish.dry_run))
        if well and not wish.dry_run:
            forget(entry.run_id)
    return deeds


def _living(runs: Runs) -> list[Deed]:
    if runs.wish.force:
        return []
    return [
        Deed(
            done="kept",
            thing="run",
            name=run.run_id,
            run=run.run_id,
            why=runs.judge(run.run_id, only_here=True).why,
        )
        for run in runs.alive
    ]


def _places(runs: Runs, environment: Mapping[str, str]) -> list[_Place]:
    """The daemons to look at, each once: those of the cut-off runs, and the user's own."""
    found: dict[str, _Place] = {}
    for entry in (*runs.cut_off, *(runs.alive if runs.wish.force else ())):
        if entry.platform == "local" and not entry.docker_host:
            continue
        way = entry.docker_environment(environment)
        host = entry.docker_host or _host(way)
        if entry.docker_host and _host(way) != entry.docker_host:
            # The configuration leads elsewhere by now.
            way = {**way, "DOCKER_HOST": entry.docker_host}
        known = found.get(host)
        found[host] = _Place(host, way, (*(known.runs if known else ()), entry))
    own = _host(environment)
    if own not in found:
        found[own] = _Place(own, environment, ())
    return list(found.values())


def _names(runs: Iterable[RegisteredRun]) -> set[str]:
    return {run.run_id for run in runs}


def _host(environment: Mapping[str, str]) -> str:
    try:
        return find_endpoint(environment).host
    except PlatformError:
        return ""


async def _clean_daemon(place: _Place, runs: Runs, *, tell: Callable[[list[Deed]], None]) -> list[Deed]:
    """One daemon. What was done before it stopped answering has been told by then."""
    try:
        daemon = await connect(place.environment)
    except PlatformError as error:
        return _unreachable(place, error, runs.wish)
    try:
        wanted, kept = await things_of(daemon, runs)
        known = {run.run_id for run in runs.alive} if not runs.wish.force else set()
        tell([deed for deed in kept if deed.run not in known])
        # While the containers that it was done to still are: with them their namespaces go.
        tell(
            await sweep_kernel(
                daemon, runs, {*_names(place.runs), *(thing.run for thing in wanted), runs.wish.run}
            )
        )
        if runs.wish.dry_run:
            tell([Deed(done="would", thing=thing.kind, name=thing.name, run=thing.run) for thing in wanted])
        elif wanted:
            tell(await remove_owned(daemon, wanted))
        return await sweep_swarm(daemon, runs)
    except PlatformError as error:
        return _unreachable(place, error, runs.wish, connected=True)
    finally:
        await daemon.close()


def _unreachable(place: _Place, error: PlatformError, wish: Wish, *, connected: bool = False) -> list[Deed]:
    """A daemon that does not answer: a failure for the runs that used it; for nobody's daemon, worth a note."""
    trouble = f"{error} ({error.hint})" if error.hint else str(error)
    why = said(N_("{trouble}"), trouble=trouble)
    name = place.host or "?"
    if not place.runs:
        return [Deed(done="failed" if connected else "note", thing="daemon", name=name, why=why)]
    if wish.force and not connected:
        why = said(N_("{trouble}; given up, as --force says"), trouble=trouble)
        return [Deed(done="kept", thing="daemon", name=name, run=run.run_id, why=why) for run in place.runs]
    return [
        Deed(
            done="failed",
            thing="daemon",
            name=name,
            run=run.run_id,
            # One that answers is not gone for good, and is not given up.
            why=why if connected else _or_give_up(why, run),
        )
        for run in place.runs
    ]


def _or_give_up(why: Said, run: RegisteredRun) -> Said:
    return said(
        N_("{why}; if it is gone for good: breakroom cleanup --run {run} --force"), why=why, run=run.run_id
    )
