"""The base image of the test machines: Debian packages in a tar, since no image can be pulled there.

Used by the lab and by `scripts/test-vm`. It stands for `python:3.12-slim`, and bears its name where the
course's commands must run as written. Made once by mmdebstrap (some 30 s) and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

__all__ = ["BASE_IMAGE", "PACKAGES", "base_image"]

BASE_IMAGE = "breakroom-test-base:latest"
PACKAGES = ("python3", "curl", "procps", "iproute2", "ca-certificates")
_SUITE = "bookworm"
_LEFT_OUT = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/var/cache/apt/*",
    "/var/lib/apt/lists/*",
)


def base_image() -> Path:
    """The tar of the base image's root file system; made if it is not there yet.

    Raises:
        subprocess.CalledProcessError: mmdebstrap failed; it has said why.
    """
    recipe = repr((_SUITE, PACKAGES, _LEFT_OUT))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "breakroom-tests"
    cache.mkdir(parents=True, exist_ok=True)
    tar = cache / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.tar"
    if not tar.exists():
        half = tar.with_suffix(f".{os.getpid()}.tar")
        left_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT[:3]]
        # `python` as in the image that this one stands for.
        link = "--customize-hook=ln -s python3 $1/usr/bin/python"
        clean = '--customize-hook=rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*'
        subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                *left_out,
                link,
                clean,
                _SUITE,
                str(half),
            ],
            check=True,
        )
        half.rename(tar)
    return tar
