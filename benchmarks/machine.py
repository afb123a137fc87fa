"""What the machine is that figures were measured on. Called by `__main__`; reads /proc, changes nothing."""

from __future__ import annotations

import os
import platform
import re
import socket
from datetime import UTC, datetime
from pathlib import Path

import psutil

__all__ = ["TRACKED", "describe", "today", "tracks_connections"]

TRACKED = "on: loopback is up to twice as slow (rules of a stopped dockerd? see `nft list ruleset`)"


def today() -> str:
    """The date, in UTC."""
    return datetime.now(UTC).date().isoformat()


def describe(versions: dict[str, str]) -> dict[str, str]:
    """Cores, processor, memory, kernel, Python, how busy it was, and the peers' versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "date": today(),
        "cores": str(cores),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{_distribution()}, {platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "load average at the begin": f"{os.getloadavg()[0]:.2f}",
        "connection tracking": TRACKED if tracks_connections() else "off",
        "peers": ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) or "none",
    }


def tracks_connections() -> bool:
    """Whether the packet filter follows connections on loopback, as the rules do that a stopped dockerd leaves."""
    count = Path("/proc/sys/net/netfilter/nf_conntrack_count")
    try:
        before = int(count.read_text(encoding="ascii"))
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            return int(count.read_text(encoding="ascii")) > before
    except OSError:
        return False


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else "unknown"


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return platform.platform(terse=True)
