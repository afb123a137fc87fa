"""`python -m breakroom.engine --control-fd N`: the engine process.

Started by `platforms.local_client` with one half of a socket pair; not meant for people.
"""

from __future__ import annotations

import argparse

__all__ = ["main"]


def main() -> None:
    """Read the descriptor's number and serve it until its other end closes."""
    parser = argparse.ArgumentParser(prog="python -m breakroom.engine", description=__doc__)
    parser.add_argument("--control-fd", type=int, required=True, help="inherited socket to the main process")
    control_fd: int = parser.parse_args().control_fd
    from breakroom.engine.shell.engine import serve

    serve(control_fd)


if __name__ == "__main__":
    main()
