"""How the director starts work beside its own: named, owned by a block, never lost; and how clean-up is finished.

The only place of this room that creates asyncio tasks. `background` ties a task's life to a block; `shielded` runs
clean-up to its end although the run was interrupted meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["background", "shielded"]


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `work` beside the block and cancel it at the block's end.

    If `work` fails, the block is cancelled and the failure raised in its place, so that nobody waits for what can no
    longer come.
    """
    owner = asyncio.current_task()
    task = asyncio.get_running_loop().create_task(work, name=name)
    interrupted = False

    def failed(done: asyncio.Task[None]) -> None:
        nonlocal interrupted
        if not done.cancelled() and done.exception() is not None and owner is not None:
            interrupted = owner.cancel()

    task.add_done_callback(failed)
    try:
        yield
    except asyncio.CancelledError:
        error = task.exception() if task.done() and not task.cancelled() else None
        if not interrupted or error is None or owner is None or owner.uncancel() > 0:
            raise
        raise error from None
    finally:
        task.remove_done_callback(failed)
        task.cancel()
        await asyncio.wait([task])


async def shielded(work: Awaitable[object]) -> None:
    """Finish `work` even if the caller is cancelled meanwhile; the cancellation is raised when it is done."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
