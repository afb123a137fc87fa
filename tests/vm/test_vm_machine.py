"""`scripts/test-vm`'s parts that can be tried without booting: what is handed in, and what is said when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from vm.image import ROOT, Disks, VmError, missing
from vm.machine import Size, hand_in, run


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m vm` as the script does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-m", "vm", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
@pytest.mark.parametrize("head", [False, True])
def test_the_checkout_is_handed_in_without_what_git_ignores(tmp_path: Path, head: bool) -> None:
    hand_in(tmp_path / "in.tar", ["sh", "-c", "echo 'a b'"], head=head, until=1e9)
    with tarfile.open(tmp_path / "in.tar") as archive:
        names = set(archive.getnames())
        script = archive.extractfile("command")
        assert script is not None
        assert script.read().endswith(b""" sh -c 'echo '"'"'a b'"'"''\n""")
        assert archive.getmember("breakroom/breakroom").mode & 0o111
    assert "breakroom/src/breakroom/__main__.py" in names
    assert not [name for name in names if "/.venv" in name or "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.skipif(bool(missing()), reason=f"no virtual machine here: {missing()}")
def test_a_machine_that_cannot_boot_is_said_to_have_given_no_result(tmp_path: Path) -> None:
    for name in ("kernel", "initrd", "root", "packages"):
        (tmp_path / name).write_bytes(b"\0" * 1024)
    disks = Disks(*(tmp_path / name for name in ("kernel", "initrd", "root", "packages")))
    with pytest.raises(VmError, match="ended without a result"):
        run(disks, ["true"], limit=60, size=Size())


def test_run_without_a_command_is_refused() -> None:
    done = call("run")
    assert done.returncode == 2
    assert "no command" in done.stderr


def test_help_names_the_limit_and_the_ways_to_use_it() -> None:
    done = call("--help")
    assert done.returncode == 0
    assert "--limit MINUTES" in done.stdout
    assert "suite,build,run" in done.stdout
