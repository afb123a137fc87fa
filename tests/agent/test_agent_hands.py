"""Hands without root: a helper container with the least it needs, and nothing of it left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.agent_kit import PORT, Target, act, target, until
from breakroom.agent import lasting
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import opened
from breakroom.platforms.docker.hands import Hands, HelperHands, LocalHands, hands_for
from breakroom.platforms.docker.hands_image import AGENT_IMAGE, require_agent_image
from breakroom.platforms.docker.names import mark
from docker_lab.lab import Host

RUN = "20261123-220000-test-abcd12"


@asynccontextmanager
async def _helper(host: Host) -> AsyncIterator[HelperHands]:
    async with opened({"DOCKER_HOST": host.docker_host}) as daemon:
        hands = HelperHands(daemon, RUN)
        yield hands
        assert await hands.close() == ()
    assert _helpers(host) == []


def _helpers(host: Host) -> list[str]:
    return host.docker("ps", "-aq", "--filter", "label=breakroom=helper").split()


def test_hands_helper_signals_and_looks(served: Target) -> None:
    async def main() -> None:
        async with _helper(served.host) as hands:
            await hands.act({"act": "signal", "signal": "SIGSTOP", "match": "http.server", **served.named})
            assert (await hands.act({"act": "process-state", **served.named}))["state"] == "T"
            assert _helpers(served.host) == []
            (one,) = (await hands.act({"act": "processes", **served.named}))["processes"]
            assert one["pid"] == served.pid
            found = (await hands.act({"act": "stats", "containers": [served.named]}))["containers"]
            assert found[served.id]["limit"] == 128 << 20
            await hands.act({"act": "signal", "signal": "SIGKILL", **served.named})
        until(lambda: served.id not in served.host.docker("ps", "-q", "--no-trunc"))

    asyncio.run(main())


def test_hands_helper_reads_quota_and_count_and_asks_the_service(served: Target) -> None:
    async def main() -> None:
        async with _helper(served.host) as hands:
            served.host.docker("update", "--cpu-period", "100000", "--cpu-quota", "5000", served.id)
            seen = await hands.act({"act": "cpu-quota", **served.named})
            assert (seen["quota_us"], seen["period_us"]) == (5000, 100_000)
            asked = {"act": "request", "port": PORT, "method": "GET", "path": "/", **served.named}
            assert (await hands.act(asked))["status"] == 200
            counted = (await hands.act({"act": "oom-kills"}))["oom_kills"]
            assert counted == act(served.host, "oom-kills")["oom_kills"]
            served.host.docker("update", "--cpu-quota", "-1", served.id)

    asyncio.run(main())


def test_hands_helper_waits_only_for_the_end_of_what_it_was_told_to_end(served: Target) -> None:
    other = target(served.host)

    async def main() -> None:
        async with _helper(served.host) as hands:
            for one in (served, other):
                await hands.act({"act": "partition-set", "within_s": 600, **one.named})
            first, second = set(hands._lasting), set()
            await hands.act({"act": "partition-clear", **served.named})
            second = set(hands._lasting)
            assert len(first) == 2
            assert len(second) == 1
            assert served.reached()
            assert not other.reached()

    try:
        asyncio.run(main())
    finally:
        served.host.docker("rm", "-f", other.id)


def test_hands_helper_partition_lasts_as_long_as_its_helper(served: Target) -> None:
    async def main() -> None:
        async with _helper(served.host) as hands:
            await hands.act({"act": "partition-set", "within_s": 60, **served.named})
            assert not served.reached()
            assert served.reaches_itself()
            assert len(_helpers(served.host)) == 1
            await hands.act({"act": "partition-clear", **served.named})
            assert served.reached()
            assert _helpers(served.host) == []
            await hands.act({"act": "partition-set", "within_s": 2, **served.named})
            until(served.reached)
            until(lambda: not _helpers(served.host))

    asyncio.run(main())


def test_hands_helper_fills_memory_until_closed(served: Target) -> None:
    async def main() -> None:
        async with _helper(served.host) as hands:
            filled = await hands.act(
                {"act": "memory-fill", "bytes": 32 << 20, "within_s": 60, **served.named}
            )
            assert filled["held"]
            assert act(served.host, "memory-events", **served.named)["memory"]["used"] > 32 << 20

    asyncio.run(main())
    assert lasting.find(mark(RUN)) == []


def test_hands_helper_has_only_what_its_act_needs(agent_host: Host) -> None:
    async def main() -> None:
        async with _helper(agent_host) as hands:
            found = await hands.act({"act": "probe"})
            assert set(found["capabilities"]) == {"SYS_ADMIN", "NET_ADMIN"}
            assert found["nft"]["works"]
            assert found["cgroup"]["writable"]

    asyncio.run(main())


def test_hands_helper_cancelled_leaves_no_container(served: Target) -> None:
    async def main() -> None:
        async with _helper(served.host) as hands:
            doing = asyncio.get_running_loop().create_task(
                hands.act({"act": "process-state", **served.named}), name="an act that is cancelled"
            )
            await asyncio.to_thread(until, lambda: _helpers(served.host))
            doing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await doing
            assert _helpers(served.host) == []

    asyncio.run(main())


def test_hands_tell_the_acts_own_reason(served: Target) -> None:
    async def refused(hands: Hands) -> str:
        with pytest.raises(PlatformError) as caught:
            await hands.act({"act": "signal", "signal": "SIGKILL", "container": served.id, "pid": 1})
        return caught.value.code

    async def main() -> None:
        async with _helper(served.host) as hands:
            assert await refused(hands) == "not-in-container"
        assert await refused(LocalHands(RUN)) == "not-in-container"

    asyncio.run(main())


def test_hands_of_a_local_daemon_are_a_process(served: Target) -> None:
    async def main() -> None:
        async with opened({"DOCKER_HOST": served.host.docker_host}) as daemon:
            assert daemon.confirm_local(served.id, served.pid)
            hands = await hands_for(daemon, RUN)
            assert hands.means == "process"
            assert (await hands.act({"act": "process-state", **served.named}))["state"] == "S"
            assert await hands.close() == ()

    asyncio.run(main())


def test_hands_say_how_to_get_the_agents_image(agent_host: Host) -> None:
    agent_host.docker("tag", AGENT_IMAGE, "kept:latest")
    agent_host.docker("rmi", AGENT_IMAGE)

    async def main() -> None:
        async with opened({"DOCKER_HOST": agent_host.docker_host}) as daemon:
            with pytest.raises(PlatformError) as caught:
                await require_agent_image(daemon)
            assert caught.value.code == "image-missing"
            assert "breakroom images" in caught.value.hint

    try:
        asyncio.run(main())
    finally:
        agent_host.docker("tag", "kept:latest", AGENT_IMAGE)
        agent_host.docker("rmi", "kept:latest")
