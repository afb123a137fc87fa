"""Whether the daemon is in a Swarm, and whether breakroom may use it: read from the daemon, decided here.

Used by `platform` in its preflight and by `membership`. `read_cluster` asks the daemon; `judge` is pure and says what
has to be asked of the user, or why it cannot be. Nothing here changes anything.

    inactive                                     make one, with consent       otherwise consent-needed
    active, a manager, nobody else's services    use it                       a note says so
    active, a manager, services of others there  use it, with consent         otherwise swarm-in-use
    active, a worker                             not-a-manager
    locked, pending, error, no leader            swarm-not-ready
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from aiodocker.exceptions import DockerError

from breakroom.journal.registry import registered
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.errors import asking
from breakroom.platforms.docker.names import RUN, owned

__all__ = ["LISTEN", "Cluster", "Verdict", "judge", "left_services", "read_cluster"]

LISTEN = "127.0.0.1:2377"
"""Where a Swarm of our own listens for other managers: nobody but this machine can join it."""

_INIT_QUESTION = (
    "The Docker daemon {name} is not in a Swarm. May breakroom run `docker swarm init` there, and leave it again "
    f"when the run ends? The daemon will then listen on {LISTEN} and on port 7946 of 127.0.0.1 (TCP and UDP), and on "
    "UDP port 4789 for its overlay networks; ports that services publish are open on all of the machine's addresses, "
    "which is Swarm's way. The networks `ingress` and `docker_gwbridge` are made, and removed with it."
)
_USE_QUESTION = (
    "The Docker daemon {name} is in a Swarm that others use (services: {services}). May breakroom deploy its services "
    "beside them? It touches none of theirs; drills that drain or cut off a node do concern them."
)
_MANY = 5
_SERVICE_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a daemon says of its Swarm. `state` is Docker's own word: inactive, pending, active, error, locked."""

    state: str
    name: str
    """The daemon's host name."""
    node: str = ""
    """The node id of this daemon."""
    address: str = ""
    """The address that this node is known by."""
    id: str = ""
    manager: bool = False
    managers: tuple[str, ...] = ()
    """Addresses of the managers that a worker knows."""
    nodes: int = 0
    error: str = ""
    services: tuple[str, ...] = ()
    """Names of services that are not breakroom's."""
    leftovers: tuple[str, ...] = ()
    """Names of services that earlier runs of breakroom left; not those of runs that are under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be done: `use` the Swarm, or `init` one. `question` is what the user must agree to; empty: nothing."""

    do: Literal["use", "init"]
    question: str = ""
    refusal: PlatformError | None = None
    """What to raise if they do not agree."""


async def read_cluster(daemon: Daemon) -> Cluster:
    """Ask the daemon about its Swarm.

    Raises:
        PlatformError: it does not answer.
    """
    with asking("read the Swarm's state", daemon.host):
        info = await daemon.docker.system.info()
    cluster = _of_info(info)
    if cluster.state != "active" or not cluster.manager:
        return cluster
    try:
        with asking("list the Swarm's services", daemon.host):
            services = await daemon.docker.services.list()
    except PlatformError as error:
        cause = error.__cause__
        no_quorum = isinstance(cause, DockerError) and cause.status == _SERVICE_UNAVAILABLE
        if no_quorum or "leader" in str(error):
            # A manager without a quorum answers everything else and can do nothing.
            return replace(cluster, error=str(error))
        raise
    names = [(str(entry["Spec"]["Name"]), entry["Spec"].get("Labels")) for entry in services]
    return replace(
        cluster,
        services=tuple(sorted(name for name, marks in names if not owned(marks))),
        leftovers=left_services(names, {run.run_id for run in registered() if run.alive}),
    )


def left_services(
    services: Iterable[tuple[str, Mapping[str, str] | None]], living: Collection[str]
) -> tuple[str, ...]:
    """Names of breakroom's services, given with their labels, that belong to none of the living runs."""
    return tuple(
        sorted(name for name, marks in services if marks and owned(marks) and marks.get(RUN) not in living)
    )


def judge(cluster: Cluster) -> Verdict:
    """What may be done with it.

    Raises:
        PlatformError: `not-a-manager`, `swarm-not-ready`: nothing can be done here, whoever agrees.
    """
    if cluster.state == "inactive":
        question = _INIT_QUESTION.format(name=cluster.name)
        refusal = PlatformError(
            "consent-needed",
            f"the Docker daemon {cluster.name} is not in a Swarm, and breakroom does not make one unasked",
            "run it again with --init-swarm: "
            f"`docker swarm init` listening on {LISTEN} only; services publish their ports on all addresses; "
            "the Swarm is left again when the run ends",
        )
        return Verdict(do="init", question=question, refusal=refusal)
    if cluster.state != "active" or cluster.error:
        raise _not_ready(cluster)
    if not cluster.manager:
        raise PlatformError(
            "not-a-manager",
            f"the Docker daemon {cluster.name} is a worker of its Swarm, and only a manager can deploy services",
            _way_to_a_manager(cluster.managers),
        )
    if not cluster.services:
        return Verdict(do="use")
    names = _some(cluster.services)
    refusal = PlatformError(
        "swarm-in-use",
        f"the Swarm of {cluster.name} has services that are not breakroom's: {names}",
        "run it again with --use-swarm to deploy beside them, or on another daemon (DOCKER_HOST, `docker context use`)",
    )
    return Verdict(
        do="use", question=_USE_QUESTION.format(name=cluster.name, services=names), refusal=refusal
    )


def _of_info(info: Mapping[str, Any]) -> Cluster:
    swarm = info.get("Swarm") or {}
    return Cluster(
        state=str(swarm.get("LocalNodeState") or "inactive"),
        name=str(info.get("Name") or "?"),
        node=str(swarm.get("NodeID") or ""),
        address=str(swarm.get("NodeAddr") or ""),
        id=str((swarm.get("Cluster") or {}).get("ID") or ""),
        manager=bool(swarm.get("ControlAvailable")),
        managers=tuple(str(peer["Addr"]) for peer in swarm.get("RemoteManagers") or ()),
        nodes=int(swarm.get("Nodes") or 0),
        error=str(swarm.get("Error") or ""),
    )


def _not_ready(cluster: Cluster) -> PlatformError:
    said = f" ({cluster.error})" if cluster.error else ""
    text = f"the Swarm of the Docker daemon {cluster.name} cannot be used: its state is {cluster.state}{said}"
    hints = {
        "locked": "`docker swarm unlock` opens it with the key that `docker swarm unlock-key` gives on another manager",
        "pending": "it is still joining, or reaches no manager; wait, or `docker swarm leave` if it never will",
    }
    hint = hints.get(
        cluster.state,
        "see `docker info` and `docker node ls`: a Swarm needs more than half of its managers to be up",
    )
    return PlatformError("swarm-not-ready", text, hint)


def _way_to_a_manager(managers: tuple[str, ...]) -> str:
    where = ", ".join(address.rpartition(":")[0] or address for address in managers)
    to = f"its managers are at {where}: " if where else ""
    return (
        f"{to}run breakroom there, or from here with DOCKER_HOST=ssh://USER@MANAGER or `docker context use MANAGER`; "
        "or `docker swarm leave` to take this daemon out of the Swarm"
    )


def _some(names: Iterable[str]) -> str:
    every = list(names)
    shown = ", ".join(every[:_MANY])
    return shown if len(every) <= _MANY else f"{shown} and {len(every) - _MANY} more"
