"""Two Docker hosts for the safety tests: the first a Swarm of one node, the second none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from docker_lab.base_image import BASE_IMAGE, base_image
from docker_lab.lab import Host, Lab, missing


@pytest.fixture(scope="session")
def safety_lab() -> Iterator[Lab]:
    """The hosts, with the base image; tests leave them as they found them."""
    reason = missing()
    if reason:
        pytest.skip(f"no Docker lab: {reason}")
    tar = base_image()
    lab = Lab("hgt", 2)
    lab.up(tied=True)
    try:
        lab.load_image(tar, BASE_IMAGE)
        lab.hosts[0].docker("swarm", "init", "--advertise-addr", lab.hosts[0].address)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def in_swarm(safety_lab: Lab) -> Host:
    """The host that is a manager."""
    return safety_lab.hosts[0]


@pytest.fixture
def plain(safety_lab: Lab) -> Host:
    """The host that is in no Swarm."""
    return safety_lab.hosts[1]
