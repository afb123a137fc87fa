"""The virtual machine's disks: a Debian 12 with a stock kernel and Docker, and the Python packages that the tests need.

Used by `vm.machine`. Each is made once and kept in the user's cache under a hash of its recipe: the root disk takes
mmdebstrap and one boot (about two minutes), the packages' disk a copy of this checkout's environment. Touches that
cache and a scratch directory in it; needs root to unpack Debian's packages, and their archive.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker_lab.base_image import base_image

__all__ = ["ROOT", "Disks", "VmError", "cache_directory", "disks", "missing"]

ROOT = Path(__file__).parents[2]
"""The checkout."""
GUEST = Path(__file__).parent / "guest"
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "git": "git",
    "setpriv": "util-linux",
}
"""Program → Debian's package that has it."""

_PACKAGES = (
    "linux-image-cloud-amd64", "initramfs-tools", "kmod", "util-linux", "hostname", "procps", "sudo", "python3",
    "docker.io", "iptables", "nftables", "iproute2", "apache2-utils", "curl", "ca-certificates", "openssl",
    "openssh-client",
)  # fmt: skip
_SUITE = "bookworm"
_HOOKS = (
    # A small initrd: what it takes to mount the root disk. Unpacking the usual one takes an emulated processor long.
    "--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d",
    "--essential-hook=echo MODULES=list >$1/etc/initramfs-tools/conf.d/breakroom",
    r'--customize-hook=printf "virtio_pci\nvirtio_blk\next4\n" >>$1/etc/initramfs-tools/modules',
    "--customize-hook=chroot $1 update-initramfs -u",
    "--customize-hook=rm -rf $1/var/cache/apt/* $1/var/lib/apt/lists/*",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")),
)
_SIZE = "8G"
"""Of the root disk, of which its file takes only what is used."""
_PYTHON = "3.11"
"""Debian 12's. Compiled packages of another version do not work there."""
_LEFT_OUT = (
    "playwright*", "mypy*", "*__mypyc*", "ruff*", "pip*", "setuptools*", "grimp*", "importlinter*", "import_linter*",
    "coverage*", "a1_coverage.pth", "_breakroom.pth", "_virtualenv.*",
)  # fmt: skip


class VmError(RuntimeError):
    """The machine cannot be made or run; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Disks:
    """The files that a machine boots from. All are read only: what it writes goes to a scratch file of its own."""

    kernel: Path
    initrd: Path
    root: Path
    packages: Path


def missing() -> str:
    """What to install before a machine can be made here; empty if all is there."""
    packages = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    return f"apt-get install --no-install-recommends {' '.join(packages)}" if packages else ""


def cache_directory() -> Path:
    """Where disks are kept between runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "breakroom-tests"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def disks(prepare: Callable[[Disks, Path], None], say: Callable[[str], None]) -> Disks:
    """The disks, made if they are not there yet; old ones are removed.

    Args:
        prepare: boots a machine whose root disk keeps what is written, once, with the base image's tar as its third
            disk (`machine.prepare`).
        say: is told what takes time.

    Raises:
        VmError: they cannot be made.
    """
    cache = cache_directory()
    with (cache / "vm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second one that starts now waits, and finds them made
        packages = _kept(cache, "vm-packages", _packages_recipe(), "img", say, _make_packages)
        base = base_image()
        recipe = repr((_SUITE, _PACKAGES, _HOOKS, _SIZE, base.name)) + (GUEST / "init.sh").read_text()

        def make_root(place: Path) -> None:
            _make_root(place)
            made = Disks(place / "vmlinuz", place / "initrd.img", place / "root.img", packages)
            prepare(made, base)

        root = _kept(cache, "vm-root", recipe, "d", say, make_root)
    return Disks(root / "vmlinuz", root / "initrd.img", root / "root.img", packages)


def _kept(
    cache: Path, name: str, recipe: str, ending: str, say: Callable[[str], None], make: Callable[[Path], None]
) -> Path:
    wanted = cache / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.{ending}"
    if wanted.exists():
        return wanted
    say(f"making {wanted.name}, which is then kept in {cache}")
    with _scratch(cache) as scratch:
        half = scratch / wanted.name
        if ending == "d":
            half.mkdir()
        make(half)
        for old in cache.glob(f"{name}-*.{ending}"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        half.rename(wanted)
    return wanted


@contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    place = cache / f"vm-scratch.{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _make_root(place: Path) -> None:
    if os.geteuid() != 0:
        raise VmError(
            "making the machine's disk needs root, to unpack Debian's packages; once, then it is kept"
        )
    tree = place / "tree"
    _run(
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_PACKAGES)}", *_HOOKS, _SUITE, str(tree)
    )  # fmt: skip
    shutil.copyfile(next((tree / "boot").glob("vmlinuz-*")), place / "vmlinuz")
    shutil.copyfile(next((tree / "boot").glob("initrd.img-*")), place / "initrd.img")
    shutil.copyfile(GUEST / "init.sh", tree / "sbin" / "breakroom-init")
    (tree / "sbin" / "breakroom-init").chmod(0o755)
    for directory in ("venv", "breakroom"):
        (tree / directory).mkdir()
    _make_disk(tree, place / "root.img", _SIZE)
    shutil.rmtree(tree)


def _packages_recipe() -> str:
    version = sysconfig.get_python_version()
    if version != _PYTHON or sys.platform != "linux" or os.uname().machine != "x86_64":
        raise VmError(
            f"the machine runs Debian 12 for x86_64, whose Python is {_PYTHON}; this environment's is {version} on"
            f" {sys.platform} {os.uname().machine}, so its packages cannot be handed in."
            f" BREAKROOM_PYTHON=python{_PYTHON} and BREAKROOM_VENV=/some/other/directory make one that fits."
        )
    return (ROOT / "requirements-dev.lock").read_text() + repr(_LEFT_OUT)


def _make_packages(disk: Path) -> None:
    """An environment as `scripts/make_environment.py` makes it, for a checkout at /breakroom."""
    venv = disk.parent / "venv"
    site = venv / "lib" / f"python{_PYTHON}" / "site-packages"
    installed = sysconfig.get_path("purelib")
    top_level = shutil.ignore_patterns(*_LEFT_OUT)  # what packages have inside may bear the same names
    shutil.copytree(
        installed, site, ignore=lambda at, names: top_level(at, names) if at == installed else set()
    )
    (site / "_breakroom.pth").write_text("/breakroom/src\n")
    (venv / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {_PYTHON}\n"
    )
    (venv / "bin").mkdir()
    for name in ("python", "python3", f"python{_PYTHON}"):
        (venv / "bin" / name).symlink_to(f"/usr/bin/python{_PYTHON}")
    stamp = venv / ".breakroom"
    stamp.mkdir()
    (stamp / "made").write_text(f"/breakroom\n/usr/bin/python{_PYTHON}\n")
    for lock in ("requirements.lock", "requirements-dev.lock"):
        shutil.copyfile(ROOT / lock, stamp / lock)
    # Bytecode for all, beside the sources: an emulated processor compiles slowly, and the disk is read only.
    _run("env", "-u", "PYTHONPYCACHEPREFIX", sys.executable, "-m", "compileall", "-q", "-j0", str(site))
    _make_disk(venv, disk, "1G")


def _make_disk(tree: Path, disk: Path, size: str) -> None:
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(tree), str(disk), size)


def _run(*words: str) -> None:
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise VmError(f"{' '.join(words[:1])} failed:\n{done.stdout[-3000:]}")
