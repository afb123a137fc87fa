"""Connects as breakroom does, with this process's environment, and prints what came of it as JSON.

Run by the tests in a Docker host's network; `--as UID` gives up root's rights first.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import opened


async def main() -> dict[str, object]:
    """Connect and ask for the containers."""
    try:
        async with opened() as daemon:
            containers = await daemon.docker.containers.list(all=1)
            return {
                "host": daemon.host,
                "source": daemon.endpoint.source,
                "local": daemon.local,
                "name": daemon.info["Name"],
                "address": daemon.node_address,
                "containers": len(containers),
            }
    except PlatformError as error:
        return {"code": error.code, "message": str(error), "hint": error.hint}


if sys.argv[1:2] == ["--as"]:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
print(json.dumps(asyncio.run(main())))
