"""One act: a request in, an answer out. The table of all acts, and what each needs.

Called by `__main__` for `python -m breakroom.agent act`. An act that names a container has its full id and the pid of
its main process, as Docker tells them; both are checked against each other (`container`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from subprocess import Popen
from typing import Any

from breakroom.agent import cgroups, container, kernel, lasting, memory
from breakroom.agent.errors import ActError
from breakroom.agent.namespaces import in_container_network, own_network
from breakroom.agent.probe import probe
from breakroom.agent.request import ask
from breakroom.agent.sweep import PREFIX, sweep

__all__ = ["ACTS", "PARTITION", "Outcome", "perform"]

PARTITION = "partition"
_MAX_WITHIN_S = 24 * 3600.0
_Act = dict[str, Any]


class Outcome:
    """An act's answer, and the process that goes on after it, if there is one."""

    __slots__ = ("answer", "stays")

    def __init__(self, answer: dict[str, Any], stays: Popen[bytes] | None = None) -> None:
        self.answer = answer
        self.stays = stays


def perform(act: Any) -> Outcome:
    """Do it. Never raises for what can go wrong with an act: that is the answer.

    Returns:
        `{"ok": true, …, "at": {"unix_ns", "monotonic_ns", "boot"}}`, `at` being when the act was done, by this node's
        clocks; or `{"ok": false, "code", "message"}`.
    """
    try:
        if not isinstance(act, dict) or act.get("act") not in ACTS:
            raise ActError("bad-act", f"there is no such act; there are {', '.join(sorted(ACTS))}")
        outcome = ACTS[act["act"]](act)
    except ActError as error:
        return Outcome({"ok": False, "code": error.code, "message": str(error)})
    except (KeyError, TypeError, ValueError) as error:
        return Outcome({"ok": False, "code": "bad-act", "message": f"{type(error).__name__}: {error}"})
    except OSError as error:
        return Outcome({"ok": False, "code": "failed", "message": str(error)})
    outcome.answer = {"ok": True, "at": _now(), **outcome.answer}
    return outcome


def _processes(act: _Act) -> Outcome:
    name, pid = _named(act)
    with container.held(pid, name):
        return Outcome({"processes": [asdict(process) for process in container.processes_of(name)]})


def _signal(act: _Act) -> Outcome:
    name, pid = _named(act)
    number = container.signal_number(str(act["signal"]))
    match = act.get("match")
    if match is not None and (not isinstance(match, str) or not match):
        raise ActError("bad-act", "match must be a text that is not empty")
    pids = container.send_signal(name, pid, number, match)
    return Outcome({"at": _now(), "pids": pids})


def _process_state(act: _Act) -> Outcome:
    name, pid = _named(act)
    try:
        with container.held(pid, name):
            return Outcome({"state": container.state_of(pid)})
    except ActError as error:
        if error.code not in {"gone", "not-in-container"}:
            raise
        return Outcome({"state": ""})


def _link_set(act: _Act) -> Outcome:
    from breakroom.agent.netem import link_from

    name, pid = _named(act)
    mark, link, interface = _mark(act), link_from(dict(act["link"])), str(act.get("interface") or "")

    def work() -> Any:
        from breakroom.agent import links

        return links.set_link(mark, link, interface)

    return Outcome({"means": "netem", "links": in_container_network(name, pid, work)})


def _link_show(act: _Act) -> Outcome:
    name, pid = _named(act)
    mark = _mark(act)

    def work() -> Any:
        from breakroom.agent import links

        return links.show(mark)

    return Outcome({"means": "netem", "links": in_container_network(name, pid, work)})


def _link_clear(act: _Act) -> Outcome:
    name, pid = _named(act)
    mark = _mark(act)

    def work() -> Any:
        from breakroom.agent import links

        return links.clear(mark)

    return Outcome({"cleared": in_container_network(name, pid, work)})


def _partition_set(act: _Act) -> Outcome:
    """Cut off what `scope` says: `container` (with its id and pid) or `node`.

    With `after_s` it is armed now and cuts later, so that the answer can still leave a node that will be cut off.
    """
    from breakroom.agent import partition

    mark, scope = _mark(act), _scope(act)
    within, after = _seconds(act, "within_s"), float(act.get("after_s") or 0)
    if not 0 <= after <= 60:  # a minute, as the message says
        raise ActError("bad-act", "after_s must be from 0 to 60")
    target = {"container": act.get("container"), "pid": act.get("pid")} if scope == "container" else {}
    for stayer in lasting.find(mark, kind=PARTITION, scope=scope, **target):
        lasting.end(stayer)
    _in_scope(act, lambda: partition.arm(mark, scope))
    task = {"kind": PARTITION, "scope": scope, "within_s": within, "after_s": after, **target}
    stays = lasting.start(mark, task)
    if after:
        return Outcome({"means": "nft", "active": False, "after_s": after, "within_s": within}, stays)

    def cut() -> Any:
        partition.cut(mark, math.ceil(within * 1000))
        return partition.show(mark)

    effect = _in_scope(act, cut)
    if not effect["active"]:
        raise ActError("not-in-effect", "nftables took the partition, and does not show it")
    return Outcome({"means": "nft", **effect}, stays)


