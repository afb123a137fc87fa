"""`python -m breakroom.agent serve`: the agent of a run on one node of a Swarm; does nothing itself.

It listens on the run's own overlay network alone, takes what `messages.Guard` admits, and has each act done by a helper
container that gets only what that act needs, or by the node's engine. It itself holds no capability; what it holds is
the node's Docker socket.
Everything it must know is in its environment, made by `platforms.docker.hands_remote`.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breakroom.agent.engine_socket import ENGINE_ACTS, engine_act, run_helper
from breakroom.agent.errors import ActError
from breakroom.agent.helper import LASTING, SECRET, helper_config
from breakroom.agent.messages import MAX_LINE, PORT, Guard, RefusedError, sources_digest

__all__ = ["Settings", "serve", "settings_from"]

_READ_SECONDS = 10.0
_ADDRESS_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the agent was made for. `networks`: the overlay's subnets; it listens on no other address."""

    run: str
    node: str
    networks: tuple[str, ...]
    image: str
    labels: Mapping[str, str]
    prefix: str
    key: bytes


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read them from the environment and the secret.

    Raises:
        KeyError, OSError, ValueError: something is missing.
    """
    return Settings(
        run=environment["BREAKROOM_RUN"],
        node=environment["BREAKROOM_NODE"],
        networks=tuple(environment["BREAKROOM_NETWORKS"].split(",")),
        image=environment["BREAKROOM_IMAGE"],
        labels=json.loads(environment["BREAKROOM_HELPER_LABELS"]),
        prefix=environment["BREAKROOM_HELPER_PREFIX"],
        key=bytes.fromhex(Path(f"/run/secrets/{SECRET}").read_text().strip()),
    )


def serve(environment: Mapping[str, str] | None = None) -> None:
    """Serve until killed."""
    settings = settings_from(os.environ if environment is None else environment)
    # The first process of a container gets no signal that it has not asked for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with _Server((_own_address(settings.networks), PORT), settings) as server:
        server.serve_forever()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], settings: Settings) -> None:
        self.settings = settings
        session = secrets.token_hex(8)
        self.guard = Guard(settings.key, run=settings.run, node=settings.node, session=session)
        self.lock = threading.Lock()
        super().__init__(address, _Handler)


class _Handler(socketserver.StreamRequestHandler):
    """One connection: one line in, one line out."""

    timeout = _READ_SECONDS
    server: _Server

    def handle(self) -> None:
        line = self.rfile.readline(MAX_LINE)
        try:
            with self.server.lock:
                request = self.server.guard.admit(line, time.time_ns())
        except RefusedError as error:
            self._say(json.dumps({"refused": error.code, "message": str(error)}))
            return
        self._say(self.server.guard.answer(request, self._done(request["act"])))

    def _done(self, act: dict[str, Any]) -> dict[str, Any]:
        if act.get("act") == "hello":
            told = {
                "session": self.server.guard.session,
                "unix_ns": time.time_ns(),
                "sources": sources_digest(),
            }
            return {"ok": True, **told}
        settings = self.server.settings
        name = f"{settings.prefix}-{secrets.token_hex(4)}"
        try:
            if act.get("act") in ENGINE_ACTS:
                return engine_act(act, settings.run)
            config = helper_config(act, image=settings.image, labels=settings.labels)
            stays = act.get("act") in LASTING
            return dict(json.loads(run_helper(config, name, json.dumps(act).encode() + b"\n", stays=stays)))
        except ActError as error:
            return {"ok": False, "code": error.code, "message": str(error)}

    def _say(self, line: str) -> None:
        self.connection.sendall(line.encode() + b"\n")


def _own_address(networks: tuple[str, ...]) -> str:
    """This container's address on the run's network; it is there once Docker has plugged the network in."""
    wanted = [ipaddress.ip_network(network) for network in networks]
    deadline = time.monotonic() + _ADDRESS_SECONDS
    while time.monotonic() < deadline:
        for address in _addresses():
            if any(ipaddress.ip_address(address) in network for network in wanted):
                return address
        time.sleep(0.1)
    print(f"no address of {', '.join(networks)} on this container", file=sys.stderr)
    sys.exit(1)


def _addresses() -> list[str]:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        found = [entry.get_attr("IFA_ADDRESS") for entry in netlink.get_addr(family=socket.AF_INET)]
    return [str(address) for address in found if address]
