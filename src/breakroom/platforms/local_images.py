"""Images on the local platform: the names of the sample apps stand for their files in this installation.

Used by `platforms.local`. An image cannot be pulled or unpacked without a container engine, so a name is
either one of the course's or needs a `command`. A digest is taken of what will really run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from breakroom.platforms.base import PlatformError
from breakroom.spec.service import ServiceSpec

__all__ = ["known_images", "resolve", "service_digest"]

_TAGS = {
    "memory-leak-app": {"latest": "v1", "v1": "v1"},
    "improved-app": {"latest": "v1", "v1": "v1", "v2": "v2"},
    "health-app": {"latest": "v1", "v1": "v1"},
}
"""Image name → tag → what the app is told to be (`APP_VERSION`)."""


def known_images() -> tuple[str, ...]:
    """Every image name that runs without a command, with its tags."""
    return tuple(f"{name}:{tag}" for name, tags in _TAGS.items() for tag in tags)


def resolve(spec: ServiceSpec) -> ServiceSpec:
    """The service with a command to run: its own, or its image's.

    Raises:
        PlatformError: `image-unknown`: the image is none of the sample apps and there is no command.
    """
    if spec.command or spec.entrypoint:
        return spec
    name, _, tag = spec.image.partition(":")
    version = _TAGS.get(name, {}).get(tag or "latest")
    if version is None:
        raise PlatformError(
            "image-unknown",
            f"service {spec.name}: the local platform cannot run image {spec.image!r}",
            f"give the service a `command`, or use one of {', '.join(known_images())}",
        )
    app = _apps_directory() / f"{name.replace('-', '_')}.py"
    # -I and -S: the app starts faster, and nothing of the user's environment changes what is measured.
    command = (sys.executable, "-I", "-S", str(app))
    return replace(spec, command=command, environment={"APP_VERSION": version, **spec.environment})


def service_digest(spec: ServiceSpec) -> str:
    """SHA-256 of what the service's tasks run: the app's files, or the program's file and its arguments.

    The files that arguments name are part of it. Empty if the program is missing.
    """
    resolved = resolve(spec)
    words = [word.replace("{python}", sys.executable) for word in (*resolved.entrypoint, *resolved.command)]
    program = shutil.which(words[0], path=resolved.environment.get("PATH"))
    if program is None:
        return ""
    base = Path(resolved.working_dir or ".")
    digest = hashlib.sha256()
    files = [Path(program)]
    for word in words[1:]:
        # The port differs from task to task and is left as its placeholder. A file counts by its content, wherever it
        # lies. os.path says no where pathlib raises: a word may be a whole program, too long for a name.
        path = base / word
        if os.path.isfile(path):  # noqa: PTH113  # see above
            files += _apps_files() if path.parent == _apps_directory() else (path,)
            word = path.name  # noqa: PLW2901  # the word as it is digested
        digest.update(word.encode() + b"\0")
    for file in files:
        digest.update(_file_digest(file, file.stat().st_mtime_ns))
    digest.update(resolved.environment.get("APP_VERSION", "").encode())
    return digest.hexdigest()


@cache
def _file_digest(file: Path, _modified_ns: int) -> bytes:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()


def _apps_files() -> Iterable[Path]:
    return sorted(_apps_directory().glob("*.py"))


@cache
def _apps_directory() -> Path:
    # Found without importing it: the apps are programs, not a library of ours.
    spec = find_spec("breakroom.apps")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])
