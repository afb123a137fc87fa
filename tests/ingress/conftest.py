from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from ingress.ingress_kit import Ingress, Task


@pytest.fixture(params=["native", "portable"])
def ingress(request: pytest.FixtureRequest) -> Iterator[Ingress]:
    """A published ingress, once with this system's best means and once with those that every Unix has."""
    process = Ingress(portable=request.param == "portable")
    process.publish()
    yield process
    process.end()


@pytest.fixture
def native() -> Iterator[Ingress]:
    """A published ingress."""
    process = Ingress()
    process.publish()
    yield process
    process.end()


@pytest.fixture
def make_task() -> Iterator[Callable[[str], Task]]:
    """Makes tasks, which are closed at the end."""
    with ExitStack() as stack:

        def make(name: str) -> Task:
            task = Task(name)
            stack.enter_context(closing(task.listener))
            return task

        yield make
