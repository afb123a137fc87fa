"""What a container wrote during one of its starts, kept as a file of the run.

Used by `deployment`. Docker keeps one log for all starts; a start's part of it is cut out by Docker's own times.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import aiohttp
from aiodocker.exceptions import DockerError

from breakroom.platforms.docker.connect import Daemon

__all__ = ["TAIL", "keep_log"]

TAIL = 4000
"""Characters of a log's end that go into the journal."""
_MOST = 64 << 20
"""A start that wrote more is kept up to here: a log must not fill the disk that the results are on."""


async def keep_log(
    daemon: Daemon, container: str, file: Path, *, since_unix: int | None, until_unix: int | None
) -> str | None:
    """Write what the container wrote between the two times (Unix ns) to `file`.

    Returns:
        Its end; None if the daemon cannot tell (another log driver, gone).
    """
    span: dict[str, Any] = {
        name: f"{at // 1_000_000_000}.{at % 1_000_000_000:09d}"
        for name, at in (("since", since_unix), ("until", until_unix))
        if at is not None
    }
    size, tail = 0, ""
    try:
        with file.open("wb") as out:
            # aiodocker takes Docker's frames apart; a line may come in several pieces.
            pieces = await daemon.docker.containers.container(container).log(stdout=True, stderr=True, **span)
            for piece in pieces:
                data = piece.encode()
                size += len(data)
                if size > _MOST:
                    break
                out.write(data)
                tail = (tail + piece)[-TAIL:]
    except (DockerError, aiohttp.ClientError, OSError, TimeoutError):
        with contextlib.suppress(OSError):
            os.unlink(file)  # noqa: PTH108  # a small file of our own, on the loop
        return None
    return tail
