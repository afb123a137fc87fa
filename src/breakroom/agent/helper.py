"""The helper container that does one act on a node: its configuration for Docker, with the least that the act needs.

Called by `platforms.docker.hands` on this node's daemon and by the Swarm agent (`resident`) on its own. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["LASTING", "NODE_CGROUPS", "SECRET", "helper_config", "needs_of"]

LASTING = frozenset({"memory-fill", "partition-set"})
"""Acts that leave a process running. Their helper stays as long: a container ends with its first process."""
NODE_CGROUPS = "/breakroom/cgroup"
"""Where the node's cgroup file systems are in a helper: in its own place a container sees but its own groups."""
SECRET = "breakroom-agent-key"  # noqa: S105  # a file's name, not the key
"""The name of the agents' key under /run/secrets."""

_NAMESPACES = ("SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN")
_CAPABILITIES: dict[str, tuple[str, ...]] = {
    "cpu-quota": (),
    "link-clear": _NAMESPACES,
    "link-set": _NAMESPACES,
    "link-show": _NAMESPACES,
    "memory-events": (),
    "memory-fill": (),
    "memory-free": ("KILL",),
    "oom-kills": (),
    "partition-clear": (*_NAMESPACES, "KILL"),
    "partition-set": (*_NAMESPACES, "KILL"),
    "partition-show": _NAMESPACES,
    "probe": ("SYS_ADMIN", "NET_ADMIN"),
    "process-state": (),
    "processes": (),
    "request": ("SYS_ADMIN", "SYS_PTRACE"),
    "signal": ("KILL",),
    "stats": (),
    "sweep": (*_NAMESPACES, "KILL"),
}
_IN_NETWORK = ("link-", "partition-", "sweep")
_CGROUPS_WRITTEN = frozenset({"memory-fill", "probe"})
_CGROUPS_READ = frozenset({"cpu-quota", "memory-events", "stats"})


def needs_of(act: Mapping[str, Any]) -> tuple[str, ...]:
    """The capabilities that an act needs; none for an unknown one, which the agent refuses.

    Entering a network namespace takes SYS_ADMIN, opening another process's SYS_PTRACE, changing it NET_ADMIN.
    """
    needs = _CAPABILITIES.get(str(act.get("act")), ())
    if act.get("scope") == "node" and str(act.get("act")).startswith("partition-"):
        return tuple(name for name in needs if name not in {"SYS_ADMIN", "SYS_PTRACE"})
    return needs


def helper_config(act: Mapping[str, Any], *, image: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """The body of `POST /containers/create` for a helper that does this act, read from its standard input."""
    name = str(act.get("act"))
    binds = []
    if name in _CGROUPS_WRITTEN | _CGROUPS_READ:
        binds = [f"/sys/fs/cgroup:{NODE_CGROUPS}:{'rw' if name in _CGROUPS_WRITTEN else 'ro'}"]
    return {
        "Image": image,
        "Cmd": ["act", "--linger"],
        "Labels": dict(labels),
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "NetworkDisabled": False,
        "HostConfig": {
            "AutoRemove": True,
            "Binds": binds,
            "CapAdd": list(needs_of(act)),
            "CapDrop": ["ALL"],
            "CgroupnsMode": "host",
            "LogConfig": {"Type": "none"},
            "NetworkMode": "host" if name.startswith(_IN_NETWORK) else "none",
            "PidMode": "host",
            "ReadonlyRootfs": True,
            "RestartPolicy": {"Name": "no"},
            # AppArmor's and SELinux's ordinary profiles keep a container from other processes' /proc entries.
            "SecurityOpt": ["apparmor=unconfined", "label=disable", "no-new-privileges"],
            "UsernsMode": "host",
        },
    }
