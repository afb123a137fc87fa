"""The peers: where each is found, why one is missing, and the environment of those that come from PyPI.

Called by `__main__`. Those from PyPI live in a virtual environment of the benchmarks' own, in the user's cache: they
are no dependency of breakroom and in none of its lock files. It is made by `scripts/bench --peers`, and only then.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["PYPI", "find", "make_environment", "versions"]

DEBIAN = {
    "ab": "apache2-utils",
    "wrk": "wrk",
    "nginx": "nginx-light and libnginx-mod-stream",
    "haproxy": "haproxy",
    "cc": "gcc and libc6-dev",
    "taskset": "util-linux",
}
PYPI = {"locust": "locust", "supervisord": "supervisor", "circusd": "circus"}
"""Program → package."""
_ASK = {
    "ab": ["-V"],
    "wrk": ["-v"],
    "nginx": ["-v"],
    "haproxy": ["-v"],
    "cc": ["--version"],
    "locust": ["--version"],
    "supervisord": ["--version"],
    "circusd": ["--version"],
    "dockerd": ["--version"],
}
_SBIN = "/usr/sbin:/usr/local/sbin"


def directory() -> Path:
    """Where the environment of the peers from PyPI is, or would be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "breakroom-bench" / "peers"


def make_environment() -> None:
    """Install the peers from PyPI, with whatever index pip is configured for.

    Raises:
        subprocess.CalledProcessError: that failed; pip has said why.
    """
    place = directory()
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PYPI.values()], check=True)


def find() -> tuple[dict[str, str], dict[str, str]]:
    """The programs that are there, and why each of the others is not."""
    tools: dict[str, str] = {}
    missing: dict[str, str] = {}
    path = f"{os.environ.get('PATH', '')}:{_SBIN}"
    for name, package in DEBIAN.items():
        found = shutil.which(name, path=path)
        if found is None:
            missing[name] = f"not installed (Debian: {package})"
        else:
            tools[name] = found
    for name in PYPI:
        program = directory() / "bin" / name
        if program.exists():
            tools[name] = str(program)
        else:
            missing[name] = "not installed (scripts/bench --peers)"
    return tools, missing


def versions(tools: dict[str, str]) -> dict[str, str]:
    """Each peer's version, as it says it."""
    found = {}
    dockerd = shutil.which("dockerd")
    for name, program in {**tools, **({"dockerd": dockerd} if dockerd else {})}.items():
        if name not in _ASK:
            continue
        done = subprocess.run([program, *_ASK[name]], capture_output=True, text=True, check=False, timeout=30)
        match = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
        if match is not None:
            found[name] = match[0]
    return found
