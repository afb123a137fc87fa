"""Three Docker hosts in one Swarm for this folder's tests, the images on each; no test leaves anything there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from docker_lab.base_image import BASE_IMAGE, base_image
from docker_lab.lab import Host, Lab, missing
from three_nodes.cluster import Cluster, until

_IMAGES = ("improved-app", "breakroom-agent")


def _images(host: Host) -> None:
    only = [word for image in _IMAGES for word in ("--only", image)]
    host.run(sys.executable, "-m", "breakroom", "images", "--base", BASE_IMAGE, *only)


def _settle(lab: Lab) -> None:
    """Have each host run a task once: what Docker makes for its first one (bridges, chains) stays, and is Docker's."""
    first, name = lab.hosts[0], "first"
    words = ("--mode", "global", "--publish", "39999:39999", "--stop-grace-period", "0s")
    first.docker(
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        name,
        *words,
        BASE_IMAGE,
        "sleep",
        "1000",
    )
    states = ("service", "ps", "--format", "{{.CurrentState}}", name)
    until(lambda: first.docker(*states).count("Running") == len(lab.hosts), "the first tasks")
    first.docker("service", "rm", name)
    until(lambda: not any(host.docker("ps", "-aq").split() for host in lab.hosts), "their end")


@pytest.fixture(scope="session")
def three_hosts() -> Iterator[Lab]:
    """Three hosts, the first of which is the Swarm's manager."""
    if reason := missing():
        pytest.skip(f"no Docker lab here: {reason}")
    lab = Lab("t3n", 3)
    lab.up(tied=True)
    try:
        lab.load_image(base_image(), BASE_IMAGE)
        with ThreadPoolExecutor() as pool:
            list(pool.map(_images, lab.hosts))
        lab.swarm()
        _settle(lab)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def cluster(three_hosts: Lab, tmp_path: Path) -> Iterator[Cluster]:
    """The Swarm, and a user of it on its first host; afterwards it must be as it was before."""
    cluster = Cluster(three_hosts, tmp_path)
    before = cluster.world()
    try:
        yield cluster
    finally:
        for host in three_hosts.hosts:
            host.heal()
        cluster.ready()
        cluster.breakroom("cleanup")
    cluster.must_be(before)
