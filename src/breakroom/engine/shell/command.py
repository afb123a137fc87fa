"""From a service's words to what can be run: the command line, the environment, the check that it exists.

Used by `engine.shell.node` before a task is started, and by the engine before it accepts a service. Pure but
for looking at the file system.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from breakroom.engine.core.model import Task
from breakroom.spec.service import ServiceSpec

__all__ = ["MARKER", "CommandError", "check_program", "command_line", "localize", "task_environment"]

MARKER = "BREAKROOM_MARKER"
"""Environment variable that every child of one engine carries, with a value that no other engine has."""


class CommandError(Exception):
    """The service's program can never be started here; the text says why."""


def command_line(spec: ServiceSpec, port: int) -> list[str]:
    """Entrypoint and command with `{port}` and `{python}` filled in."""
    words = (*spec.entrypoint, *spec.command)
    return [word.replace("{port}", str(port)).replace("{python}", sys.executable) for word in words]


def check_program(spec: ServiceSpec) -> str:
    """The path of the service's program.

    Raises:
        CommandError: there is no command, no such program, or no such directory.
    """
    directory = Path(spec.working_dir or ".")
    if not directory.is_dir():
        raise CommandError(
            f"no such directory: {spec.working_dir} (working_dir of service {spec.name}); make it, or correct the name"
        )
    words = command_line(spec, 0)
    if not words:
        raise CommandError(
            f"service {spec.name} has nothing to run: image {spec.image!r} is not one that the local platform knows; "
            "give the service a command, or use the image of a sample app"
        )
    program = words[0]
    if "/" in program:
        # As execve sees it: relative to the directory that the process starts in.
        path = directory / program
        found = str(path.absolute()) if path.is_file() and os.access(path, os.X_OK) else None
    else:
        found = shutil.which(program, path=spec.environment.get("PATH", os.environ.get("PATH", os.defpath)))
    if found is None:
        raise CommandError(_why_not(program, directory / program, f"command of service {spec.name}"))
    return found


def _why_not(program: str, path: Path, where: str) -> str:
    if "/" in program and path.is_dir():
        return f"{program} is a directory, not a program ({where}); name the file in it that is to run"
    if "/" in program and path.is_file():
        return (
            f"{program} may not be executed ({where}); allow it with `chmod +x`, or name the program that reads it, "
            f"like `python3 {program}`"
        )
    return f"no such program: {program} ({where}); install it, give its full path, or use the image of a sample app"


def task_environment(task: Task, port: int, marker: str) -> dict[str, str]:
    """The environment that the engine was started with, then what the service sets, then what a task is told.

    The last wins: a `PORT: 3000` in a Compose file would put every replica on one port of this machine.
    """
    return {
        **_environment_of_the_person(),
        **task.spec.environment,
        MARKER: marker,
        "PORT": str(port),
        "BREAKROOM_TASK_ID": task.id,
        "BREAKROOM_TASK_NAME": task.name,
        "BREAKROOM_TASK_SLOT": str(task.slot),
        "BREAKROOM_VERSION": str(task.spec_version),
    }


def _environment_of_the_person() -> dict[str, str]:
    """This process's, without the place of breakroom's own bytecode (see `scripts/environment.sh`)."""
    found = dict(os.environ)
    place = found.get("PYTHONPYCACHEPREFIX")
    if place and os.path.realpath(place) == os.path.realpath(f"{sys.prefix}/bytecode"):
        del found["PYTHONPYCACHEPREFIX"]
        found["PYTHONDONTWRITEBYTECODE"] = "1"
    return found


def localize(text: str, ports: Mapping[int, int]) -> str:
    """Point `localhost:TARGET` (also 127.0.0.1 and [::1]) at the task's own port, so that tests work as written."""
    for target, port in ports.items():
        text = re.sub(rf"(localhost|127\.0\.0\.1|\[::1\]):{target}(?!\d)", rf"127.0.0.1:{port}", text)
    return text.replace("{port}", str(next(iter(ports.values()), 0))).replace("{python}", sys.executable)
