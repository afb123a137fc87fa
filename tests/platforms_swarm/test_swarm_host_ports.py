"""Which port of its node a task is reached at."""

from __future__ import annotations

from breakroom.platforms.swarm.tasks import host_ports


def test_the_port_of_ipv4_counts_where_docker_gave_ipv6_another() -> None:
    ports = [{"TargetPort": 3000, "PublishedPort": 32783}, {"TargetPort": 3000, "PublishedPort": 32781}]
    assert host_ports({"PortStatus": {"Ports": ports}}) == {3000: 32783}


def test_a_task_without_ports_has_none() -> None:
    assert host_ports({}) == host_ports({"PortStatus": None}) == host_ports({"PortStatus": {}}) == {}
