"""A pause that Docker refuses for want of time is asked for again; a daemon that answers so, over a real socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import opened
from breakroom.platforms.docker.freeze import freeze

SLOW = "Cannot pause container c: OCI runtime pause failed: unable to freeze: unknown"


def asked(directory: Path, answers: list[str]) -> int:
    """Pause by a daemon that gives these refusals (empty: none), the last one for ever; how often it was asked."""
    count = 0

    async def pause(_: web.Request) -> web.Response:
        nonlocal count
        said = answers[min(count, len(answers) - 1)]
        count += 1
        return web.json_response({"message": said}, status=500) if said else web.Response(status=204)

    async def who(_: web.Request) -> web.Response:
        return web.json_response({"ID": "d", "ApiVersion": "1.41", "Version": "20.10", "OSType": "linux"})

    async def none(_: web.Request) -> web.Response:
        return web.json_response([])

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/{version:v?[0-9.]*}/version", who)
        app.router.add_get("/version", who)
        app.router.add_get("/{tail:.*}info", who)
        app.router.add_get("/{tail:.*}containers/json", none)
        app.router.add_post("/{tail:.*}containers/c/pause", pause)
        runner = web.AppRunner(app)
        await runner.setup()
        path = directory / "d.sock"
        await web.UnixSite(runner, str(path)).start()
        try:
            async with opened({"DOCKER_HOST": f"unix://{path}"}) as daemon:
                await freeze(daemon, "c", "pause the container")
        finally:
            await runner.cleanup()

    asyncio.run(main())
    return count


def test_a_freezer_that_was_too_slow_is_tried_again(tmp_path: Path) -> None:
    assert asked(tmp_path, [SLOW, SLOW, ""]) == 3


def test_a_freezer_that_is_never_done_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="unable to freeze"):
        asked(tmp_path, [SLOW])


def test_another_refusal_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="not running"):
        asked(tmp_path, ["Container c is not running", ""])
