"""`scripts/test-vm`: the suite, or a command, in a virtual machine with a stock kernel (IPVS, netem, cgroups v2)."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from vm.image import ROOT, VmError, disks, missing
from vm.machine import Size, prepare, run

SUITE = ("tests/vm/guest/suite.sh",)


def main() -> int:
    """Run the suite, or the command; returns its exit code, 124 at the limit, 125 if there is no machine."""
    arguments = _arguments()
    begun = time.monotonic()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # then scratch files are removed, too
    try:
        _get_tools()
        made = disks(prepare, _say)
        if arguments.what == "build":
            _say(f"the disks are there: {made.root.parent}, {made.packages}")
            return 0
        command = arguments.command if arguments.what == "run" else SUITE
        _say(f"booting (limit {arguments.limit:g} min)")
        code = run(
            made,
            command,
            limit=arguments.limit * 60,
            head=arguments.head,
            out=arguments.out,
            size=Size(processors=arguments.processors, memory=arguments.memory),
        )
    except VmError as error:
        print(f"test-vm: {error}", file=sys.stderr)
        return 125
    _say(f"exit code {code} after {time.monotonic() - begun:.0f} s; what it left is in {arguments.out}")
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/test-vm", description=__doc__)
    parser.add_argument("--limit", type=float, default=15, metavar="MINUTES", help="hard limit (default 15)")
    parser.add_argument("--head", action="store_true", help="the last commit, not the work tree as it is")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "breakroom-results" / "vm", metavar="DIR",
        help="where to put what is left in /out, and the logs (default breakroom-results/vm)",
    )  # fmt: skip
    parser.add_argument("--processors", type=int, default=2)
    parser.add_argument("--memory", default="4G")
    commands = parser.add_subparsers(dest="what")
    commands.add_parser("suite", help="the project's VM suite (default)")
    commands.add_parser("build", help="make the disks, run nothing")
    given = commands.add_parser("run", help="run a command in the machine, in the checkout's directory")
    given.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    arguments = parser.parse_args()
    if arguments.what == "run":
        arguments.command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
        if not arguments.command:
            given.error("no command")
    return arguments


def _get_tools() -> None:
    way = missing()
    if not way:
        return
    if os.geteuid() == 0 and Path("/etc/debian_version").exists():
        _say(f"installing what is missing: {way}")
        # A list that cannot be renewed is not an error yet: the packages may be had all the same.
        subprocess.run(["apt-get", "-qq", "update"], check=False)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*way.split(), "-qq", "-y"], check=False, env=environment)
        way = missing()
    if way:
        raise VmError(f"needs programs that are not here. On Debian and Ubuntu:  sudo {way}")


def _say(text: str) -> None:
    print(f"test-vm: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
