"""Checks that files made from others are current: the compiled catalogues, the list of drills, the two lock files.

Called by `scripts/check`; reads only. A lock file is current if everything that pyproject.toml asks for is in it
at a version that is allowed, each with its hashes. Whether newer versions exist is not asked: that needs the network.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from breakroom.i18n import build
from breakroom.spec import index

__all__ = ["catalogue_faults", "index_faults", "lock_faults", "main", "pins"]

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)")


def pins(text: str) -> dict[str, list[str]]:
    """Name → versions of a lock file's text (several, where they differ by Python or system).

    Raises:
        ValueError: a pin has no hash.
    """
    found: dict[str, list[str]] = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", text):
        match = PIN.match(entry)
        if match is None:
            continue
        if "--hash=sha256:" not in entry:
            raise ValueError(f"{match[1]} has no hash")
        found.setdefault(canonicalize_name(match[1]), []).append(match[2])
    return found


def lock_faults(name: str, text: str, wanted: Iterable[str]) -> Iterator[str]:
    """What is wrong with a lock file, given the requirements it was made for."""
    try:
        locked = pins(text)
    except ValueError as error:
        yield f"{name}: {error}; run scripts/lock"
        return
    for line in wanted:
        requirement = Requirement(line)
        versions = locked.get(canonicalize_name(requirement.name), [])
        if not versions:
            yield f"{name}: {requirement.name} is missing; run scripts/lock"
        for version in versions:
            if not requirement.specifier.contains(version, prereleases=True):
                yield f"{name}: {requirement.name}=={version} is not {requirement.specifier}; run scripts/lock"


def catalogue_faults() -> Iterator[str]:
    """Compiled catalogues that are not those of their text."""
    for lang in build.TARGETS:
        text = build.catalogue_path(lang)
        compiled = text.with_suffix(".mo")
        if not compiled.is_file() or compiled.read_bytes() != build.compiled(build.read(lang)):
            yield f"{compiled.relative_to(ROOT)} is not current; run `python -m breakroom.i18n.build`"


def index_faults() -> Iterator[str]:
    """A list of built-in drills that is not theirs."""
    if not index.INDEX.is_file() or index.INDEX.read_text(encoding="utf-8") != index.render_index():
        yield f"{index.INDEX.relative_to(ROOT)} is not current; run `python -m breakroom.spec.index`"


def main() -> int:
    """Print every fault; returns 1 if there is one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = project["project"]["dependencies"]
    everything = needed + project["dependency-groups"]["dev"]
    faults = [*catalogue_faults(), *index_faults()]
    for name, wanted in (("requirements.lock", needed), ("requirements-dev.lock", everything)):
        faults += lock_faults(name, (ROOT / name).read_text(), wanted)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
