"""How long a killed replica is missed: from SIGKILL to the replacement's first answer, minus the app's own start.

The same sample app everywhere, killed and asked by the same program (`first_answer.py`): breakroom at the service's
published port, behind its ingress; supervisord and circus at the app's own port; Docker Swarm at the port that it
publishes on the node. Restart delay 0; what cannot be set is left as it comes. A replica has run for a while when
it is killed: what restarts too fast is held back everywhere.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks import keepers
from benchmarks.context import BrokenError, Context, free_port, run
from benchmarks.generators import HERE
from benchmarks.keepers import App, Keeper
from benchmarks.rows import OURS, Goal, Row
from breakroom.journal.records import Record, TaskChanged

__all__ = ["measure"]

PROGRAM = str(HERE / "first_answer.py")
SETTLE_S = 1.5
PATIENCE_S = 60.0
KILLS_A_ROUND = 3
SWARM = "Docker Swarm"
EAGER = "circusd, looking every 50 ms"
"""Not as it comes (5 s), and so no peer of the goal; shown beside."""


def _ms(words: list[str]) -> float:
    return int(run(words).text) / 1e6


def _cold(app: App) -> float:
    """The app alone, from spawn to its first answer."""
    setting = [f"{name}={value}" for name, value in app.environment.items()]
    return statistics.median(
        _ms(["env", *setting, sys.executable, "-I", "-S", PROGRAM, "start", str(free_port()), *app.command])
        for _ in range(KILLS_A_ROUND)
    )


def _one(keeper: Keeper) -> int:
    """The pid of the one replica, once it is there."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if len(pids := keeper.pids()) == 1:
            return pids[0]
        time.sleep(0.1)
    raise BrokenError(f"there is not one replica but {keeper.pids()}")


def _killed(keeper: Keeper, kills: int) -> float:
    """Milliseconds from the kill to the first answer; the median of some."""
    times = []
    for _ in range(kills):
        old = _one(keeper)
        time.sleep(SETTLE_S)  # a service that has run for a while is what crashes
        words = [sys.executable, "-I", "-S", PROGRAM, "kill", str(old), str(keeper.port)]
        times.append(_ms([*keeper.prefix, *words]))
        if _one(keeper) == old:
            raise BrokenError("the replica that was to be killed lives")
    return statistics.median(times)


def _until_running(changes: list[TaskChanged]) -> float:
    """Milliseconds from an end, as the orchestrator saw it, until the new program was loaded; the median of some."""
    times = []
    ended: int | None = None
    for change in changes:
        if change.state == "failed":
            ended = change.t
        elif change.state == "running" and ended is not None:
            times.append((change.t - ended) / 1e6)
            ended = None
    if not times:
        raise BrokenError("the orchestrator's records tell of no replacement")
    return statistics.median(times)


def measure(context: Context) -> list[Row]:
    """One row."""
    app = keepers.sample_app()
    missing = context.absent("supervisord", "circusd")
    kills = context.pick(KILLS_A_ROUND, 1)
    changes: list[TaskChanged] = []
    running: list[float] = []

    def note(record: Record) -> None:
        if isinstance(record, TaskChanged):
            changes.append(record)

    def ours() -> float:
        changes.clear()
        taken = _killed(up[OURS], kills)
        running.append(_until_running(changes))
        return taken

    with ExitStack() as stack:
        up = {OURS: stack.enter_context(keepers.our_engine(context, app, emit=note))}
        if "supervisord" in context.tools:
            up["supervisord"] = stack.enter_context(keepers.supervisord(context, app))
        if "circusd" in context.tools:
            up["circusd"] = stack.enter_context(keepers.circus(context, app))
            up[EAGER] = stack.enter_context(keepers.circus(context, app, check=0.05))
        if why := keepers.swarm_missing():
            missing[SWARM] = why
        else:
            up[SWARM] = stack.enter_context(keepers.swarm(app))
        for keeper in up.values():
            _ms([*keeper.prefix, sys.executable, "-I", "-S", PROGRAM, "wait", str(keeper.port)])
        contestants: dict[str, Callable[[], float]] = {"the app alone": lambda: _cold(app)}
        for name, keeper in up.items():
            contestants[name] = lambda keeper=keeper: _killed(keeper, 1)  # type: ignore[misc]  # as its default
        contestants[OURS] = ours
        found = context.alternate(contestants)
    return [_row(found, running, missing)]


def _row(found: dict[str, list[float]], running: list[float], missing: dict[str, str]) -> Row:
    """The row of what was found, one figure a round; `running` is what `_until_running` gave."""
    alone = found.pop("the app alone")
    overhead = {
        name: [each - cold for each, cold in zip(times, alone, strict=True)] for name, times in found.items()
    }
    eager = {name: overhead.pop(name) for name in (EAGER,) if name in overhead}
    return Row(
        bench="replace",
        name="SIGKILL → the replacement answers, minus the app's own start",
        unit="ms",
        better="less",
        figures=overhead,
        missing=missing,
        goals=[
            Goal(text="≤ 15 ms", at_most=15),
            Goal(text="at least 10 × less than the best peer", peer="best", at_least=10),
        ],
        beside={
            "SIGKILL → answer, ms": found,
            "the app's own start, ms": {"the app alone": alone},
            **({"minus the app's own start, ms": eager} if eager else {}),
            "end seen → the replacement's program runs, ms": {OURS: running},
        },
        note="breakroom is asked at the published port, through its ingress. Swarm: one node, its own dockerd, "
        "restart delay 0. circusd as it comes looks after its processes every 5 s.",
    )
