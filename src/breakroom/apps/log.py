"""The sample apps' log: lines on standard output, with the time in UTC.

Used by every module of the package. A line is written at once: a log that waits in a buffer dies with its process.
"""

from __future__ import annotations

import contextlib
import os
import time

__all__ = ["log"]


def log(text: str) -> None:
    """Write one line. If nobody reads any more, that is no reason to stop serving."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    line = f"{stamp}.{int(now * 1000) % 1000:03d}Z {text}\n"
    with contextlib.suppress(OSError):
        os.write(1, line.encode(errors="replace"))
