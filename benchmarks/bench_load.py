"""How fast and how punctual is the load generator? Compared with `ab` and `wrk` on the same nginx.

Run it by hand (`python benchmarks/bench_load.py [--rounds 5]`) when `breakroom.load` changes; the last figures are in
docs/load.md. Peers take turns, round after round, so that a slow moment of the machine hits all of them; figures are
medians over the rounds, and only the ratios mean anything elsewhere. All traffic stays on loopback. A peer that is
not installed (apache2-utils, wrk, nginx-light) is named, not guessed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NGINX = """daemon off; worker_processes 1; pid {dir}/pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{body}"; }} }} }}
"""
OURS = """import json, sys
from breakroom.load.command import LoadOptions, run_load
print(json.dumps(run_load(LoadOptions(**json.loads(sys.argv[1]))).to_json()))
"""
Measure = Callable[[], float]


@contextmanager
def nginx(pin: list[str]) -> Iterator[str]:
    """An nginx with one worker process, on a free port; yields its URL."""
    with tempfile.TemporaryDirectory(prefix="breakroom-bench-") as directory:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        Path(directory).chmod(0o755)  # nginx drops root, and must still get in
        config = Path(directory, "nginx.conf")
        config.write_text(NGINX.format(dir=directory, port=port, body="x" * 64))
        server = subprocess.Popen([*pin, "nginx", "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while socket.socket().connect_ex(("127.0.0.1", port)):
                if time.monotonic() > deadline:
                    sys.exit("nginx did not start")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
            server.wait()


def ours(pin: list[str], **options: object) -> dict[str, Any]:
    """One `breakroom load` in a process of its own; its JSON report."""
    command = [*pin, sys.executable, "-c", OURS, json.dumps(options)]
    report: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return report


def printed(command: list[str], pattern: str) -> float:
    """A figure that a peer prints."""
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(pattern, out)
    if match is None:
        sys.exit(f"{command[-1]}: no {pattern!r} in what it printed")
    return float(match[1])


def take_turns(title: str, unit: str, peers: dict[str, Measure], rounds: int) -> None:
    """Measure each peer in turn, `rounds` times; print medians, extremes and the ratio to the first."""
    figures: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, measure in peers.items():
            figures[name].append(measure())
    base = statistics.median(next(iter(figures.values())))
    print(f"\n{title} ({unit}; median of {rounds}, least - most, ratio to the first)")
    for name, values in figures.items():
        median = statistics.median(values)
        spread = f"{min(values):>10,.0f} - {max(values):<10,.0f}"
        print(f"  {name:<34}{median:>10,.0f}  {spread} {median / base:5.2f}")


def throughput(
    url: str, pin: list[str], rounds: int, requests: int, have: dict[str, bool], where: str
) -> None:
    """New connections against ab; kept-alive ones against wrk and ab."""
    new, kept = {"requests": requests, "concurrency": 100}, {"requests": 4 * requests, "concurrency": 100}
    rate = r"Requests per second:\s+([0-9.]+)"
    peers: dict[str, Measure] = {}
    if have["ab"]:
        peers["ab"] = lambda: printed([*pin, "ab", "-q", "-n", str(requests), "-c", "100", url], rate)
    peers["breakroom"] = lambda: ours(pin, url=url, **new)["completed_per_s"]
    take_turns(f"Closed model, 100 at a time, new connections, {where}", "requests/s", peers, rounds)
    peers = {}
    if have["wrk"]:
        peers["wrk -t1"] = lambda: printed(
            [*pin, "wrk", "-t1", "-c100", "-d2s", url], r"Requests/sec:\s+([0-9.]+)"
        )
    peers["breakroom -k"] = lambda: ours(pin, url=url, keep_alive=True, **kept)["completed_per_s"]
    if have["ab"]:
        peers["ab -k"] = lambda: printed(
            [*pin, "ab", "-k", "-q", "-n", str(4 * requests), "-c", "100", url], rate
        )
    take_turns(f"Closed model, 100 at a time, kept-alive connections, {where}", "requests/s", peers, rounds)


def punctuality(url: str, rounds: int) -> None:
    """The open model's lag: how late a request is sent."""
    for rate in ("100/s", "2000/s"):
        reports = [
            ours([], url=url, rate=rate, duration="2s", arrivals="poisson", workers=1) for _ in range(rounds)
        ]
        rows = [[report[key] * 1e6 for report in reports] for key in ("lag_p50_s", "lag_p99_s", "lag_max_s")]
        p50, p99, most = (statistics.median(row) for row in rows)
        print(
            f"  {rate:>7}: lag p50 {p50:,.0f} µs, p99 {p99:,.0f} µs, max {most:,.0f} µs (medians of {rounds})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=30_000)
    arguments = parser.parse_args()
    have = {name: shutil.which(name) is not None for name in ("ab", "wrk", "nginx", "taskset")}
    missing = [name for name, there in have.items() if not there]
    print(
        f"missing: {', '.join(missing) or 'nothing'}; cores: {os.cpu_count()}; load: {os.getloadavg()[0]:.2f}"
    )
    if not have["nginx"]:
        sys.exit("without nginx there is nothing to measure against: install nginx-light")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if have["taskset"] and len(cores) > 1:
        with nginx(["taskset", "-c", str(cores[1])]) as url:
            pin = ["taskset", "-c", str(cores[0])]
            throughput(url, pin, arguments.rounds, arguments.requests, have, "one core each")
    with nginx([]) as url:
        throughput(url, [], arguments.rounds, arguments.requests, have, "default settings, not pinned")
        print("\nOpen model, new connections, one worker")
        punctuality(url, arguments.rounds)


if __name__ == "__main__":
    main()
