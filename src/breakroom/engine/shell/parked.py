"""A process that was made in advance and waits to become a program.

Used by `engine.shell.spares` through `processes.Children`. Making a process costs a millisecond or two, and putting it
into a control group ten or more, because the kernel waits until no other core can be in the middle of a fork. A
parked process has both behind it: it only has to load its program.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from breakroom.engine.shell import procfs

__all__ = ["Parked"]

_MANY = 1 << 20
_NOWHERE = "/dev/null/nowhere"


class _Order(msgspec.Struct, frozen=True):
    """In bytes: names in an environment and a file system need not be text."""

    argv: list[bytes]
    env: dict[bytes, bytes]
    cwd: bytes
    log: bytes

    @classmethod
    def of(cls, argv: Sequence[str], env: Mapping[str, str], cwd: str, log: str) -> _Order:
        encode = os.fsencode
        words = {encode(name): encode(value) for name, value in env.items()}
        return cls([encode(word) for word in argv], words, encode(cwd), encode(log))


class _Refusal(msgspec.Struct, frozen=True):
    errno: int
    text: str


_ORDERS = msgspec.msgpack.Decoder(_Order)
"""Made here, so that no child has to find out what an order looks like: that took it a millisecond."""


class Parked:
    """A waiting child of this process, in a session of its own. It ends when this object's socket is closed."""

    def __init__(self, pid: int, orders: socket.socket) -> None:
        self.pid = pid
        self._orders = orders

    @classmethod
    def make(cls, cgroup_fd: int | None) -> Parked:
        """Fork. Returns at once: the child enters the group (an open `cgroup.procs`) by itself.

        Raises:
            OSError: no process can be made.
        """
        parent = os.getpid()
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            _wait(theirs, parent, cgroup_fd)
        theirs.close()
        return cls(pid, ours)

    def become(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, log: Path) -> None:
        """Let it become the program, its output appended to `log`; returns when the program was loaded.

        Raises:
            OSError: the program could not be run; the child ends.
        """
        order = _Order.of(argv, env, cwd, str(log))
        with self._orders as orders:
            orders.sendall(msgspec.msgpack.encode(order))
            orders.shutdown(socket.SHUT_WR)
            # Loading the program closes the other end; so does the child's death, which the reaper sees.
            answer = orders.recv(4096)
        if answer:
            refusal = msgspec.json.decode(answer, type=_Refusal)
            raise OSError(refusal.errno, refusal.text)

    def dismiss(self) -> None:
        """Let it end; harmless if it has."""
        self._orders.close()


def _wait(orders: socket.socket, parent: int, cgroup_fd: int | None) -> NoReturn:
    """The child's whole life before its program. Nothing of the engine's may run here again, so it never returns."""
    try:
        _let_go_of_the_engine(orders.fileno(), cgroup_fd)
        procfs.tie_to_parent(parent)
        if cgroup_fd is not None:
            os.write(cgroup_fd, b"0")
            os.close(cgroup_fd)
        _rehearse()
        received = b""
        while data := orders.recv(1 << 16):
            received += data
        if received:
            _load(_ORDERS.decode(received))
    except OSError as error:
        orders.send(msgspec.json.encode(_Refusal(error.errno or 0, error.strerror or str(error))))
    finally:
        os._exit(127)


def _let_go_of_the_engine(orders_fd: int, cgroup_fd: int | None) -> None:
    """Keep none of its signal handlers, descriptors, or terminal."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    kept = sorted({orders_fd, *((cgroup_fd,) if cgroup_fd is not None else ())})
    first = 3
    for fd in kept:
        os.closerange(first, fd)
        first = fd + 1
    highest = os.sysconf("SC_OPEN_MAX")
    # Some systems answer "without limit"; nobody has a million.
    os.closerange(first, highest if 0 < highest < _MANY else _MANY)


def _rehearse() -> None:
    """Do what loading a program takes: with a program that does not exist, and without touching our own output.

    Every page of the engine's memory that a child writes to, be it for a count of references, is copied then: some
    hundred pages, a millisecond or two. So they are copied while nobody waits.
    """
    with contextlib.suppress(OSError):
        order = _Order.of([_NOWHERE], os.environ, "", os.devnull)
        _load(_ORDERS.decode(msgspec.msgpack.encode(order)), outputs=())


def _load(order: _Order, outputs: tuple[int, ...] = (1, 2)) -> None:
    output = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    for fd in outputs:
        os.dup2(output, fd)
    if order.cwd:
        os.chdir(order.cwd)
    os.execvpe(order.argv[0], order.argv, order.env)  # a program is what it is for
