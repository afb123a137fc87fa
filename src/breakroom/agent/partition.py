"""Cutting a container, or the whole node, off from the network with nftables; the kernel itself heals it in time.

The rules drop only what is in a set, and the set's elements have a timeout: when it is over the kernel removes them,
and traffic flows again whether or not any process of breakroom lives. What is left then, a table that drops nothing,
is removed by a process that waits for that (`lasting`), by `partition-clear`, or by a sweep.

Called by `acts`. A container keeps its loopback; a node keeps its loopback and the traffic between its own containers.
"""

from __future__ import annotations

from typing import Any

from breakroom.agent.errors import ActError

__all__ = ["CUT", "arm", "clear", "cut", "outside_interfaces", "show"]

CUT = "cut"
"""The name of the set."""
_INSIDE_PORTS = frozenset({"veth", "tun"})


def arm(mark: str, scope: str) -> None:
    """Make the table, dropping nothing yet. To be called in the namespace that is to be cut; replaces one of before.

    Args:
        mark: the table's name.
        scope: `container`: everything but loopback will be cut; `node`: what uses an interface to other machines.

    Raises:
        ActError: the kernel cannot, or it is not allowed.
    """
    from breakroom.agent import nft_wire as nft

    hooks = ("input", "output", "forward") if scope == "node" else ("input", "output")
    messages = [
        nft.add_table(mark),
        nft.delete_table(mark),
        nft.add_table(mark),
        nft.add_timed_set(mark, CUT),
    ]
    messages += [nft.add_chain(mark, hook) for hook in hooks]
    if scope == "node":
        for name in outside_interfaces():
            for hook in hooks:
                for outgoing in (False, True):
                    if (hook, outgoing) not in {("input", True), ("output", False)}:
                        only = nft.only_on(name, outgoing=outgoing)
                        messages.append(nft.add_rule(mark, hook, only, nft.drop_listed(CUT)))
    else:
        for hook in hooks:
            messages.append(nft.add_rule(mark, hook, nft.accept_on("lo", outgoing=hook == "output")))
            messages.append(nft.add_rule(mark, hook, nft.drop_listed(CUT)))
    with nft.opened() as socket:
        socket.commit(messages, "set up the partition")


def cut(mark: str, within_ms: int) -> None:
    """Let an armed table drop, for so long.

    Raises:
        ActError: the kernel refused, for one because the table is not there any more.
    """
    from breakroom.agent import nft_wire as nft

    with nft.opened() as socket:
        socket.commit([nft.add_elements(mark, CUT, within_ms)], "cut the network")


def show(mark: str) -> dict[str, Any]:
    """What of it is there in this namespace: `present`, `active`, `remaining_ms`, `dropped_packets`.

    Raises:
        ActError: nftables cannot be read.
    """
    from breakroom.agent import nft_wire as nft

    with nft.opened() as socket:
        if mark not in socket.tables():
            return {"present": False, "active": False, "remaining_ms": 0, "dropped_packets": 0}
        left = socket.expirations_ms(mark, CUT)
        hooked = {nft.HOOKS["input"], nft.HOOKS["output"]} <= socket.hooks(mark)
        return {
            "present": True,
            "active": bool(left) and hooked,
            "remaining_ms": max(left, default=0),
            "dropped_packets": socket.counted(mark),
        }


def clear(mark: str) -> bool:
    """Remove the table; False if there was none.

    Raises:
        ActError: it is still there.
    """
    from breakroom.agent import nft_wire as nft

    with nft.opened() as socket:
        if mark not in socket.tables():
            return False
        try:
            socket.commit([nft.delete_table(mark)], f"remove the nft table {mark}")
        except ActError:
            if mark in socket.tables():
                raise
        if mark in socket.tables():
            raise ActError("not-in-effect", f"the nft table {mark} was removed and is still there")
        return True


def outside_interfaces() -> list[str]:
    """The interfaces of this namespace that lead to other machines.

    All but loopback, dummies, and bridges whose ports all lead to containers or virtual machines of this node, with
    those ports. A bridge that holds a real network card leads outside.

    Raises:
        ActError: `failed`: there is none, so nothing could be cut.
    """
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        links = list(netlink.get_links())
    kinds = {link["index"]: _kind(link) for link in links}
    masters = {link["index"]: link.get_attr("IFLA_MASTER") for link in links}
    outside = set()
    for bridge in [index for index, kind in kinds.items() if kind == "bridge"]:
        ports = [index for index, master in masters.items() if master == bridge]
        if any(kinds[port] not in _INSIDE_PORTS for port in ports):
            outside.update({bridge, *ports})
    inside = {index for index, kind in kinds.items() if kind == "bridge"} - outside
    names = []
    for link in links:
        index = link["index"]
        local = link.get_attr("IFLA_IFNAME") == "lo" or kinds[index] == "dummy"
        if not local and index not in inside and masters[index] not in inside:
            names.append(str(link.get_attr("IFLA_IFNAME")))
    if not names:
        raise ActError(
            "failed", "this node has no interface that leads to another machine: there is nothing to cut"
        )
    return names


def _kind(link: Any) -> str:
    information = link.get_attr("IFLA_LINKINFO")
    return str(information.get_attr("IFLA_INFO_KIND") or "") if information is not None else ""
