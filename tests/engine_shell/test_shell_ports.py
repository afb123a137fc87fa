"""Ports for tasks: free, unique, below the clients' range, and known to other engines."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from breakroom.engine.shell.ports import NoFreePortError, PortPool


def test_ports_differ_and_a_server_can_listen_on_each() -> None:
    pool = PortPool()
    ports = [pool.take() for _ in range(50)]
    assert len(set(ports)) == 50
    servers = [socket.create_server(("127.0.0.1", port)) for port in ports]
    for server in servers:
        server.close()
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the range is read where Linux keeps it")
def test_ports_lie_below_those_that_the_kernel_gives_to_clients() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    pool = PortPool()
    assert all(pool.take() < first for _ in range(20))
    pool.close()


def test_a_port_that_someone_listens_on_is_passed_over() -> None:
    pool = PortPool()
    pool._ports = range(pool.take(), pool._ports.stop)
    pool.close()
    pool._next = 0
    with socket.create_server(("127.0.0.1", pool._ports.start)):
        assert pool.take() != pool._ports.start
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="claims need abstract socket names")
def test_a_port_promised_by_one_engine_is_not_promised_by_another() -> None:
    one, other = PortPool(), PortPool()
    assert one._next == other._next
    assert {one.take() for _ in range(20)}.isdisjoint({other.take() for _ in range(20)})
    one.close()
    other.close()


def test_a_port_that_was_given_back_is_not_the_next_one() -> None:
    pool = PortPool()
    port = pool.take()
    pool.give_back(port)
    pool.give_back(port)
    assert pool.take() != port
    pool.close()


def test_running_out_of_ports_says_so() -> None:
    pool = PortPool()
    pool._ports = range(pool.take(), pool._ports.stop)[:1]
    with pytest.raises(NoFreePortError, match="too many servers run here"):
        pool.take()
    pool.close()
