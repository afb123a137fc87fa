"""How the director starts work beside its own: named, owned by a block, never lost; and how clean-up is finished.

The only place of this room that creates asyncio tasks. `background` ties a task's life to a block; `shielded` runs
clean-up to its end although the run was interrupted meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["background", "shielded", "together"]


async def together(work: Iterable[tuple[Coroutine[Any, Any, None], str]]) -> None:
    """Run all of it at the same time, each under its name, until all have ended.

    A single one runs in the caller's own task. An interruption reaches all of them, and is raised when each has cleaned
    up; should one fail, the others are interrupted and its failure is raised.
    """
    parts = list(work)
    if len(parts) == 1:
        await parts[0][0]
        return
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine, name in parts:
                group.create_task(coroutine, name=name)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors


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
