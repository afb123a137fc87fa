"""`breakroom doctor`: each row is tried, what is missing comes with the way to it, and nothing is left."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from breakroom.safety.doctor import local
from docker_lab.lab import Host
from safety.world import Ended, Machine, world


def rows(ended: Ended) -> dict[str, dict[str, Any]]:
    return {row["check"]: row for row in ended.json["checks"]}


def test_everything_is_tried_and_nothing_is_left(in_swarm: Host, tmp_path: Path) -> None:
    before = world(in_swarm)
    ended = Machine(tmp_path, host=in_swarm).breakroom("doctor", "--json", "--out", str(tmp_path))
    assert ended.code == 0, ended.err
    assert ended.json["usable"] == ["local", "docker", "swarm"]
    found = rows(ended)
    for check in ("python", "deploy", "disk", "client", "api", "run-container", "swarm", "overlay"):
        assert found[check]["status"] == "ok", found[check]
    assert "this machine" in found["run-container"]["found"], "its process was seen"
    assert found["images"]["status"] == "missing"
    for row in found.values():
        assert row["status"] == "ok" or row["way"], f"how to get it: {row}"
    assert sum(row["took_s"] for row in found.values()) < 60
    assert world(in_swarm) == before
    assert not list(tmp_path.glob("breakroom-*"))


def test_without_a_swarm_the_way_to_one_is_shown_and_none_is_made(plain: Host, tmp_path: Path) -> None:
    before = world(plain)
    ended = Machine(tmp_path, host=plain).breakroom("doctor", "--json", "--out", str(tmp_path))
    row = rows(ended)["swarm"]
    assert row["status"] == "degraded"
    assert "--init-swarm" in row["way"]
    assert world(plain) == before


def test_without_docker_the_platform_local_is_enough(tmp_path: Path) -> None:
    ended = Machine(tmp_path).breakroom("doctor", "--json", "--out", str(tmp_path))
    assert ended.code == 0, ended.out
    assert ended.json["usable"] == ["local"]
    row = rows(ended)["daemon"]
    assert row["status"] == "missing"
    assert "docker" in row["way"]


def test_where_no_platform_works_the_exit_code_says_so(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    ended = Machine(tmp_path).breakroom("doctor", "--json", "--out", str(nowhere / "results"))
    assert ended.code == 3
    assert ended.json["usable"] == []
    assert "--out" in rows(ended)["disk"]["way"]


def test_a_daemon_that_takes_the_connection_and_is_silent_ends_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(path))
        sock.listen()
        kept: list[socket.socket] = []
        thread = threading.Thread(target=lambda: kept.append(sock.accept()[0]), daemon=True)
        thread.start()
        ended = Machine(tmp_path, docker_host=f"unix://{path}").breakroom(
            "doctor", "--json", "--out", str(tmp_path)
        )
        thread.join(5)
        for one in kept:
            one.close()
    assert ended.code == 0, ended.err
    assert "does not answer" in rows(ended)["daemon"]["found"]


def test_it_speaks_korean(tmp_path: Path) -> None:
    ended = Machine(tmp_path).breakroom("doctor", "--lang", "ko", "--out", str(tmp_path))
    assert ended.code == 0, ended.err
    assert "이 컴퓨터 (--platform local)" in ended.out
    assert "해결 방법" in ended.out


async def _ports(*ports: int) -> str:
    return (await local.check_ports(ports)).status


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_port_that_somebody_listens_on_is_found_taken(family: socket.AddressFamily) -> None:
    import asyncio

    with socket.socket(family, socket.SOCK_STREAM) as sock:
        try:
            sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        sock.listen()
        port = sock.getsockname()[1]
        assert asyncio.run(_ports(port)) == "degraded"
    assert asyncio.run(_ports(port)) == "ok"