def _partition_show(act: _Act) -> Outcome:
    from breakroom.agent import partition

    mark = _mark(act)
    return Outcome({"means": "nft", **_in_scope(act, lambda: partition.show(mark))})


def _partition_clear(act: _Act) -> Outcome:
    from breakroom.agent import partition

    mark, scope = _mark(act), _scope(act)
    target = {"container": act.get("container")} if scope == "container" else {}
    for stayer in lasting.find(mark, kind=PARTITION, scope=scope, **target):
        lasting.end(stayer)
    return Outcome({"cleared": _in_scope(act, lambda: partition.clear(mark))})


def _memory_fill(act: _Act) -> Outcome:
    name, pid = _named(act)
    size = act["bytes"]
    if not isinstance(size, int) or size <= 0:
        raise ActError("bad-act", "bytes must be a whole number above 0")
    effect, filler = memory.fill(_mark(act), name, pid, size, _seconds(act, "within_s"))
    return Outcome(effect, filler)


def _memory_free(act: _Act) -> Outcome:
    return Outcome({"freed": memory.free(_mark(act), str(act["container"]))})


def _memory_events(act: _Act) -> Outcome:
    name, pid = _named(act)
    with container.held(pid, name):
        place = cgroups.place_of(pid, name)
        used = cgroups.memory_of(place)
        return Outcome(
            {"cgroup": place.version, "events": cgroups.memory_events(place), "memory": asdict(used)}
        )


def _stats(act: _Act) -> Outcome:
    found: dict[str, Any] = {}
    for one in act["containers"]:
        try:
            name, pid = _named(one)
            used = cgroups.memory_of(cgroups.place_of(pid, name))
            found[name] = {**asdict(used), "cpu_ns": cgroups.cpu_ns(pid, name)}
        except ActError as error:
            if error.code not in {"gone", "not-in-container"}:
                raise
    return Outcome({"containers": found})


def _cpu_quota(act: _Act) -> Outcome:
    name, pid = _named(act)
    with container.held(pid, name):
        quota, period = cgroups.cpu_quota(pid, name)
    return Outcome({"quota_us": quota, "period_us": period})


def _request(act: _Act) -> Outcome:
    name, pid = _named(act)
    port, method, path = int(act["port"]), _text(act, "method"), _text(act, "path")
    status, body = in_container_network(name, pid, lambda: ask("127.0.0.1", port, method, path))
    return Outcome({"status": status, "body": body})


def _oom_kills(_: _Act) -> Outcome:
    return Outcome({"oom_kills": kernel.oom_kills()})


def _sweep(act: _Act) -> Outcome:
    mark = str(act.get("mark") or "")
    if mark and not mark.startswith(PREFIX):
        raise ActError("bad-act", f"a mark begins with {PREFIX}")
    return Outcome(sweep(mark, dry=bool(act.get("dry")), spare=tuple(act.get("spare") or ())))


def _probe(_: _Act) -> Outcome:
    return Outcome(probe())


ACTS: dict[str, Callable[[_Act], Outcome]] = {
    "cpu-quota": _cpu_quota,
    "link-clear": _link_clear,
    "link-set": _link_set,
    "link-show": _link_show,
    "memory-events": _memory_events,
    "memory-fill": _memory_fill,
    "memory-free": _memory_free,
    "oom-kills": _oom_kills,
    "partition-clear": _partition_clear,
    "partition-set": _partition_set,
    "partition-show": _partition_show,
    "probe": _probe,
    "process-state": _process_state,
    "processes": _processes,
    "request": _request,
    "signal": _signal,
    "stats": _stats,
    "sweep": _sweep,
}


def _in_scope(act: _Act, work: Callable[[], Any]) -> Any:
    if _scope(act) == "node":
        return own_network(work)
    name, pid = _named(act)
    return in_container_network(name, pid, work)


def _scope(act: _Act) -> str:
    scope = str(act.get("scope") or "container")
    if scope not in {"container", "node"}:
        raise ActError("bad-act", "scope is container or node")
    return scope


def _named(act: _Act) -> tuple[str, int]:
    return _text(act, "container"), int(act.get("pid") or 0)


def _mark(act: _Act) -> str:
    mark = _text(act, "mark")
    if not mark.startswith(PREFIX) or not set(mark.removeprefix(PREFIX)) <= _letters() or len(mark) > 40:
        raise ActError("bad-act", f"a mark is {PREFIX} and letters, digits or _, 40 in all at most")
    return mark


def _letters() -> set[str]:
    return set("abcdefghijklmnopqrstuvwxyz0123456789_")


def _text(act: _Act, key: str) -> str:
    if not isinstance(act.get(key), str) or not act[key]:
        raise ActError("bad-act", f"{key} is missing")
    return str(act[key])


def _seconds(act: _Act, key: str) -> float:
    value = float(act[key])
    if not 0 < value <= _MAX_WITHIN_S:
        raise ActError("bad-act", f"{key} must be above 0 and at most a day")
    return value


def _now() -> dict[str, Any]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"unix_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns(), "boot": boot}
