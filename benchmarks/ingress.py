"""How fast the ingress passes connections on, and what latency it adds, beside haproxy and nginx's stream proxy.

Speed: `ab`, 100 clients at a time, through each proxy to a small server in C, with new connections and with kept-alive
ones. Latency: an open load of 1,000 requests a second, far from any limit, through each proxy and without one; what
a proxy adds is its percentile minus that of the way without. haproxy has one thread, nginx one worker.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import psutil

from benchmarks import generators, proxies
from benchmarks.context import BrokenError, Context
from benchmarks.rows import OURS, Goal, Row
from benchmarks.servers import Server, c_server, counted

__all__ = ["measure"]

CLIENTS = 100
RATE = 1_000
DIRECT = "no proxy"
STREAM = "nginx stream"


def _speed(
    context: Context, backend: Server, port: int, pid: int, requests: int, *, keep: bool
) -> tuple[float, float]:
    """Requests per second through a port, and the proxy's CPU time per request in µs."""
    before = _cpu(pid)
    front = Server(port, backend.status_url, backend.status_pattern)
    speed = generators.ab(context, front, requests, CLIENTS, keep=keep)
    return speed.per_s, (_cpu(pid) - before) / requests * 1e6


def _cpu(pid: int) -> float:
    """CPU time of a proxy: nginx works in a child."""
    if not pid:
        return 0.0
    process = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children()))


def _latency(context: Context, backend: Server, port: int, *, keep: bool) -> tuple[float, float]:
    """Median and 99th percentile in ms through a port."""
    claimed: list[int] = []
    with counted(backend, "breakroom", claimed, beyond=0):
        report = generators.our_report(
            url=f"http://127.0.0.1:{port}/",
            rate=f"{RATE}/s",
            duration=f"{context.pick(2, 1)}s",
            keep_alive=keep,
            workers=1,
        )
        claimed.append(report["ok"])
    return report["percentiles_s"]["50"] * 1e3, report["percentiles_s"]["99"] * 1e3


def measure(context: Context) -> list[Row]:
    """Speed and added latency, for new and for kept-alive connections."""
    for name in ("ab", "cc"):
        if name not in context.tools:
            raise BrokenError(f"{name} is needed by this benchmark: {context.missing[name]}")
    missing = context.absent("haproxy")
    rows = []
    with ExitStack() as stack:
        backend = stack.enter_context(c_server(context))
        fronts = {OURS: stack.enter_context(proxies.our_ingress(backend.port))}
        if "haproxy" in context.tools:
            fronts["haproxy"] = stack.enter_context(proxies.haproxy(context, backend.port))
        if "nginx" in context.tools and proxies.STREAM_MODULE.exists():
            fronts[STREAM] = stack.enter_context(proxies.nginx_stream(context, backend.port))
        else:
            missing[STREAM] = "not installed (Debian: nginx-light and libnginx-mod-stream)"
        fronts[DIRECT] = (backend.port, 0)
        for keep, full, small in ((False, 20_000, 2_000), (True, 80_000, 4_000)):
            requests = context.pick(full, small)
            kind = "kept alive" if keep else "new connections"
            speeds = context.alternate(
                {
                    name: partial(_speed, context, backend, port, pid, requests, keep=keep)
                    for name, (port, pid) in fronts.items()
                }
            )
            rows.append(
                Row(
                    bench="ingress",
                    name=f"{kind}, {CLIENTS} at a time",
                    unit="requests/s",
                    figures={name: [speed for speed, _ in each] for name, each in speeds.items()},
                    beside={
                        "the proxy's CPU µs/request": {
                            name: [cpu for _, cpu in each] for name, each in speeds.items() if name != DIRECT
                        }
                    },
                    missing=missing,
                    goals=[Goal(text="≥ 0.9 × haproxy", peer="haproxy", at_least=0.9)],
                )
            )
            times = context.alternate(
                {
                    name: partial(_latency, context, backend, port, keep=keep)
                    for name, (port, _) in fronts.items()
                }
            )
            rows += [_added(kind, which, place, times, missing) for place, which in enumerate(("p50", "p99"))]
    return rows


def _added(
    kind: str, which: str, place: int, times: dict[str, list[tuple[float, float]]], missing: dict[str, str]
) -> Row:
    """What each proxy adds, in µs, round by round."""
    direct = [each[place] for each in times[DIRECT]]
    return Row(
        bench="ingress",
        name=f"{kind}, {RATE:,}/s: added latency, {which}",
        unit="µs",
        better="less",
        figures={
            name: [(each[place] - without) * 1e3 for each, without in zip(found, direct, strict=True)]
            for name, found in times.items()
            if name != DIRECT
        },
        beside={f"latency without a proxy, {which}, µs": {DIRECT: [each * 1e3 for each in direct]}},
        missing=missing,
    )
