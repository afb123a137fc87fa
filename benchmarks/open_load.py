"""How late does the open model send? 2,000 requests a second on new connections, 10,000 on kept-alive ones.

The figure is the 99th percentile of the lag: actual sending minus planned time. `wrk` has no open model; a script
(`constant_rate.lua`) gives it one, bound to its millisecond timers and to its fixed number of connections.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from benchmarks import generators
from benchmarks.context import BrokenError, Context, run
from benchmarks.rows import OURS, Goal, Row
from benchmarks.servers import Server, counted, nginx

__all__ = ["Lag", "measure", "ours"]

CONNECTIONS = 100
PEER = "wrk with a constant-rate script"


class Lag(NamedTuple):
    """Of one measurement, in ms; `dropped`: planned, but not sent or not answered."""

    p50: float
    p99: float
    most: float
    dropped: float
    cpu: float
    """Cores that the generator used."""
    latency_p99: float


def ours(server: Server, rate: int, seconds: float, *, keep: bool) -> Lag:
    """One open load by breakroom, with its default number of workers."""
    claimed: list[int] = []
    with counted(server, "breakroom", claimed, beyond=0):
        report = generators.our_report(
            url=server.url, rate=f"{rate}/s", duration=f"{seconds:g}s", keep_alive=keep
        )
        claimed.append(report["ok"])
    if not report["ok"]:
        raise BrokenError(f"nothing was answered: {report['outcomes']}")
    return Lag(
        report["lag_p50_s"] * 1e3,
        report["lag_p99_s"] * 1e3,
        report["lag_max_s"] * 1e3,
        round(rate * seconds) - report["ok"],
        sum(report["generator_cpu"]),
        report["percentiles_s"]["99"] * 1e3,
    )


def _wrk(context: Context, server: Server, rate: int, seconds: int, *, keep: bool) -> Lag:
    words = [
        context.tools["wrk"], "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency",
        "-s", str(generators.HERE / "constant_rate.lua"), *([] if keep else ["-H", "Connection: close"]),
        server.url, "--", str(rate), str(seconds),
    ]  # fmt: skip
    done = run(words)
    match = re.search(r"bench: sent (\d+) p50 ([\d.]+) p99 ([\d.]+) max ([\d.]+)", done.text)
    if match is None:
        raise BrokenError(f"the script did not print its lags:\n{done.text}")
    sent, p50, p99, most = (float(each) for each in match.groups())
    answered = generators.found(r"(\d+) requests in", done.text, "wrk")
    return Lag(p50 * 1e3, p99 * 1e3, most * 1e3, max(0.0, sent - answered), done.cpu_s / seconds, 0.0)


def measure(context: Context) -> list[Row]:
    """A row for each rate."""
    if "nginx" not in context.tools:
        raise BrokenError(f"nginx is the server of this benchmark: {context.missing['nginx']}")
    seconds = context.pick(4, 1)
    rows = []
    with nginx(context) as server:
        for rate, keep in ((2_000, False), (10_000, True)):
            contestants = {OURS: lambda rate=rate, keep=keep: ours(server, rate, seconds, keep=keep)}
            if "wrk" in context.tools:
                contestants[PEER] = lambda rate=rate, keep=keep: _wrk(
                    context, server, rate, seconds, keep=keep
                )
            lags = context.alternate(contestants)
            kind = "kept-alive connections" if keep else "new connections"
            rows += _rows(f"{rate:,}/s, {kind}", lags, context)
    return rows


def _rows(name: str, lags: dict[str, list[Lag]], context: Context) -> list[Row]:
    def of(what: str) -> dict[str, list[float]]:
        return {who: [getattr(lag, what) for lag in each] for who, each in lags.items()}

    late = Row(
        bench="open",
        name=f"{name}: send lag, p99",
        unit="ms",
        better="less",
        figures=of("p99"),
        missing={PEER: context.missing["wrk"]} if "wrk" in context.missing else {},
        goals=[Goal(text="< 1 ms", at_most=0.999)],
        beside={"lag p50, ms": of("p50"), "lag max, ms": of("most"), "cores used": of("cpu")},
        note="wrk waits in whole milliseconds and has 100 connections; its lag is what its script sees.",
    )
    dropped = Row(
        bench="open",
        name=f"{name}: dropped",
        unit="requests",
        better="less",
        figures={OURS: of("dropped")[OURS]},
        goals=[Goal(text="none", at_most=0)],
    )
    return [late, dropped]
