"""Sees what happens to the cluster, by ways that breakroom does not use: pings each host, and asks the manager itself.

The times are `time.monotonic_ns`, which all hosts of a lab have in common.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

from docker_lab.lab import Host

__all__ = ["Observer", "Seen"]

_ROW = 8
"""So many pings in a row without an answer, or with one, are no chance."""
_EVERY_SECONDS = 0.1
_PING = """
import select, socket, struct, sys, time
def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
addresses, sent, number, due = sys.argv[1:], {}, 0, time.monotonic()
while True:
    while (left := due - time.monotonic()) > 0:
        if not select.select([raw], [], [], left)[0]:
            continue
        packet, (source, _) = raw.recvfrom(2048)
        body = packet[(packet[0] & 15) * 4:]
        kind, _, _, ident, seq = struct.unpack(">BBHHH", body[:8])
        if kind == 0 and ident == 0x7b2e and (source, seq) in sent:
            print("answer", source, sent.pop((source, seq)), flush=True)
    due = max(due + 0.05, time.monotonic())
    number = (number + 1) & 0xffff
    for address in addresses:
        head = struct.pack(">BBHHH", 8, 0, 0, 0x7b2e, number)
        packet = struct.pack(">BBHHH", 8, 0, checksum(head), 0x7b2e, number)
        sent[address, number] = time.monotonic_ns()
        print("ask", address, sent[address, number], flush=True)
        try:
            raw.sendto(packet, (address, 0))
        except OSError:
            pass
"""


@dataclass
class Seen:
    """A task as the manager told of it. Times are of this clock, when it was first told so."""

    id: str
    node: str
    slot: int
    created: str
    states: dict[str, int] = field(default_factory=dict)
    desired: dict[str, int] = field(default_factory=dict)


class Observer:
    """Watches from the first host, in threads of its own; a context manager."""

    def __init__(self, host: Host, others: tuple[Host, ...]) -> None:
        self._host = host
        self._others = others
        self._asked: dict[str, list[int]] = {other.address: [] for other in others}
        self._answered: dict[str, set[int]] = {other.address: set() for other in others}
        self._stopped = threading.Event()
        self.nodes: dict[str, list[tuple[int, str]]] = {}
        """Node name → when the manager first called it so."""
        self.tasks: dict[str, Seen] = {}
        self._answers: list[int] = []

    def __enter__(self) -> Self:
        addresses = [other.address for other in self._others]
        self._pings = subprocess.Popen(
            self._host.command(sys.executable, "-c", _PING, *addresses), stdout=subprocess.PIPE, text=True
        )
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._poll)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._pings.kill()
        for thread in self._threads:
            thread.join()
        self._pings.communicate()

    def silent(self, host: Host) -> int | None:
        """When the first ping was sent that, with those after it, got no answer."""
        return self._first(host, answered=False, since=0)

    def back(self, host: Host) -> int | None:
        """When the first ping after the silence was sent that got an answer."""
        silent = self.silent(host)
        return None if silent is None else self._first(host, answered=True, since=silent)

    def longest_wait(self, since: int, until: int) -> float:
        """The longest time between two answers of the manager in that time, in seconds."""
        inside = [since, *(at for at in self._answers if since < at < until), until]
        return max(after - before for before, after in pairwise(inside)) / 1e9

    def _first(self, host: Host, *, answered: bool, since: int) -> int | None:
        replies = self._answered[host.address]
        asked = [at for at in tuple(self._asked[host.address]) if at >= since]
        row = 0
        for number, at in enumerate(asked):
            row = row + 1 if (at in replies) == answered else 0
            if row == _ROW:
                return asked[number - _ROW + 1]
        return None

    def called(self, name: str, state: str, since: int) -> int | None:
        """When the manager first called a node so."""
        return next((at for at, said in self.nodes.get(name, ()) if said == state and at >= since), None)

    def _read(self) -> None:
        assert self._pings.stdout is not None
        for line in self._pings.stdout:
            what, address, at = line.split()
            if what == "ask":
                self._asked[address].append(int(at))
            else:
                self._answered[address].add(int(at))

    def _poll(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS):
            nodes = self._get("/nodes")
            at = time.monotonic_ns()
            self._answers.append(at)
            for row in nodes:
                known = self.nodes.setdefault(str(row["Description"]["Hostname"]), [])
                state = str(row["Status"]["State"])
                if not known or known[-1][1] != state:
                    known.append((at, state))
            for row in self._get("/tasks"):
                # Agents are a global service and have no slot.
                if row.get("Slot"):
                    self._note(row, time.monotonic_ns())

    def _note(self, row: dict[str, Any], at: int) -> None:
        key = str(row["ID"])
        task = self.tasks.setdefault(
            key, Seen(key, str(row.get("NodeID", "")), int(row["Slot"]), str(row["CreatedAt"]))
        )
        task.node = str(row.get("NodeID") or task.node)
        task.states.setdefault(str(row["Status"]["State"]), at)
        task.desired.setdefault(str(row["DesiredState"]), at)

    def _get(self, path: str) -> list[dict[str, Any]]:
        connection = _Connection(str(self._host.directory / "docker.sock"))
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            found = json.loads(response.read())
        finally:
            connection.close()
        return found if response.status == http.client.OK else []


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self._path)
