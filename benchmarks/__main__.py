"""`scripts/bench`: runs benchmarks, prints their rows, and keeps them as JSON and in a page of the documentation.

The exit code says whether the benchmarks work (1: one is broken, 2: wrong use), never whether a goal was reached.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import msgspec

from benchmarks import machine, peers
from benchmarks.catalogue import BENCHMARKS
from benchmarks.context import ROOT, Context
from benchmarks.rows import Row, Run, merged
from benchmarks.table import markdown, text, write_between_markers

DOCS = (ROOT / "docs" / "figures" / "bench.json", ROOT / "docs" / "benchmarks.md")
TITLES = {name: benchmark.title for name, benchmark in BENCHMARKS.items()}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    listed = "\n".join(f"  {name:<12}{title}" for name, title in TITLES.items())
    command = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures breakroom beside its peers. Without a ROW: everything, about half an hour.",
        epilog=f"rows:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("rows", nargs="*", metavar="ROW", help="only these benchmarks")
    command.add_argument("--rounds", type=int, default=0, help="how often each is measured; default 5")
    command.add_argument("--small", action="store_true", help="only whether each benchmark works; no figures")
    command.add_argument("--json", type=Path, metavar="FILE", help="add the figures to those of this file")
    command.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table of all rows in --json, or of these"
    )
    command.add_argument("--docs", action="store_true", help="--json and --markdown of the documentation")
    command.add_argument("--peers", action="store_true", help="first install the peers that come from PyPI")
    return command


def main(words: list[str] | None = None) -> int:
    """Carry the command out; returns the exit code."""
    command = parser()
    asked = command.parse_args(words)
    # Then what the benchmarks have started ends, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    unknown = [name for name in asked.rows if name not in BENCHMARKS]
    if unknown:
        command.error(f"there is no row {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    if asked.docs:
        asked.json, asked.markdown = DOCS
    if asked.small and (asked.json in DOCS or asked.markdown in DOCS):
        command.error("--small measures nothing that the documentation could say")
    if asked.peers:
        try:
            peers.make_environment()
        except subprocess.CalledProcessError as error:
            # They are named as missing, like any other: no network is no broken benchmark.
            print(f"the peers from PyPI could not be installed: {error}", file=sys.stderr)
    tools, missing = peers.find()
    described = machine.describe(peers.versions(tools))
    if described["connection tracking"] == machine.TRACKED:
        print(f"connection tracking is {machine.TRACKED}", file=sys.stderr)
    for name, why in missing.items():
        print(f"missing: {name}: {why}", file=sys.stderr)
    # Children of ours are as a user's: compiled files are kept, so that only the first start pays for them.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rounds = asked.rounds or (1 if asked.small else 5)
    run = Run(machine=described, rounds=rounds, rows=[])
    broken = []
    with tempfile.TemporaryDirectory(prefix="breakroom-bench-") as name:
        Path(name).chmod(0o755)  # nginx drops root, and must still get in
        for bench in asked.rows or BENCHMARKS:
            directory = Path(name, bench)
            directory.mkdir()
            context = Context(
                rounds=rounds, small=asked.small, directory=directory, tools=tools, missing=missing
            )
            if not measured(bench, context, run):
                broken.append(bench)
    keep(run, asked.json, asked.markdown)
    if broken:
        print(f"scripts/bench: broken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def measured(bench: str, context: Context, run: Run) -> bool:
    """Run one benchmark, print its rows and add them; whether it works."""
    print(f"\n== {TITLES[bench]}", flush=True)
    begun = time.monotonic()
    try:
        rows: list[Row] = BENCHMARKS[bench].measure(context)
    except Exception:  # noqa: BLE001 (printed whole; the other benchmarks are still worth running)
        traceback.print_exc()
        return False
    for row in rows:
        print(text(row), flush=True)
    run.rows += rows
    run.seconds[bench] = time.monotonic() - begun
    run.when[bench] = machine.today()
    print(f"  [{run.seconds[bench]:.0f} s]", flush=True)
    return True


def keep(run: Run, json: Path | None, page: Path | None) -> None:
    """Write the files that were asked for."""
    if json is not None:
        old = msgspec.json.decode(json.read_bytes(), type=Run) if json.exists() else None
        run = merged(old, run, list(BENCHMARKS))
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    if page is not None:
        write_between_markers(page, markdown(run, TITLES))


if __name__ == "__main__":
    sys.exit(main())
