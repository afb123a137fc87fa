"""The process that stays with a partition: cuts later if so asked, and takes the rules away when they have expired.

Run by `__main__` as `python -m breakroom.agent stay MARK {…}`. That traffic flows again is the kernel's doing; this
only tidies up after it. It looks into the namespace by way of the container's process: where that has ended, the
namespace ended with it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from breakroom.agent import partition
from breakroom.agent.errors import ActError
from breakroom.agent.namespaces import in_container_network, own_network

__all__ = ["heal"]

_LOOK_AGAIN_S = 0.2


def heal(mark: str, task: dict[str, Any], *, clock: Callable[[], float]) -> None:
    """Cut `after_s` from now if that is above 0; then wait until the partition is over, and remove it."""
    begin = clock()
    within, after = float(task["within_s"]), float(task.get("after_s") or 0)
    try:
        if after:
            time.sleep(max(0.0, begin + after - clock()))
            _at(task, lambda: partition.cut(mark, math.ceil(within * 1000)))
        time.sleep(max(0.0, begin + after + within - clock()))
        while True:
            seen = _at(task, lambda: partition.show(mark))
            if not seen["active"]:
                break
            # Somebody renewed it, or this clock runs ahead of the kernel's timer.
            time.sleep(seen["remaining_ms"] / 1000 + _LOOK_AGAIN_S)
        _at(task, lambda: partition.clear(mark))
    except ActError:
        # The container is gone, or a sweep was here: nothing is left to heal.
        return


def _at(task: dict[str, Any], work: Callable[[], Any]) -> Any:
    if task["scope"] == "node":
        return own_network(work)
    return in_container_network(str(task["container"]), int(task["pid"]), work)
