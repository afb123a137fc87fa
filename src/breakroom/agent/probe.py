"""What this node can, each found by doing it in a network namespace that is made for that and ends with it.

Called by `acts`; its answers are what the platform calls its capabilities and what `doctor` shows.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from breakroom.agent import cgroups
from breakroom.agent.errors import ActError
from breakroom.agent.namespaces import in_new_network

__all__ = ["probe"]

_MARK = "breakroom_probe"
_CAPABILITIES = (  # noqa: SIM905  # forty quoted words would be harder to compare with the header
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
"""By number, linux/capability.h."""


def probe() -> dict[str, Any]:
    """`netem`, `nft`, `ip_vs`: each `{"works", "reason"}`; `cgroup`; `kernel`; `capabilities`."""
    from breakroom.agent import links, nft_wire  # noqa: F401  # once here, not in each forked process

    return {
        "netem": _tried(lambda: in_new_network(_netem)),
        "nft": _tried(lambda: in_new_network(_nft)),
        "ip_vs": _tried(lambda: in_new_network(_ip_vs)),
        "cgroup": _cgroup(),
        "kernel": platform.release(),
        "capabilities": _capabilities(),
    }


def _tried(work: Callable[[], Any]) -> dict[str, Any]:
    try:
        work()
    except ActError as error:
        return {"works": False, "reason": str(error), "code": error.code}
    return {"works": True, "reason": "", "code": ""}


def _netem() -> None:
    from breakroom.agent import links
    from breakroom.agent.netem import Link

    links.set_link(_MARK, Link(delay_ns=100_000_000, jitter_ns=20_000_000, loss=0.05), "lo")


def _nft() -> None:
    from breakroom.agent import partition

    partition.arm(_MARK, "container")
    partition.cut(_MARK, 60_000)
    if not partition.show(_MARK)["active"]:
        raise ActError("not-in-effect", "nftables took the rules, and does not show them")


def _ip_vs() -> None:
    from pyroute2 import IPVS, IPVSService
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPVS() as ipvs:
            ipvs.service("add", service=IPVSService(addr="127.0.0.1", port=80, protocol=socket.IPPROTO_TCP))
    except NetlinkError as error:
        if error.code == errno.ENOENT:
            raise ActError("unsupported", "this kernel has no IP Virtual Server (module ip_vs)") from error
        raise ActError("failed", f"a virtual service cannot be made: {error}") from error


def _cgroup() -> dict[str, Any]:
    try:
        version = cgroups.version()
    except ActError as error:
        return {"version": None, "writable": False, "reason": str(error)}
    root = cgroups.root_of("memory" if version == 1 else "")
    return {"version": version, "writable": root is not None and cgroups.writable(root), "reason": ""}


def _capabilities() -> list[str]:
    for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
            return [name for number, name in enumerate(_CAPABILITIES) if effective >> number & 1]
    return []
