"""Makes the virtual environment that breakroom runs in, from a lock file with hashes.

Called by `scripts/environment.sh` when the environment is missing, half-made, or made from another lock file, with the
system's Python (3.11 or newer; standard library only, nothing of breakroom can be imported yet). It touches the
environment's directory, a lock and a log beside it, and whatever pip or uv cache.

What makes it safe: a lock that the kernel lets go when its holder dies, so two first starts at once end up
with one environment; and a stamp written last, so a half-made environment is never taken for a ready one.
A directory that was not made by this script is never deleted.

    make_environment.py CHECKOUT VENV LOCK_NAME
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

__all__ = ["Environment", "SetUpError", "main"]

STAMP = ".breakroom"
LOCKS = ("requirements.lock", "requirements-dev.lock")


class SetUpError(Exception):
    """The environment cannot be made; the text says why and what to do."""


class Environment:
    """One environment and the steps of making it."""

    def __init__(self, root: Path, venv: Path, lock_name: str) -> None:
        self.root = root
        self.venv = venv
        self.lock_name = lock_name
        self.python = venv / "bin" / "python"
        # Beside the environment, not in it: they outlive its being deleted. Git ignores both in a checkout.
        self.log = venv.parent / ".setup.log"
        self.gate = venv.parent / ".setup.lock"
        self.uv = None if os.environ.get("BREAKROOM_NO_UV") else shutil.which("uv")

    # ---- what is there ----

    def is_ready(self) -> bool:
        """Whether it was made completely; the same test as `ready` in environment.sh."""
        try:
            lines = (self.venv / STAMP / "made").read_text().splitlines()
            same = (self.venv / STAMP / self.lock_name).read_bytes() == (
                self.root / self.lock_name
            ).read_bytes()
        except OSError:
            return False
        return (
            same
            and lines[0] == str(self.root)
            and all(os.access(p, os.X_OK) for p in (self.python, lines[1]))
        )

    def was_for_tests(self) -> bool:
        """Whether the one that is there, complete or not, holds what the tests need. It is not taken away again."""
        return (self.venv / STAMP / LOCKS[1]).exists()

    def _reason(self) -> str:
        stamp = self.venv / STAMP
        if not stamp.is_dir():
            return "first start"
        if not (stamp / "made").exists():
            return "the last set-up was interrupted"
        return "the lock file has changed, or the checkout or Python has moved"

    def make(self) -> None:
        """Make it, if nobody else has made it in the meantime.

        Raises:
            SetUpError: it cannot be made.
        """
        with self._alone():
            if self.is_ready():
                return
            started = time.monotonic()
            wanted = LOCKS[1] if self.was_for_tests() else self.lock_name
            self._check_place()
            self._check_tools()
            say(f"{self._reason()}: making the environment in {self.venv} (once, about half a minute)")
            self._begin()
            self._create()
            self._install(wanted)
            self._link_source()
            self._stamp(LOCKS if wanted == LOCKS[1] else (wanted,))
            say(f"environment ready after {time.monotonic() - started:.0f} s")

    def _alone(self) -> _Alone:
        try:
            self.venv.parent.mkdir(parents=True, exist_ok=True)
            return _Alone(self.gate)
        except OSError as error:
            raise SetUpError(
                f"cannot write in {self.venv.parent}: {error.strerror}.\n"
                "  Say where the environment may be made:  BREAKROOM_VENV=/some/directory ./breakroom"
            ) from error

    def _check_place(self) -> None:
        if self.venv.is_dir() and any(self.venv.iterdir()) and not (self.venv / STAMP).is_dir():
            raise SetUpError(
                f"{self.venv} is there, but was not made by breakroom, so it is left alone.\n"
                "  Move it away, or say where else:  BREAKROOM_VENV=/some/directory ./breakroom"
            )

    def _check_tools(self) -> None:
        if self.uv is None and not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
            version = sysconfig.get_python_version()
            raise SetUpError(
                f"Python {version} ({sys.executable}) is here without its venv module.\n"
                "  Debian and Ubuntu:  sudo apt install python3-venv\n"
                "  Or name another Python:  BREAKROOM_PYTHON=/path/to/python3 ./breakroom"
            )

    # ---- the steps ----

    def _begin(self) -> None:
        """From here on the directory is ours and not ready, whenever we are interrupted."""
        (self.venv / STAMP / "made").unlink(missing_ok=True)
        if self.venv.exists():
            for entry in self.venv.iterdir():
                if entry.name != STAMP:
                    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        (self.venv / STAMP).mkdir(parents=True, exist_ok=True)
        self.log.write_text("")

    def _create(self) -> None:
        say(f"  1/3 virtual environment for Python {sysconfig.get_python_version()}")
        if self.uv is not None:
            command = [self.uv, "venv", "--quiet", "--allow-existing", "--no-project", "--no-config"]
            if self._run([*command, "--python", sys.executable, str(self.venv)]):
                return
            self.uv = None  # too old, or not allowed to here: the standard library does it too
        command = [sys.executable, "-I", "-m", "venv", str(self.venv)]
        self._check_tools()
        if not self._run(command):
            raise SetUpError(self._failure("the virtual environment could not be made", command))

    def _install(self, lock_name: str) -> None:
        packages = sum(line[:1].isalnum() and "==" in line for line in (self.root / lock_name).open())
        say(f"  2/3 installing up to {packages} packages of {lock_name}")
        requirements = ["--require-hashes", "--no-deps", "-r", str(self.root / lock_name)]
        if self.uv is not None:
            install = [self.uv, "pip", "install", "--quiet", "--python", str(self.python), *requirements]
            if self._run(install):
                return
            say("  uv could not install them; trying pip (which may be configured differently)")
            if not self._run([str(self.python), "-I", "-m", "ensurepip", "--default-pip"]):
                raise SetUpError(self._failure("the packages could not be installed", install))
        # Bytecode is made for the modules that are imported, when they are: compiling everything takes longer
        # than all the rest, for files of which most are never read.
        pip = [str(self.python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
        pip += ["--no-input", "--progress-bar", "off", "--require-hashes", "--no-deps"]
        # pip works on one core, mostly comparing every release of a package with every tag of the machine.
        installs = [[*pip, "-r", str(part)] for part in self._parts(lock_name, min(4, os.cpu_count() or 1))]
        if failed := self._run_beside_each_other(installs):
            raise SetUpError(
                self._failure(
                    "the packages could not be installed",
                    failed,
                    "Usually the package index cannot be reached: check the network, proxy and pip's configuration.",
                )
            )

    def _parts(self, lock_name: str, count: int) -> list[Path]:
        """The lock file's packages dealt out to `count` files, which stay for a command to be tried by hand."""
        packages = re.split(r"^(?=[A-Za-z0-9])", (self.root / lock_name).read_text(), flags=re.MULTILINE)[1:]
        count = min(count, len(packages))
        parts = [self.venv / STAMP / f"{lock_name}.{number}" for number in range(1, count + 1)]
        for number, part in enumerate(parts):
            part.write_text("".join(packages[number::count]))
        return parts

    def _link_source(self) -> None:
        say("  3/3 breakroom itself, from the checkout")
        where = subprocess.run(
            [self.python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        )
        (Path(where.stdout.strip()) / "_breakroom.pth").write_text(f"{self.root / 'src'}\n")

    def _stamp(self, locks: tuple[str, ...]) -> None:
        for name in LOCKS:
            (self.venv / STAMP / name).unlink(missing_ok=True)
        for name in locks:
            shutil.copyfile(self.root / name, self.venv / STAMP / name)
        base = os.path.realpath(self.python)  # /usr/bin/python3.11, not the /usr/bin/python3 that moves on
        unfinished = self.venv / STAMP / "made.new"
        unfinished.write_text(f"{self.root}\n{base}\n")
        unfinished.replace(self.venv / STAMP / "made")

    # ---- running and telling ----

    def _run(self, command: list[str]) -> bool:
        """Run one step; what it prints goes to the log."""
        return not self._run_beside_each_other([command])

    def _run_beside_each_other(self, commands: list[list[str]]) -> list[str]:
        """Run steps at the same time; returns one that failed, whose words then end the log, or nothing."""
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "VIRTUAL_ENV": ""}
        logs = [self.venv / STAMP / f"log.{number}" for number in range(1, len(commands) + 1)]
        running: list[subprocess.Popen[bytes]] = []
        try:
            for command, path in zip(commands, logs, strict=True):
                with path.open("wb") as log:
                    log.write(f"$ {shlex.join(command)}\n".encode())
                    log.flush()
                    running.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
            worked = [process.wait() == 0 for process in running]
        finally:
            for process in running:
                if process.poll() is None:  # interrupted: nothing goes on installing behind our back
                    process.kill()
                    process.wait()
        failed: list[str] = []
        for one_worked, command, path in sorted(zip(worked, commands, logs, strict=True), reverse=True):
            with self.log.open("ab") as whole:
                whole.write(path.read_bytes())
            failed = failed if one_worked else command
        return failed

    def _failure(self, what: str, command: list[str], cause: str = "") -> str:
        tail = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()][-6:]
        parts = [f"{what}. The end of {self.log}:", *(f"    {line}" for line in tail)]
        if cause:
            parts.append(f"  {cause}")
        parts += ["  The command that failed, to try by hand:", f"    {shlex.join(command)}"]
        parts.append("  The next start of ./breakroom begins again.")
        return "\n".join(parts)


class _Alone:
    """Keeps other set-ups of the same environment waiting. The kernel lets the lock go when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is making the environment; waiting for it")
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def say(text: str) -> None:
    """Tell the user, without getting into the output of the command that they really wanted."""
    print(f"breakroom: {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Make the environment. Exit codes: 0 it is ready, 1 it is not and the message says why, 130 interrupted."""
    root, venv, lock_name = Path(arguments[0]), Path(arguments[1]), arguments[2]
    try:
        Environment(root, venv, lock_name).make()
    except SetUpError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"the environment could not be made: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next start begins again")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
