"""The ingress as a program: `python -m breakroom.ingress --control-fd N`.

Started by the engine's shell with one end of a socket pair as descriptor N. Lives until that socket ends, or, on Linux,
until its parent dies.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import signal
import socket
import sys

from breakroom.ingress.server import Server

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_GC_THRESHOLD = 100_000


def main(argv: list[str] | None = None) -> None:
    """Run the ingress."""
    parser = argparse.ArgumentParser(prog="breakroom.ingress", description=__doc__)
    parser.add_argument("--control-fd", type=int, required=True, help="inherited socket for control messages")
    parser.add_argument(
        "--portable", action="store_true", help="use poll and placeholder sockets even where Linux has better"
    )
    options = parser.parse_args(argv)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Ctrl-C at the terminal is for the program that started us; we end when it closes the control socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(options.control_fd, False)
    server = Server(socket.socket(fileno=options.control_fd), portable=options.portable)
    # Connections leave no cycles behind, so the collector has nothing to find among them.
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    server.run()


if __name__ == "__main__":
    main()
