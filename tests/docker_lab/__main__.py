"""The lab by hand: `python -m docker_lab up NAME [--nodes N] [--swarm]`, `… down NAME`, `… exec NAME HOST WORD…`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from docker_lab.base_image import BASE_IMAGE, base_image
from docker_lab.lab import Host, Lab


def main() -> None:
    """Carry out one command."""
    parser = argparse.ArgumentParser(prog="docker_lab")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make a lab with the base image on every host")
    up.add_argument("name")
    up.add_argument("--nodes", type=int, default=1)
    up.add_argument("--swarm", action="store_true", help="join the hosts to a Swarm")
    down = commands.add_parser("down", help="remove a lab")
    down.add_argument("name")
    run = commands.add_parser("exec", help="run a command on a host of a lab")
    run.add_argument("name")
    run.add_argument("host", type=int)
    run.add_argument("words", nargs=argparse.REMAINDER)
    commands.add_parser("base", help="make the base image's tar and print where it is")
    arguments = parser.parse_args()
    if arguments.command == "up":
        tar = base_image()
        lab = Lab(arguments.name, arguments.nodes)
        lab.up()
        lab.load_image(tar, BASE_IMAGE)
        if arguments.swarm:
            lab.swarm()
        for host in lab.hosts:
            print(f"{host.namespace}  DOCKER_HOST={host.docker_host}  address {host.address}")
    elif arguments.command == "down":
        Lab(arguments.name).down()
    elif arguments.command == "base":
        print(base_image())
    else:
        words = [word for word in arguments.words if word != "--"] or ["bash"]
        command = Host(arguments.name, arguments.host).command(*words)
        os.execvp(command[0], command)  # the lab's host takes this process's place


sys.path.insert(0, str(Path(__file__).parent.parent))
main()
