"""Closed load beside locust's FastHttpUser, the fast generator in Python: requests per second of CPU time.

Both keep 100 connections and ask the same nginx without pauses. What counts is the generator's CPU time, not the
wall time: locust is one process a core, breakroom one worker a core.
"""

from __future__ import annotations

import json

from benchmarks import generators
from benchmarks.context import BrokenError, Context, pinned, run
from benchmarks.rows import OURS, Goal, Row
from benchmarks.servers import Server, counted, nginx

__all__ = ["measure"]

CLIENTS = 100


def _locust(context: Context, server: Server, core: int | None) -> float:
    """Requests per second of its CPU time."""
    out = context.directory / "locust.json"
    out.unlink(missing_ok=True)
    words = [
        context.tools["locust"], "-f", str(generators.HERE / "locustfile.py"), "--headless", "--only-summary",
        "-u", str(CLIENTS), "-r", str(CLIENTS), "--host", server.url.rstrip("/"), "--skip-log",
    ]  # fmt: skip
    setting = [f"BENCH_OUT={out}", f"BENCH_SECONDS={context.pick(3, 1)}"]
    claimed: list[int] = []
    # Requests under way at the stop were served and are not counted by locust.
    with counted(server, "locust", claimed, beyond=CLIENTS):
        run(pinned(core, ["env", *setting, *words]))
        found = json.loads(out.read_text())
        claimed.append(int(found["total"]))
    if found["failures"] or not found["requests"]:
        raise BrokenError(f"locust did not get its answers: {found}")
    return float(found["requests"] / found["cpu_s"])


def _ours(context: Context, server: Server, core: int | None) -> float:
    requests = context.pick(100_000, 6_000)
    return 1e6 / generators.breakroom(server, requests, CLIENTS, keep=True, core=core).cpu_us


def measure(context: Context) -> list[Row]:
    """One row."""
    if "nginx" not in context.tools:
        raise BrokenError(f"nginx is the server of this benchmark: {context.missing['nginx']}")
    cores = context.cores()
    core, other = (cores[0], cores[1]) if len(cores) > 1 and "taskset" in context.tools else (None, None)
    with nginx(context, workers=1, core=other) as server:
        contestants = {OURS: lambda: _ours(context, server, core)}
        if "locust" in context.tools:
            contestants["locust"] = lambda: _locust(context, server, core)
        figures = context.alternate(contestants)
    return [
        Row(
            bench="python",
            name=f"kept alive, {CLIENTS} at a time, on one core",
            unit="requests per second of CPU time",
            figures=figures,
            missing=context.absent("locust"),
            goals=[Goal(text="≥ 8 × locust per core", peer="locust", at_least=8)],
            note="locust: FastHttpUser, headless. Counted from when all users run: starts are not in it.",
        )
    ]
