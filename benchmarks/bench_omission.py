"""What load generators say of a server that stands still for 2 s in every 10: who shows it, and who hides it?

Run it by hand (`python benchmarks/bench_omission.py [--seconds 30]`); its table, from a real run, is in docs/load.md.
`breakroom load` in both models, `wrk`, `hey` and `ab`, one after the other, each with a fresh server of the tests' own
(`tests/truth/stalling_server.py`), beside what an open model must see by arithmetic. A peer that is not installed
(Debian: wrk, hey, apache2-utils) is named, not guessed. All traffic stays on loopback.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

SERVER = Path(__file__).resolve().parents[1] / "tests" / "truth" / "stalling_server.py"
EVERY_S, FOR_S, FIRST_S = 10.0, 2.0, 5.0
RATE, CLIENTS = 100, 10
SHARES = (0.5, 0.9, 0.99, 0.999, 1.0)
SLOW_S = FOR_S / 2
WRK_SCRIPT = """
done = function(summary, latency, requests)
  local out = {summary.requests}
  for _, share in ipairs({50, 90, 99, 99.9}) do
    out[#out + 1] = latency:percentile(share) / 1e6
  end
  out[#out + 1] = latency.max / 1e6
  io.stderr:write(table.concat(out, " "), "\\n")
end
"""


@dataclass(frozen=True)
class Row:
    """What one tool says. Times in seconds, one for each of `SHARES`."""

    requests: int
    times: Sequence[float]
    slow: int | None
    """Requests that took longer than half a standstill; None: the tool does not tell."""


Tool = Callable[[str, int, Path], Row]


def expected(seconds: int) -> Row:
    """What an open model must see: who comes in a standstill waits for what is left of it, the others not at all."""
    times = [max(0.0, FOR_S - EVERY_S * (1 - share)) for share in SHARES]
    return Row(RATE * seconds, times, round(RATE * seconds * (FOR_S - SLOW_S) / EVERY_S))


def of_times(times: Sequence[float]) -> Row:
    """Nearest-rank percentiles of all of a tool's requests."""
    ordered = sorted(times)
    ranks = [math.ceil(round(share * len(ordered), 9)) - 1 for share in SHARES]
    return Row(len(ordered), [ordered[rank] for rank in ranks], sum(time > SLOW_S for time in ordered))


def breakroom(*options: str) -> Tool:
    def run(url: str, seconds: int, directory: Path) -> Row:
        out = directory / "".join(options).strip("-").partition("/")[0]
        command = [sys.executable, "-m", "breakroom", "load", url, *options]
        command += ["--duration", f"{seconds}s", "--workers", "1", "--out", str(out), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout:
            sys.exit(f"breakroom load failed: {done.stderr.strip()}")
        report = json.loads(done.stdout)
        if not report["trusted"]:
            sys.exit(f"the machine was too busy to measure: {report['bottleneck']}")
        from breakroom.journal.samples import read_samples

        return of_times(
            [float(t) / 1e6 for t in read_samples(out / "samples" / "load" / "load-0.bin")["total"]]
        )

    return run


def wrk(url: str, seconds: int, directory: Path) -> Row:
    script = directory / "percentiles.lua"
    script.write_text(WRK_SCRIPT)
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    requests, *times = done.stderr.split()
    return Row(int(float(requests)), [float(time) for time in times], None)


def hey(url: str, seconds: int, _directory: Path) -> Row:
    command = ["hey", "-z", f"{seconds}s", "-c", str(CLIENTS), "-o", "csv", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return of_times([float(row["response-time"]) for row in csv.DictReader(done.stdout.splitlines())])


def ab(url: str, seconds: int, directory: Path) -> Row:
    table = directory / "ab.tsv"
    command = ["ab", "-q", "-t", str(seconds), "-n", "500000", "-c", str(CLIENTS), "-g", str(table), url]
    subprocess.run(command, capture_output=True, text=True, check=True)
    with table.open() as file:
        return of_times([int(row["ttime"]) / 1e3 for row in csv.DictReader(file, delimiter="\t")])


TOOLS: dict[str, tuple[str, Tool]] = {
    f"`breakroom load --rate {RATE}/s` (open)": ("", breakroom("--rate", f"{RATE}/s")),
    f"`breakroom load -c {CLIENTS}` (closed)": ("", breakroom("-c", str(CLIENTS))),
    f"`wrk -t1 -c{CLIENTS}`": ("wrk", wrk),
    f"`hey -c {CLIENTS}`": ("hey", hey),
    f"`ab -c {CLIENTS}`": ("ab", ab),
}


@contextmanager
def server() -> Iterator[str]:
    """The URL of a fresh one."""
    command = [
        sys.executable,
        str(SERVER),
        "--every",
        str(EVERY_S),
        "--for",
        str(FOR_S),
        "--first",
        str(FIRST_S),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


def line(name: str, row: Row) -> str:
    cells = [f"{time:.3f}" for time in row.times]
    slow = "not told" if row.slow is None else f"{row.slow:,}"
    return f"| {name} | {row.requests:,} | {' | '.join(cells)} | {slow} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=int, default=30, help="for each tool; a multiple of 10 meets whole periods"
    )
    seconds = parser.parse_args().seconds
    missing = [binary for binary, _ in TOOLS.values() if binary and shutil.which(binary) is None]
    print(f"missing: {', '.join(missing) or 'nothing'}; load before: {os.getloadavg()[0]:.2f}")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores, {platform.machine()}, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}; {seconds} s for each tool\n"
    )
    print(f"| seconds | requests | p50 | p90 | p99 | p99.9 | max | longer than {SLOW_S:g} s |")
    print("|---|---|---|---|---|---|---|---|")
    print(line("*open model, by arithmetic*", expected(seconds)))
    with tempfile.TemporaryDirectory(prefix="breakroom-bench-") as directory:
        for name, (binary, tool) in TOOLS.items():
            if binary not in missing:
                with server() as url:
                    print(line(name, tool(url, seconds, Path(directory))), flush=True)


if __name__ == "__main__":
    main()
