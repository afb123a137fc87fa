"""netem on the interfaces of one network namespace, by netlink: set, read back, removed; never on another's queue.

Called by `acts`, `sweep` and `probe`, always in a process that has entered the namespace (`namespaces`). netem shapes
what an interface *sends*: in a container's namespace, what the container answers and asks.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import TC_H_ROOT
from pyroute2.netlink.rtnl.tcmsg import plugins, sched_netem

from breakroom.agent.errors import ActError, from_os_error
from breakroom.agent.netem import Link, differences, from_options, handle_of, is_ours, limit_of

__all__ = ["clear", "set_link", "show"]


class _Options(sched_netem.options):  # type: ignore[misc]  # pyroute2 has no types
    """pyroute2's netem with the attributes that it lacks, in the order of linux/pkt_sched.h."""

    nla_map = (
        *sched_netem.options.nla_map,
        ("TCA_NETEM_ECN", "uint32"),
        ("TCA_NETEM_RATE64", "uint64"),
        ("TCA_NETEM_PAD", "none"),
        ("TCA_NETEM_LATENCY64", "int64"),
        ("TCA_NETEM_JITTER64", "int64"),
        ("TCA_NETEM_SLOT", "hex"),
        ("TCA_NETEM_SLOT_DIST", "hex"),
        ("TCA_NETEM_PRNG_SEED", "uint64"),
    )


class _Netem:
    """Takes netem's place in pyroute2's table of queueing disciplines: options in the kernel's own units."""

    options = _Options
    parent = TC_H_ROOT

    @staticmethod
    def get_parameters(words: dict[str, Any]) -> dict[str, Any]:
        """What `_netlink(…).tc` was given."""
        return dict(words["netem"])


def set_link(mark: str, link: Link, interface: str = "") -> dict[str, dict[str, Any]]:
    """Put netem on every interface but loopback, or on the one named; replaces what this run put there before.

    Returns:
        For each interface what the kernel says is in effect.

    Raises:
        ActError: `link-taken`: another's queue is on one of them, and nothing was changed; `unsupported`: no netem in
            this kernel; `not-in-effect`: read back, it differs.
    """
    with _netlink() as netlink:
        interfaces = _interfaces(netlink, interface)
        if not interfaces:
            raise ActError("unsupported", "there is no interface but loopback: nothing to impair")
        for name, root in _roots(netlink, interfaces).items():
            if root is not None and not _bears(root, mark):
                raise ActError("link-taken", f"{name} already has the queueing discipline {_named(root)}")
        done: list[int] = []
        try:
            for index in interfaces.values():
                netlink.tc(
                    "replace",
                    "netem",
                    index=index,
                    handle=handle_of(mark),
                    parent=TC_H_ROOT,
                    netem=link.parameters(limit_of(mark)),
                )
                done.append(index)
        except NetlinkError as error:
            for index in done:
                netlink.tc("del", index=index, parent=TC_H_ROOT)
            if error.code == errno.ENOENT:
                reason = f"this kernel has no netem (module sch_netem): {os.strerror(errno.ENOENT)}"
                raise ActError("unsupported", reason) from error
            raise from_os_error(error, "add netem to a link") from error
        found = _effects(netlink, interfaces, mark)
        for name in interfaces:
            different = differences(link, found[name]) if name in found else ["netem"]
            if different:
                raise ActError(
                    "not-in-effect", f"on {name} the kernel did not take over: {', '.join(different)}"
                )
        return {name: asdict(effect) for name, effect in found.items()}


def show(mark: str = "") -> dict[str, dict[str, Any]]:
    """The interfaces of this namespace that have a netem of that run (empty: of any run's), and what it does."""
    with _netlink() as netlink:
        return {
            name: asdict(effect) for name, effect in _effects(netlink, _interfaces(netlink, ""), mark).items()
        }


def clear(mark: str = "", interface: str = "") -> list[str]:
    """Remove that run's netem (empty: any run's) from the interfaces that have it, or from the one named; their names.

    Raises:
        ActError: it is still there.
    """
    with _netlink() as netlink:
        interfaces = _interfaces(netlink, interface)
        ours = list(_effects(netlink, interfaces, mark))
        for name in ours:
            try:
                netlink.tc("del", index=interfaces[name], parent=TC_H_ROOT)
            except NetlinkError as error:
                if name in _effects(netlink, interfaces, mark):
                    raise from_os_error(error, f"remove netem from {name}") from error
        if left := list(_effects(netlink, interfaces, mark)):
            raise ActError("not-in-effect", f"netem was removed and is still on {', '.join(left)}")
        return ours


@contextmanager
def _netlink() -> Iterator[Any]:
    plugins["netem"] = _Netem
    try:
        netlink = IPRoute()
    except OSError as error:
        raise from_os_error(error, "speak with the kernel's network") from error
    with netlink:
        yield netlink


def _interfaces(netlink: Any, wanted: str) -> dict[str, int]:
    found = {str(link.get_attr("IFLA_IFNAME")): int(link["index"]) for link in netlink.get_links()}
    if wanted:
        if wanted not in found:
            raise ActError("bad-act", f"there is no interface {wanted}; there are {', '.join(sorted(found))}")
        return {wanted: found[wanted]}
    found.pop("lo", None)
    return found


def _roots(netlink: Any, interfaces: dict[str, int]) -> dict[str, Any]:
    """Each interface's root queue; None for the kernel's default, which has no handle of its own."""
    by_index: dict[int, Any] = {}
    for queue in netlink.get_qdiscs():
        if queue["parent"] == TC_H_ROOT and queue["handle"]:
            by_index[queue["index"]] = queue
    return {name: by_index.get(index) for name, index in interfaces.items()}


def _effects(netlink: Any, interfaces: dict[str, int], mark: str) -> dict[str, Link]:
    roots = _roots(netlink, interfaces)
    return {
        name: from_options(root.get_attr("TCA_OPTIONS"))
        for name, root in roots.items()
        if root is not None and _bears(root, mark)
    }


def _bears(queue: Any, mark: str) -> bool:
    if queue.get_attr("TCA_KIND") != "netem":
        return False
    return is_ours(queue["handle"], queue.get_attr("TCA_OPTIONS")["limit"], mark)


def _named(queue: Any) -> str:
    handle = f"{queue['handle'] >> 16:x}:"
    ours = queue.get_attr("TCA_KIND") == "netem" and is_ours(
        queue["handle"], queue.get_attr("TCA_OPTIONS")["limit"]
    )
    return f"{queue.get_attr('TCA_KIND')} {handle}" + (" of another run of breakroom" if ours else "")
