"""Removing what cut-off runs left on one Docker daemon and in its Swarm.

Used by `safety.cleanup`, once a daemon. Works from `platforms.docker.ownership`, so nothing without our label is ever
named to the daemon. Everything is tried again until it is gone or the time is up: a network goes only when the last
container has left it, a service's containers some time after the service.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterator

from breakroom.i18n.terms import N_
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.errors import CONNECTION_LOST
from breakroom.platforms.docker.names import DRAINED_BY, RUN, WAS_AVAILABILITY, owned
from breakroom.platforms.docker.ownership import Owned, owned_objects
from breakroom.platforms.swarm.membership import leave_ours, swarm_mark
from breakroom.safety.deeds import Deed, Done, Said, said
from breakroom.safety.standing import Runs

__all__ = ["only_here", "remove_owned", "sweep_swarm", "things_of"]

PATIENCE_SECONDS = 30.0
"""How long removal is tried again: a service's grace period and an overlay network's end take their time."""
_PAUSE_SECONDS = 0.2


def only_here(daemon: Daemon) -> bool:
    """Whether nobody on another machine can have made what is on this daemon, as far as can be told.

    A daemon elsewhere, or one that is reached over the network, or a Swarm with other managers may be used from there.
    """
    swarm = daemon.info.get("Swarm") or {}
    return daemon.local and int(swarm.get("Managers") or 0) <= 1


async def things_of(daemon: Daemon, runs: Runs) -> tuple[list[Owned], list[Deed]]:
    """What is to go from the daemon, and for each run whose things stay, why.

    Raises:
        PlatformError: the daemon cannot be asked.
    """
    found = await owned_objects(daemon)
    judged = {run: runs.judge(run, only_here=only_here(daemon)) for run in {thing.run for thing in found}}
    kept = [
        Deed(
            done="kept",
            thing="run",
            name=run or "?",
            run=run,
            why=said(
                N_("{count:count} {count:plural:thing|things} on {daemon}: {why}"),
                count=sum(thing.run == run for thing in found),
                daemon=daemon.host,
                why=judgement.why,
            ),
        )
        for run, judgement in sorted(judged.items())
        if judgement.asked and not judgement.may_go
    ]
    return [thing for thing in found if judged[thing.run].may_go], kept


async def remove_owned(daemon: Daemon, wanted: Collection[Owned]) -> list[Deed]:
    """Remove these things, restore these nodes, and look: what is gone was removed, what is not has a reason.

    Raises:
        PlatformError: the daemon stopped answering.
    """
    await _unpause(daemon, wanted)
    runs = {thing.run for thing in wanted}
    first = {_key(thing): thing for thing in wanted}
    refusals: dict[tuple[str, str], str] = {}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    while True:
        # Also what has come meanwhile: a service may start one more container before it hears of its end.
        left = [thing for thing in await owned_objects(daemon) if thing.run in runs]
        first = {**{_key(thing): thing for thing in left}, **first}
        if not left or loop.time() > deadline:
            break
        services = any(thing.kind == "service" for thing in left)
        for thing in left:
            if thing.task and services:
                continue  # Swarm would replace it
            try:
                await _remove(daemon, thing)
            except PlatformError as error:
                if error.code in CONNECTION_LOST:
                    raise
                refusals[_key(thing)] = _reason(error)
        await asyncio.sleep(_PAUSE_SECONDS)
    still = {_key(thing) for thing in left}
    return [_deed(thing, refusals.get(key, "") if key in still else None) for key, thing in first.items()]


async def sweep_swarm(daemon: Daemon, runs: Runs) -> list[Deed]:
    """Leave a Swarm that a cut-off run made, unless somebody uses it by now. To be called when its things are gone.

    Raises:
        PlatformError: the daemon cannot be asked.
    """
    with daemon.asking("look at the Swarm"):
        mark = swarm_mark(await daemon.docker.system.info())
    if not owned(mark):
        return []
    run = mark.get(RUN, "")
    judgement = runs.judge(run, only_here=only_here(daemon))
    if not judgement.may_go:
        why = judgement.why
        return (
            [Deed(done="kept", thing="swarm", name=daemon.host, run=run, why=why)] if judgement.asked else []
        )
    if runs.wish.dry_run:
        return [Deed(done="would", thing="swarm", name=daemon.host, run=run)]
    stays = await leave_ours(daemon, run)
    if not stays:
        return [Deed(done="removed", thing="swarm", name=daemon.host, run=run)]
    # What others use is theirs by now; a bridge that could not be removed is still ours to remove.
    done: Done = "failed" if any(text.startswith("network") for text in stays) else "kept"
    why = said(N_("{what}; `docker swarm leave --force` leaves it"), what="; ".join(stays))
    return [Deed(done=done, thing="swarm", name=daemon.host, run=run, why=why)]


def _key(thing: Owned) -> tuple[str, str]:
    return thing.kind, thing.id


def _deed(thing: Owned, refusal: str | None) -> Deed:
    """`refusal` None: it is gone."""
    node = thing.kind == "node"
    if refusal is not None:
        why = said(N_("{trouble}"), trouble=refusal or "it is still there")
        return Deed(done="failed", thing=thing.kind, name=thing.name, run=thing.run, why=why)
    return Deed(
        done="restored" if node else "removed",
        thing=thing.kind,
        name=thing.name,
        run=thing.run,
        why=_state_of(thing),
    )


def _state_of(thing: Owned) -> Said:
    """What is worth saying of a thing beside its name."""
    if thing.kind == "node":
        return said(N_("{now} → {before}"), now=thing.state, before=thing.was or "active")
    return said(N_("it was {state}"), state=thing.state) if thing.state not in {"", "running"} else Said()


async def _unpause(daemon: Daemon, wanted: Collection[Owned]) -> None:
    """Let what is paused go on, so that it can be asked to stop like everything else."""
    for thing in wanted:
        if thing.kind == "container" and thing.state == "paused":
            with contextlib.suppress(PlatformError), daemon.asking(f"unpause container {thing.name}"):
                await daemon.docker.containers.container(thing.id).unpause()


async def _remove(daemon: Daemon, thing: Owned) -> None:
    docker = daemon.docker
    with _gone_is_well(), daemon.asking(f"remove {thing.kind} {thing.name}"):
        match thing.kind:
            case "service":
                await docker.services.delete(thing.id)
            case "container":
                await docker.containers.container(thing.id).delete(force=True, v=True)
            case "secret":
                await docker.secrets.delete(thing.id)
            case "config":
                await docker.configs.delete(thing.id)
            case "network":
                await (await docker.networks.get(thing.id)).delete()
            case "volume":
                await (await docker.volumes.get(thing.id)).delete()  # type: ignore[no-untyped-call]  # aiodocker's own
            case "node":
                await _restore(daemon, thing)


@contextlib.contextmanager
def _gone_is_well() -> Iterator[None]:
    try:
        yield
    except PlatformError as error:
        if error.code != "not-found":
            raise


async def _restore(daemon: Daemon, node: Owned) -> None:
    """Give a node its availability back, and take our labels off it, in one change."""
    row = await daemon.docker.nodes.inspect(node_id=node.id)
    spec = dict(row["Spec"])
    marks = dict(spec.get("Labels") or {})
    if marks.get(DRAINED_BY) != node.run:
        return
    spec["Availability"] = marks.get(WAS_AVAILABILITY) or "active"
    spec["Labels"] = {
        name: value for name, value in marks.items() if name not in {DRAINED_BY, WAS_AVAILABILITY}
    }
    await daemon.docker.nodes.update(node_id=node.id, version=row["Version"]["Index"], spec=spec)


def _reason(error: PlatformError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)
