"""Boots the virtual machine, hands in the work tree, runs one command in it and brings back its output and exit code.

Used by `python -m vm`, that is `scripts/test-vm`. The processor is emulated (no KVM is needed), there is no network,
and the disks are not written to. qemu ends with the process that called this, however that ends.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vm.image import ROOT, Disks, VmError

__all__ = ["TIMED_OUT", "Size", "hand_in", "prepare", "run"]

TIMED_OUT = 124
"""Exit code of a command that was cut off at the limit, as timeout(1) has it."""
_PREPARE_SECONDS = 300.0
_LAST_WORDS_SECONDS = 30.0
"""So long before the machine is switched off for its time the command is interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the machine is."""

    processors: int = 2
    memory: str = "4G"


def run(
    disks: Disks,
    command: Sequence[str],
    *,
    limit: float,
    head: bool = False,
    out: Path | None = None,
    size: Size,
) -> int:
    """Run a command in the checkout's directory; its output goes to standard output as it comes.

    Args:
        disks: what to boot from.
        command: its words.
        limit: seconds from the start of the machine to its being switched off.
        head: hand in what is committed, not the work tree as it is.
        out: where to unpack what the command left in `/out`, and the boot's log.
        size: of the machine.

    Returns:
        The command's exit code, or `TIMED_OUT`.

    Raises:
        VmError: the machine ended without one; the text has the end of its boot's log.
    """
    with tempfile.TemporaryDirectory(prefix="breakroom-vm-") as scratch:
        place = Path(scratch)
        hand_in(place / "in.tar", command, head=head, until=time.time() + limit - _LAST_WORDS_SECONDS)
        code = _boot(disks, place / "in.tar", place, limit=limit, size=size)
        if out is not None:
            _bring_back(place, out)
    return code


def prepare(disks: Disks, base: Path) -> None:
    """Boot once with a root disk that keeps what is written, to give its Docker the base image.

    Raises:
        VmError: that failed.
    """
    with tempfile.TemporaryDirectory(prefix="breakroom-vm-") as scratch:
        code = _boot(
            disks, base, Path(scratch), limit=_PREPARE_SECONDS, size=Size(), keep=True, words=("breakroom.prepare=1",)
        )  # fmt: skip
        if code:
            raise VmError(
                f"the base image could not be given to the machine's Docker ({code}); {_end(Path(scratch))}"
            )


def hand_in(tar: Path, command: Sequence[str], *, head: bool, until: float) -> None:
    """Write the tar that the machine unpacks: the checkout, the course's text if it lies beside it, and the command.

    `until` is the time of day (seconds of the epoch) at which the command is interrupted, so that its log comes out.
    """
    script = tar.with_name("command")
    script.write_text(
        f"left=$(({until:.0f} - $(date +%s)))\n"
        f'exec timeout --signal=INT --kill-after=10 "$((left > 1 ? left : 1))" {shlex.join(command)}\n'
    )
    if head:
        words = ["git", "-C", str(ROOT), "archive", "--prefix=breakroom/", f"--output={tar}", "HEAD"]
        subprocess.run(words, check=True)
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    with tarfile.open(tar, "a" if head else "w") as archive:
        archive.add(script, "command")
        if not head:
            for name in filter(None, os.fsdecode(listed).split("\0")):
                if (ROOT / name).exists():  # not: deleted, and not committed yet
                    archive.add(ROOT / name, f"breakroom/{name}", recursive=False)
        course = ROOT.parent / "shared" / "course"
        if course.is_dir():
            archive.add(course, "shared/course")


def _boot(
    disks: Disks,
    third: Path,
    place: Path,
    *,
    limit: float,
    size: Size,
    keep: bool = False,
    words: tuple[str, ...] = (),
) -> int:
    for name in ("files.tar", "result", "boot.log"):
        (place / name).touch()
    boot = (
        "console=ttyS0 root=/dev/vda rw init=/sbin/breakroom-init apparmor=0 net.ifnames=0 quiet panic=-1"
        f" mitigations=off random.trust_cpu=on breakroom.now={time.time():.0f}"
    )
    command = [
        "setpriv", "--pdeathsig", "KILL", "--",
        "qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-nic", "none",
        "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(size.processors), "-m", size.memory,
        "-kernel", str(disks.kernel), "-initrd", str(disks.initrd), "-append", " ".join((boot, *words)),
        *_disk(disks.root, keep=keep), *_disk(disks.packages), *_disk(third),
        "-serial", f"file:{place / 'boot.log'}",
        "-device", "virtio-serial",
        "-chardev", "file,id=output,path=/proc/self/fd/1", "-device", "virtserialport,chardev=output,name=output",
        "-chardev", f"file,id=files,path={place / 'files.tar'}", "-device", "virtserialport,chardev=files,name=files",
        "-chardev", f"file,id=result,path={place / 'result'}", "-device", "virtserialport,chardev=result,name=result",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    over = threading.Event()

    def cut() -> None:
        over.set()
        process.kill()

    alarm = threading.Timer(limit, cut)
    alarm.start()
    try:
        assert process.stdout is not None
        while block := os.read(process.stdout.fileno(), 1 << 16):
            sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
        process.wait()
    finally:
        alarm.cancel()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    result = (place / "result").read_text().strip()
    if over.is_set() and not result:
        print(f"\ntest-vm: cut off after {limit:.0f} s; {_end(place)}", file=sys.stderr)
        return TIMED_OUT
    if not result:
        raise VmError(f"the machine ended without a result; {_end(place)}")
    return int(result)


def _disk(file: Path, *, keep: bool = False) -> tuple[str, str]:
    way = "cache=unsafe" if keep else "cache=unsafe,snapshot=on"
    return "-drive", f"file={file},format=raw,if=virtio,{way}"


def _end(place: Path) -> str:
    lines = (place / "boot.log").read_text(errors="replace").splitlines()
    return "the end of its boot's log:\n" + "\n".join(f"    {line}" for line in lines[-30:])


def _bring_back(place: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(place / "boot.log", out / "boot.log")
    if (place / "files.tar").stat().st_size:
        with tarfile.open(place / "files.tar") as archive:
            archive.extractall(out, filter="data")
