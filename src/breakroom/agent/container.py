"""The processes of one container, seen from the node: checked to be its own, held so that none can be mistaken.

A process id may be given to another process between any two looks. So a process is held by a pidfd first, then looked
at: what was read before the pidfd was found alive again was read of that very process (pidfd_open(2)). Which container
it belongs to stands in /proc/PID/cgroup, where Docker's cgroups bear the container's full id.

Called by every act that names a container. Reads /proc, sends signals. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from breakroom.agent.errors import ActError, from_os_error

__all__ = [
    "OWN_WORDS",
    "ContainerProcess",
    "command_line",
    "held",
    "in_container",
    "is_alive",
    "processes_of",
    "send_signal",
    "signal_number",
    "state_of",
]

_ID = re.compile(r"[0-9a-f]{64}")
OWN_WORDS = ("-m", "breakroom.agent")
"""Two words in the command line of every process of this room; how it knows its own, whatever cgroup they are in."""


@dataclass(frozen=True, slots=True)
class ContainerProcess:
    """One process of a container. `inside` is its pid as the container's own processes see it."""

    pid: int
    inside: int
    state: str
    words: tuple[str, ...]


def in_container(pid: int, container: str) -> bool:
    """Whether the process is in a cgroup of that container (of any controller, at any depth).

    Raises:
        ActError: `gone`.
    """
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError as error:
        raise ActError("gone", f"process {pid} is not there any more") from error


def is_alive(pidfd: int) -> bool:
    """Whether the process behind a pidfd has not ended yet (a zombie has)."""
    return not select.select([pidfd], [], [], 0)[0]


@contextmanager
def held(pid: int, container: str) -> Iterator[int]:
    """A pidfd of a process that is certainly that container's.

    Raises:
        ActError: `gone`, `not-in-container`, `bad-act`.
    """
    if not _ID.fullmatch(container):
        raise ActError("bad-act", "a container is named by its full id, 64 hexadecimal digits")
    if pid <= 0:
        raise ActError("gone", f"container {container[:12]} does not run")
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise ActError(
            "gone", f"process {pid} of container {container[:12]} is not there any more"
        ) from error
    except OSError as error:
        raise from_os_error(error, f"hold process {pid}") from error
    try:
        belongs = in_container(pid, container)
        if not is_alive(pidfd):
            raise ActError("gone", f"process {pid} of container {container[:12]} has ended")
        if not belongs:
            raise ActError("not-in-container", f"process {pid} does not belong to container {container[:12]}")
        yield pidfd
    finally:
        os.close(pidfd)


def processes_of(container: str) -> list[ContainerProcess]:
    """Every process of the container, without what breakroom itself put there; by pid."""
    found = []
    for pid in _all_pids():
        with contextlib.suppress(OSError, ActError, ValueError, IndexError):
            if not in_container(pid, container):
                continue
            words = command_line(pid)
            if not _is_own(words):
                found.append(ContainerProcess(pid, _inside(pid), state_of(pid), words))
    return sorted(found, key=lambda process: process.pid)


def command_line(pid: int) -> tuple[str, ...]:
    """A process's words; empty for a kernel thread or a zombie.

    Raises:
        OSError: it is gone.
    """
    raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    return tuple(word.decode(errors="replace") for word in raw.rstrip(b"\0").split(b"\0")) if raw else ()


def state_of(pid: int) -> str:
    """The state letter of proc(5); empty if it is gone."""
    try:
        # The command's name stands in parentheses and may itself contain spaces and parentheses.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def signal_number(name: str) -> signal.Signals:
    """`SIGKILL`, `KILL` or `9`.

    Raises:
        ActError: `bad-act`.
    """
    try:
        if name.isdigit():
            return signal.Signals(int(name))
        return signal.Signals["SIG" + name.upper().removeprefix("SIG")]
    except (KeyError, ValueError) as error:
        raise ActError("bad-act", f"there is no signal {name!r}") from error


def send_signal(container: str, pid: int, number: signal.Signals, match: str | None) -> list[int]:
    """Signal the main process, or all whose command line (words joined by spaces) contains `match`.

    Returns:
        The pids that got it; empty if none matched.

    Raises:
        ActError: `gone`, `not-in-container`, `permission-denied`.
    """
    if match is None:
        with held(pid, container) as pidfd:
            _send(pidfd, pid, number)
        return [pid]
    with held(pid, container):
        wanted = [process.pid for process in processes_of(container) if match in " ".join(process.words)]
    sent = []
    for one in wanted:
        try:
            with held(one, container) as pidfd:
                # It may have become another program since it was listed.
                if match in " ".join(command_line(one)):
                    _send(pidfd, one, number)
                    sent.append(one)
        except (ActError, OSError) as error:
            if isinstance(error, ActError) and error.code == "permission-denied":
                raise
    return sent


def _send(pidfd: int, pid: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except OSError as error:
        raise from_os_error(error, f"send {number.name} to process {pid}") from error


def _all_pids() -> Iterator[int]:
    for name in os.listdir("/proc"):  # noqa: PTH208  # hundreds of Path objects are not needed for their names
        if name.isdigit():
            yield int(name)


def _inside(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return pid


def _is_own(words: tuple[str, ...]) -> bool:
    return any(words[index : index + 2] == OWN_WORDS for index in range(len(words)))
