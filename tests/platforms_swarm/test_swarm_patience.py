"""What is asked while the managers have no leader is asked again; anything else is not."""

from __future__ import annotations

import pytest
from aiodocker.exceptions import DockerError

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.errors import translate
from breakroom.platforms.swarm.patience import through_elections

_ELECTING = (
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    "rpc error: code = Unknown desc = context deadline exceeded",
    "rpc error: code = Unknown desc = The swarm does not have a leader.",
)


class _Managers:
    """Say these words, one a request, and yes after the last."""

    def __init__(self, *words: str) -> None:
        self.words = list(words)

    async def ask(self) -> str:
        if not self.words:
            return "yes"
        error = DockerError(500, self.words.pop(0))
        raise translate(error, doing="list the nodes", host="unix:///nowhere")


async def test_an_election_is_waited_out() -> None:
    managers = _Managers(*_ELECTING)
    assert await through_elections(managers.ask) == "yes"
    assert managers.words == []


async def test_what_is_no_election_is_not_asked_again() -> None:
    managers = _Managers("something else", "and more")
    with pytest.raises(PlatformError) as caught:
        await through_elections(managers.ask)
    assert caught.value.code == "docker-error"
    assert managers.words == ["and more"]
