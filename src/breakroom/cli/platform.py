"""Which platform `--platform` names, made with what the command line knows.

Called by `cli.run`. Imports a platform's module only when it is asked for, so that `local` needs nothing of Docker's.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable

from rich.console import Console

from breakroom.cli.exits import fail
from breakroom.director.plan import RunPlan
from breakroom.faults.update import release_of
from breakroom.platforms.base import Platform
from breakroom.spec.drill import UpdateStep
from breakroom.spec.service import ServiceSpec

__all__ = ["PLATFORMS", "make_platform"]

PLATFORMS = ("local", "docker", "swarm")


def make_platform(
    name: str, plan: RunPlan, console: Console, *, init_swarm: bool = False, use_swarm: bool = False
) -> Platform:
    """The platform, not yet opened.

    Args:
        name: what the user gave.
        plan: the run's plan: a platform looks early for the images of its services.
        console: where a person is asked for consent, if there is one.
        init_swarm: consent to make a Swarm.
        use_swarm: consent to use one that has others' services.
    """
    if name != "swarm" and (init_swarm or use_swarm):
        option = "--init-swarm" if init_swarm else "--use-swarm"
        fail(f"{option} goes with --platform swarm; this is --platform {name}")
    match name:
        case "local":
            from breakroom.platforms.local import LocalPlatform

            return LocalPlatform(services=_services(plan))
        case "docker":
            from breakroom.platforms.docker.platform import DockerPlatform

            return DockerPlatform(services=_services(plan, runs_as="container"))
        case "swarm":
            from breakroom.platforms.swarm.platform import SwarmPlatform

            return SwarmPlatform(init_swarm, use_swarm, _asker(console), services=_services(plan))
        case _:
            fail(f"--platform {name}: there is no such platform; there are {', '.join(PLATFORMS)}")


def _services(plan: RunPlan, *, runs_as: str = "") -> tuple[ServiceSpec, ...]:
    """Every service that the plan deploys, with the releases that its timelines bring out."""
    found: list[ServiceSpec] = []
    for drill in plan.drills:
        updates = [step for step in drill.timeline if isinstance(step, UpdateStep)]
        for one in drill.contenders:
            if not runs_as or one.runs_as == runs_as:
                found += [one.service, *(release_of(one.service, step) for step in updates)]
    return tuple(found)


def _asker(console: Console) -> Callable[[str], bool] | None:
    """Asks a yes-or-no question at the terminal; None where there is no person to answer."""
    if not (sys.stdin.isatty() and console.is_terminal):
        return None

    def ask(question: str) -> bool:
        # asyncio's own handler only cancels the task, which waits here: without this, Ctrl-C would do nothing. It comes
        # before the question, which a quick hand answers at once.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            console.print(f"{question} [y/N] ", markup=False, highlight=False, end="")
            answer = _line_of_the_terminal()
        except KeyboardInterrupt:
            console.print()
            raise
        finally:
            signal.signal(signal.SIGINT, before)
        if not answer.endswith("\n"):
            console.print()
        return answer.strip().lower() in {"y", "yes"}

    return ask


def _line_of_the_terminal() -> str:
    """What was typed, empty at the end of input.

    `input` loses a Ctrl-C that comes between Python's last look for signals and the system call that reads: it would
    wait for an answer all the same. A signal makes the pipe readable, whenever it comes.

    Raises:
        KeyboardInterrupt: Ctrl-C, where that is what SIGINT does.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)  # as `set_wakeup_fd` demands
    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        while sys.stdin not in select.select([sys.stdin, woken], [], [])[0]:
            os.read(woken, 512)  # another signal, which has been served
        return sys.stdin.readline()
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(wake)
