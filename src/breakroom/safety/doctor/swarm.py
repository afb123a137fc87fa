"""Checks of the Swarm and of the node's kernel: what `--platform swarm` needs, and what network faults need.

Called by `examine`. An overlay network is really made and removed; what the kernel can is told by `breakroom.agent`'s
`probe`, which does each thing in a network namespace made for that. No Swarm is made here.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from breakroom.i18n.terms import N_
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.hands_image import AGENT_IMAGE, require_agent_image
from breakroom.platforms.docker.names import labels, object_name
from breakroom.platforms.swarm.cluster import Cluster, judge, read_cluster
from breakroom.safety.deeds import Said, said
from breakroom.safety.doctor.rows import Area, Row

__all__ = ["check_agent_image", "check_kernel", "check_nodes", "check_overlay", "check_swarm"]

_GONE_SECONDS = 5.0
_LOOK_SECONDS = 0.1


async def check_swarm(daemon: Daemon) -> Row:
    """Whether the daemon is in a Swarm, in which role, and whether breakroom may use it."""
    cluster = await read_cluster(daemon)
    try:
        verdict = judge(cluster)
    except PlatformError as error:
        return _no_swarm(said(N_("{trouble}"), trouble=str(error)), said(N_("{trouble}"), trouble=error.hint))
    if verdict.do == "init":
        return Row(
            area="swarm",
            check="swarm",
            status="degraded",
            found=said(N_("not in a Swarm")),
            means=said(N_("a run has to make one of a single node, which it leaves again at its end")),
            way=said(
                N_("breakroom run --platform swarm --init-swarm; or join the daemon to a Swarm of yours")
            ),
        )
    found = said(N_("a manager of {count:count} {count:plural:node|nodes}"), count=cluster.nodes)
    if verdict.refusal is not None:
        return Row(
            area="swarm",
            check="swarm",
            status="degraded",
            found=said(N_("{found}; others use it: {names}"), found=found, names=_names(cluster)),
            means=said(N_("a run beside them needs your word")),
            way=said(N_("breakroom run --platform swarm --use-swarm")),
        )
    return Row(area="swarm", check="swarm", status="ok", needed=True, found=found)


def _names(cluster: Cluster) -> str:
    return ", ".join(cluster.services[:5])


def _no_swarm(found: Said, way: Said) -> Row:
    means = said(N_("drills do not run on Swarm here"))
    return Row(area="swarm", check="swarm", status="missing", needed=True, found=found, means=means, way=way)


async def check_nodes(daemon: Daemon) -> Row:
    """The nodes, their state and their availability."""
    with daemon.asking("list the nodes"):
        rows = await daemon.docker.nodes.list()
    bad = []
    for row in rows:
        name = row.get("Description", {}).get("Hostname", row["ID"])
        state, availability = row["Status"]["State"], row["Spec"].get("Availability", "active")
        if state != "ready" or availability != "active":
            bad.append(f"{name} {state} {availability}")
    if bad:
        return Row(
            area="swarm",
            check="nodes",
            status="degraded",
            found=said(
                N_("of {count:count}, not ready or not active: {names}"),
                count=len(rows),
                names=", ".join(bad),
            ),
            means=said(N_("no task will be placed there")),
            way=said(N_("docker node update --availability active NODE; start the nodes that are down")),
        )
    if len(rows) == 1:
        return Row(
            area="swarm",
            check="nodes",
            status="degraded",
            found=said(N_("one, ready and active")),
            means=said(
                N_("drills that drain or cut off a node take the whole service down: there is no other node")
            ),
            way=said(
                N_("docker swarm join on another machine, with the words of `docker swarm join-token worker`")
            ),
        )
    return Row(
        area="swarm",
        check="nodes",
        status="ok",
        found=said(N_("{count:count}, all ready and active"), count=len(rows)),
    )


async def check_overlay(daemon: Daemon) -> Row:
    """Make an overlay network and remove it."""
    run = f"doctor-{secrets.token_hex(2)}"
    config = {
        "Name": object_name(run, "try"),
        "Driver": "overlay",
        "Attachable": True,
        "Labels": labels("doctor", run),
    }
    try:
        with daemon.asking("make an overlay network"):
            network = await daemon.docker.networks.create(config)
            await asyncio.shield(_remove_network(daemon, network.id))
    except PlatformError as error:
        return Row(
            area="swarm",
            check="overlay",
            status="missing",
            needed=True,
            found=said(N_("{trouble}"), trouble=str(error)),
            means=said(N_("services cannot be reached, nor agents on other nodes")),
            way=said(
                N_("the kernel needs vxlan (`modprobe vxlan`); other nodes need ports 7946 and 4789 open")
            ),
        )
    return Row(area="swarm", check="overlay", status="ok")


async def _remove_network(daemon: Daemon, identity: str) -> None:
    """Remove it, and wait until it is gone."""
    await (await daemon.docker.networks.get(identity)).delete()
    deadline = asyncio.get_running_loop().time() + _GONE_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        if all(network["Id"] != identity for network in await daemon.docker.networks.list()):
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def check_agent_image(daemon: Daemon, *, nodes: int) -> Row:
    """Breakroom's own image of this version, by which it acts where it is not root, and on other nodes."""
    try:
        await require_agent_image(daemon)
    except PlatformError as error:
        if error.code != "image-missing":
            raise
        others = (
            said(N_("a drill cannot act on the containers of the {count:count} other nodes"), count=nodes - 1)
            if nodes > 1
            else said(N_("needed only where breakroom is not root on the Docker host, and on other nodes"))
        )
        return Row(
            area="docker",
            check="agent-image",
            status="missing" if nodes > 1 else "degraded",
            found=said(N_("{trouble}"), trouble=str(error)),
            means=others,
            way=said(N_("breakroom images")),
        )
    return Row(area="docker", check="agent-image", status="ok", found=said(N_("{image}"), image=AGENT_IMAGE))


def check_kernel(answer: dict[str, Any], *, node: str = "") -> list[Row]:
    """The rows of a node's `probe` answer: netem, nft, IPVS."""
    return [
        _kernel_row(
            answer,
            "netem",
            "docker",
            node,
            means=said(
                N_("delay and loss are made by breakroom's own ingress in front, not in the container's link")
            ),
            way=said(
                N_(
                    "modprobe sch_netem; on Debian it is in the package linux-image-amd64, not in a cloud kernel"
                )
            ),
        ),
        _kernel_row(
            answer,
            "nft",
            "docker",
            node,
            means=said(N_("a task or a node cannot be cut off in the kernel")),
            way=said(N_("modprobe nf_tables")),
        ),
        _kernel_row(
            answer,
            "ip_vs",
            "swarm",
            node,
            means=said(
                N_("a port that Swarm publishes does not answer: breakroom's ingress stands in front")
            ),
            way=said(
                N_(
                    "modprobe ip_vs; kernels made for containers often lack it, those of distributions have it"
                )
            ),
        ),
    ]


def _kernel_row(answer: dict[str, Any], key: str, area: Area, node: str, *, means: Said, way: Said) -> Row:
    tried = answer.get(key) or {"works": False, "reason": "?"}
    check = {"ip_vs": "ipvs"}.get(key, key)
    where = said(N_("on {node}"), node=node) if node else said(N_("on this node"))
    if tried["works"]:
        return Row(area=area, check=check, status="ok", found=said(N_("works {where}"), where=where))
    return Row(
        area=area,
        check=check,
        status="degraded",
        found=said(N_("{where}: {trouble}"), where=where, trouble=tried["reason"]),
        means=means,
        way=way,
    )
