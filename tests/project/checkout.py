"""Copies of this checkout for the tests, in directories with a blank in their names, and commands run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOT", "SMALL_LOCK", "Checkout", "tracked"]

ROOT = Path(__file__).resolve().parents[2]
SET_UP = ("breakroom", "scripts", "src", "requirements.lock", "requirements-dev.lock")
PATIENCE = 170


def tracked() -> Iterator[Path]:
    """The files that belong to the project, as git knows them, and those about to."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in sorted(set(listed.stdout.split("\0"))):
        if name and (ROOT / name).is_file():
            yield ROOT / name


def small_lock() -> str:
    """A lock of one small package, taken from the real one: an environment that is made for real, but in seconds."""
    text = (ROOT / "requirements.lock").read_text()
    begin = text.index("mdurl==")
    return text[begin : text.index("\n", text.index("# via", begin))] + "\n"


SMALL_LOCK = small_lock()


class Checkout:
    """A copy of the checkout. `small`: with a lock of one package, enough for all but breakroom itself."""

    def __init__(self, directory: Path, *, small: bool = True) -> None:
        self.root = directory
        for name in SET_UP:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                directory.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, directory / name)
        if small:
            (directory / "requirements.lock").write_text(SMALL_LOCK)

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def environ(self, **settings: str) -> dict[str, str]:
        """This machine's, without what would lead the launcher elsewhere."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("BREAKROOM_", "COVERAGE_"))
        }
        kept.pop("VIRTUAL_ENV", None)
        return kept | settings

    def set_up(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """What the launcher does before it becomes breakroom; prints the environment it would run in."""
        command = ["sh", "-c", SET_UP_COMMAND, "sh", str(self.root)]
        return subprocess.run(
            command,
            env=self.environ(**settings),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, **settings: str) -> subprocess.Popen[str]:
        """The same, without waiting for it."""
        command = ["sh", "-c", SET_UP_COMMAND, "sh", str(self.root)]
        return subprocess.Popen(
            command,
            env=self.environ(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


SET_UP_COMMAND = 'set -eu; root=$1; . "$root/scripts/environment.sh"; environment run; printf "%s\\n" "$venv"'
