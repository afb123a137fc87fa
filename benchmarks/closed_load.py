"""How fast is the closed model? Beside `ab` for new connections, beside `ab -k` and `wrk` for kept-alive ones.

Default settings: an nginx with two workers, and each generator as its user starts it (breakroom takes a worker process
a core, ab and `wrk -t1` are one thread). *One core each*: the generator on one core, nginx with one worker on
another; needs two cores and `taskset`.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import generators
from benchmarks.context import BrokenError, Context
from benchmarks.generators import Speed
from benchmarks.rows import OURS, Goal, Row
from benchmarks.servers import Server, nginx

__all__ = ["kept_alive", "new_connections"]

CEILING = "two ab at once (the ceiling)"
KEPT_CEILING = "two ab -k at once (the ceiling)"
NOTE = (
    "CPU is the load generator's own user and system time. ab's contains its start, breakroom's is that of its "
    "workers while they send. Default settings: breakroom uses a worker process a core, the others one thread. "
    "The ceiling is what nginx gives to two ab at once."
)


def _row(bench: str, name: str, speeds: dict[str, list[Speed]], goals: list[Goal], context: Context) -> Row:
    return Row(
        bench=bench,
        name=name,
        unit="requests/s",
        figures={who: [each.per_s for each in found] for who, found in speeds.items()},
        beside={
            "CPU µs/request": {
                who: [each.cpu_us for each in found] for who, found in speeds.items() if found[0].cpu_us
            }
        },
        goals=goals,
        missing=context.absent("ab") if bench == "closed" else context.absent("ab", "wrk"),
        note=NOTE,
    )


def _need_nginx(context: Context) -> None:
    if "nginx" not in context.tools:
        raise BrokenError(f"nginx is the server of this benchmark: {context.missing['nginx']}")


def _two_cores(context: Context) -> tuple[int, int] | None:
    cores = context.cores()
    return (cores[0], cores[1]) if len(cores) > 1 and "taskset" in context.tools else None


def new_connections(context: Context) -> list[Row]:
    """100 and 200 at a time, by default settings and on one core each."""
    _need_nginx(context)
    requests = context.pick(40_000, 3_000)
    rows = []

    def measure(server: Server, clients: int, core: int | None) -> dict[str, list[Speed]]:
        contestants: dict[str, Callable[[], Speed]] = {}
        contestants[OURS] = lambda: generators.breakroom(server, requests, clients, core=core)
        if "ab" in context.tools:
            contestants["ab"] = lambda: generators.ab(context, server, requests, clients, core=core)
            if core is None:
                contestants[CEILING] = lambda: generators.two_ab(context, server, requests, clients)
        return context.alternate(contestants)

    with nginx(context) as server:
        for clients in (100, 200):
            goals = [Goal(text="≥ 1.2 × ab", peer="ab", at_least=1.2)]
            name = f"new connections, {clients} at a time, default settings"
            rows.append(_row("closed", name, measure(server, clients, None), goals, context))
    if (cores := _two_cores(context)) is not None:
        with nginx(context, workers=1, core=cores[1]) as server:
            for clients in (100, 200):
                goals = [Goal(text="≥ 0.95 × ab", peer="ab", at_least=0.95)]
                name = f"new connections, {clients} at a time, one core each"
                rows.append(_row("closed", name, measure(server, clients, cores[0]), goals, context))
    return rows


def kept_alive(context: Context) -> list[Row]:
    """100 at a time, by default settings beside ab -k, on one core each beside wrk too."""
    _need_nginx(context)
    requests, seconds = context.pick(160_000, 6_000), context.pick(2, 1)
    rows = []

    def measure(server: Server, core: int | None) -> dict[str, list[Speed]]:
        contestants: dict[str, Callable[[], Speed]] = {
            OURS: lambda: generators.breakroom(server, requests, 100, keep=True, core=core)
        }
        if "ab" in context.tools:
            contestants["ab -k"] = lambda: generators.ab(context, server, requests, 100, keep=True, core=core)
            if core is None:
                contestants[KEPT_CEILING] = lambda: generators.two_ab(
                    context, server, requests, 100, keep=True
                )
        if "wrk" in context.tools:
            contestants["wrk -t1"] = lambda: generators.wrk(context, server, seconds, 100, core=core)
        return context.alternate(contestants)

    with nginx(context) as server:
        goals = [Goal(text="≥ 1.2 × ab -k", peer="ab -k", at_least=1.2)]
        name = "kept alive, 100 at a time, default settings"
        rows.append(_row("keep-alive", name, measure(server, None), goals, context))
    if (cores := _two_cores(context)) is not None:
        with nginx(context, workers=1, core=cores[1]) as server:
            goals = [Goal(text="≥ 0.8 × wrk -t1", peer="wrk -t1", at_least=0.8)]
            name = "kept alive, 100 at a time, one core each"
            rows.append(_row("keep-alive", name, measure(server, cores[0]), goals, context))
    return rows
