"""Lets the test's own process stand in a lab host's network, where that host's loopback is loopback."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker_lab.lab import Host

__all__ = ["standing_in"]

_NEW_NETWORK = 0x40000000


@contextmanager
def standing_in(host: Host) -> Iterator[None]:
    """This thread, and what it starts, is in the host's network namespace for the block (setns(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(Path("/run/netns") / host.namespace, os.O_RDONLY)
    try:
        if libc.setns(there, _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home, _NEW_NETWORK)
    finally:
        os.close(there)
        os.close(home)
