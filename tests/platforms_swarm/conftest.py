"""Two Docker hosts for this folder's tests, with the sample images; each module makes of them what it needs."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Iterator

import pytest

from docker_lab.base_image import BASE_IMAGE, base_image
from docker_lab.lab import Host, Lab, missing


@pytest.fixture(scope="session")
def swarm_lab() -> Iterator[Lab]:
    """Two hosts that are in no Swarm; the first has the sample services' images."""
    if reason := missing():
        pytest.skip(f"no Docker lab here: {reason}")
    lab = Lab("hbt", 2)
    lab.up(tied=True)
    try:
        tar = base_image()
        first = lab.hosts[0]
        first.docker("import", str(tar), BASE_IMAGE)
        first.run(sys.executable, "-m", "breakroom", "images", "--base", BASE_IMAGE)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def lone_host(swarm_lab: Lab) -> Iterator[Host]:
    """The first host, in no Swarm before and after."""
    host = swarm_lab.hosts[0]
    yield host
    host.docker("swarm", "leave", "--force", check=False)
    host.docker("network", "rm", "docker_gwbridge", check=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run this folder's coroutine tests, each on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
