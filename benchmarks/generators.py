"""One measurement by each load generator: `ab`, `wrk`, ours. Used by the benchmarks of load and ingress.

Every one gives requests per second and the generator's CPU time per request, and says how many requests were answered,
so that the server's count can be held against it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.context import BrokenError, Context, pinned, report_of, run
from benchmarks.servers import Server, counted

__all__ = ["Speed", "ab", "breakroom", "our_report", "two_ab", "wrk"]

HERE = Path(__file__).parent
OURS = """import json, sys
from breakroom.load.command import LoadOptions, run_load
print(json.dumps(run_load(LoadOptions(**json.loads(sys.argv[1]))).to_json()))
"""


@dataclass(frozen=True, slots=True)
class Speed:
    """What one measurement gave."""

    per_s: float
    cpu_us: float
    """Of the generator, per request."""


def found(pattern: str, text: str, what: str) -> float:
    """A figure that a peer prints."""
    match = re.search(pattern, text)
    if match is None:
        raise BrokenError(f"{what} did not print {pattern!r}:\n{text[-1000:]}")
    return float(match[1])


def _ab_words(context: Context, url: str, requests: int, clients: int, *, keep: bool) -> list[str]:
    return [
        context.tools["ab"], "-q", *(["-k"] if keep else []), "-n", str(requests), "-c", str(clients), url
    ]  # fmt: skip


def ab(
    context: Context,
    server: Server,
    requests: int,
    clients: int,
    *,
    keep: bool = False,
    core: int | None = None,
) -> Speed:
    """One run of ab; every request must be answered."""
    claimed: list[int] = []
    # A kept-alive connection that nginx closes is asked anew and left out of ab's count.
    with counted(server, "ab", claimed, beyond=clients):
        done = run(pinned(core, _ab_words(context, server.url, requests, clients, keep=keep)))
        claimed.append(int(found(r"Complete requests:\s+(\d+)", done.text, "ab")))
        if claimed[0] != requests or found(r"Failed requests:\s+(\d+)", done.text, "ab"):
            raise BrokenError(f"ab did not get all its answers:\n{done.text}")
    return Speed(found(r"Requests per second:\s+([\d.]+)", done.text, "ab"), done.cpu_s / requests * 1e6)


def two_ab(context: Context, server: Server, requests: int, clients: int, *, keep: bool = False) -> Speed:
    """Two of them at once, with half the clients each: what the server can give on this machine."""
    words = _ab_words(context, server.url, requests // 2, clients // 2, keep=keep)
    with ThreadPoolExecutor(2) as pool:
        texts = list(
            pool.map(
                lambda _: subprocess.run(words, capture_output=True, text=True, check=True).stdout, range(2)
            )
        )
    rates = [found(r"Requests per second:\s+([\d.]+)", text, "ab") for text in texts]
    return Speed(sum(rates), 0.0)


def wrk(
    context: Context, server: Server, seconds: int, clients: int, *, threads: int = 1, core: int | None = None
) -> Speed:
    """One run of wrk, which keeps its connections."""
    words = [context.tools["wrk"], f"-t{threads}", f"-c{clients}", f"-d{seconds}s", server.url]
    claimed: list[int] = []
    with counted(server, "wrk", claimed, beyond=clients):
        done = run(pinned(core, words))
        claimed.append(int(found(r"(\d+) requests in", done.text, "wrk")))
    return Speed(found(r"Requests/sec:\s+([\d.]+)", done.text, "wrk"), done.cpu_s / claimed[0] * 1e6)


def our_report(core: int | None = None, **options: object) -> dict[str, Any]:
    """One `breakroom load` in processes of its own; its JSON report."""
    return report_of(pinned(core, [sys.executable, "-c", OURS, json.dumps(options)]))


def breakroom(
    server: Server, requests: int, clients: int, *, keep: bool = False, core: int | None = None
) -> Speed:
    """One `breakroom load`; every request must be answered."""
    claimed: list[int] = []
    with counted(server, "breakroom", claimed, beyond=0):
        report = our_report(core, url=server.url, requests=requests, concurrency=clients, keep_alive=keep)
        claimed.append(report["ok"])
        if report["ok"] != requests:
            raise BrokenError(f"breakroom load did not get all its answers: {report['outcomes']}")
    cpu = sum(report["generator_cpu"]) * report["taken_s"]
    return Speed(report["completed_per_s"], cpu / requests * 1e6)
