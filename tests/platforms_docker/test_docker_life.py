"""What happens to a container under a real Docker Engine, as the journal has it; Docker's own word is the witness."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from breakroom.journal.records import LogCaptured, RotationChanged, TaskStats
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.clock import Clock, parse_time
from breakroom.spec.service import Healthcheck
from platforms_docker.deployed import Deployed, service, shell

if TYPE_CHECKING:
    from platforms_docker.conftest import Deploy

SECOND = 1_000_000_000
MIB = 1 << 20


def test_crash_is_seen_as_docker_saw_it(deploy: Deploy) -> None:
    async def story() -> None:
        since = time.time_ns()
        async with deploy(service()) as found:
            task = await found.running()
            await found.deployment.signal_task(task, "SIGKILL")
            end = await found.ended()
            assert found.states() == ["starting", "running", "failed"]
            assert (end.exit_code, end.signal, end.oom_killed) == (137, 9, False)
            assert end.error == "task: non-zero exit (137)"

            state = found.inspect()["State"]
            begun = found.begins()[0]
            assert end.platform_unix_ns == parse_time(state["FinishedAt"])
            assert begun.platform_unix_ns == parse_time(state["StartedAt"])
            events = {event["Action"]: event for event in found.events(since)}
            assert events["die"]["Actor"]["Attributes"]["exitCode"] == "137"
            # Docker tells of an end after containerd has seen it, and of a start after the process began.
            assert end.platform_unix_ns is not None
            assert since < end.platform_unix_ns <= events["die"]["timeNano"]
            # On the journal's clock: a fresh measurement of the offset agrees to the millisecond.
            assert abs(Clock(local=True).monotonic(end.platform_unix_ns) - end.t) < SECOND // 100

    asyncio.run(story())


@pytest.mark.parametrize("policy", ["no", "always", "unless-stopped", "on-failure", "on-failure:1"])
def test_restart_policy_after_a_crash(deploy: Deploy, policy: str) -> None:
    async def story() -> None:
        async with deploy(service(restart=policy)) as found:
            first = await found.running()
            await found.deployment.signal_task(first, "SIGKILL")
            await found.ended()
            if policy == "no":
                assert found.inspect()["State"]["Status"] == "exited"
                await found.deployment.start()
                second = await found.running(2)
            else:
                second = await found.running(2)
                assert found.inspect()["RestartCount"] == 1
            assert second == f"{first}.2"
            if policy == "on-failure:1":
                await found.deployment.signal_task(second, "SIGKILL")
                await found.ended(2)
                await _settled(found, "exited")
                assert len(found.begins()) == 2

    asyncio.run(story())


def test_restarts_wait_twice_as_long_each_time(deploy: Deploy) -> None:
    async def story() -> None:
        # It lives for a moment: Docker may note the start of one that ends at once only after its end.
        async with deploy(shell("sleep 0.5; exit 3", restart="always")) as found:
            await found.ended(5)
            ends = [end.t for end in found.ends()]
            starts = [change.t for change in found.begins("starting")]
            waits = [start - end for end, start in zip(ends, starts[1:], strict=False)]
            # moby's restart manager: 100 ms, doubled; what Docker needs to start comes on top.
            for number, wait in enumerate(waits[:4]):
                assert SECOND // 10 * 2**number <= wait < SECOND // 10 * 2**number + 2 * SECOND
            assert {end.exit_code for end in found.ends()} == {3}
            assert {end.signal for end in found.ends()} == {None}

    asyncio.run(story())


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_api_kill_and_stop_are_not_revived(deploy: Deploy, how: str) -> None:
    async def story() -> None:
        async with deploy(service(restart="always")) as found:
            await found.running()
            # Before the program handles SIGTERM, process 1 of a container ignores it.
            await found.until(lambda: bool(found.written()), "the program listens")
            if how == "kill":
                await found.deployment.kill_through_api()
            else:
                await found.deployment.stop()
            end = await found.ended()
            assert (end.desired, end.state) == ("shutdown", "shutdown")
            assert end.signal == (9 if how == "kill" else None)
            await _settled(found, "exited")
            assert found.inspect()["RestartCount"] == 0
            assert len(found.begins()) == 1

    asyncio.run(story())


def test_kill_of_one_that_does_not_run_is_refused(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            task = await found.running()
            await found.deployment.stop()
            await found.ended()
            with pytest.raises(PlatformError) as refused:
                await found.deployment.kill_through_api()
            assert refused.value.code == "refused"
            with pytest.raises(ProcessLookupError):
                await found.deployment.signal_task(task, "SIGKILL")

    asyncio.run(story())


def test_memory_limit_is_enforced_by_the_kernel(deploy: Deploy) -> None:
    async def story() -> None:
        line = "exec python3 -c 'b = bytearray(200 << 20)'"
        async with deploy(shell(line, memory=64 * MIB)) as found:
            end = await found.ended()
            await found.until(lambda: any(change.oom_killed for change in found.ends()), "out of memory")
            assert (end.exit_code, end.signal) == (137, 9)
            shown = found.inspect()
            assert shown["State"]["OOMKilled"] is True
            # As much swap as memory: none beside it.
            assert shown["HostConfig"]["Memory"] == shown["HostConfig"]["MemorySwap"] == 64 * MIB

    asyncio.run(story())


def test_statistics_are_the_containers_own(deploy: Deploy) -> None:
    async def story() -> None:
        line = "exec python3 -c 'import time; b = b\"x\" * (40 << 20); time.sleep(600)'"
        async with deploy(shell(line, memory=128 * MIB)) as found:
            await found.until(
                lambda: any(stats.memory_bytes > 40 * MIB for stats in found.of(TaskStats)), "40 MiB in use"
            )
            stats = found.of(TaskStats)[-1]
            assert stats.memory_limit_bytes == 128 * MIB
            assert stats.memory_bytes < 80 * MIB
            assert stats.cpu_ns > 0

    asyncio.run(story())


def test_each_start_has_its_own_log(deploy: Deploy) -> None:
    async def story() -> None:
        line = "echo hello from $HOSTNAME at $(cat /proc/sys/kernel/random/uuid); exec sleep 600"
        async with deploy(shell(line)) as found:
            for number in (1, 2):
                task = await found.running(number)
                await found.until(lambda n=number: len(found.written()) == n, "a line")  # type: ignore[misc]
                await found.deployment.signal_task(task, "SIGKILL")
                await found.ended(number)
                await found.until(lambda n=number: len(found.of(LogCaptured)) >= n, "the log")  # type: ignore[misc]
                if number == 1:
                    await found.deployment.start()
            tails = [record.tail for record in found.of(LogCaptured)]
            assert all(tail.count("hello from") == 1 for tail in tails)
            assert tails[0] != tails[1]
            for record in found.of(LogCaptured):
                assert (found.directory / record.file).read_text() == record.tail

    asyncio.run(story())


def test_health_is_told_as_docker_tells_it(deploy: Deploy) -> None:
    check = Healthcheck(
        test=("CMD-SHELL", "test -e /tmp/well || { echo no such file; exit 1; }"),
        interval=SECOND // 5,
        timeout=5 * SECOND,
        retries=2,
    )

    async def story() -> None:
        async with deploy(shell("touch /tmp/well; exec sleep 600", healthcheck=check)) as found:
            await found.running()
            health = found.health
            await found.until(lambda: any(one.status == "healthy" for one in health()), "healthy")
            assert (await found.deployment.tasks())[0].healthy is True
            found.host.docker("exec", found.container, "rm", "/tmp/well")
            await found.until(lambda: any(one.status == "unhealthy" for one in health()), "unhealthy")
            (first, *_) = [one for one in health() if not one.ok]
            assert (first.status, first.failing_streak) == ("healthy", 1)
            assert "no such file" in first.output
            last = next(one for one in health() if one.status == "unhealthy")
            assert last.failing_streak == 2
            # Docker never restarts an unhealthy container (moby#28400).
            assert found.inspect()["State"]["Status"] == "running"
            log = found.inspect()["State"]["Health"]["Log"]
            ends = {parse_time(entry["End"]) for entry in log}
            clock = Clock(local=True)
            told = [one.t for one in health()]
            seen = [
                end
                for end in ends
                if end and any(abs(clock.monotonic(end) - t) < SECOND // 100 for t in told)
            ]
            assert len(seen) >= len(log) - 1  # the newest may not have been read yet

    asyncio.run(story())


def test_http_health_test_works_in_a_container(deploy: Deploy) -> None:
    check = Healthcheck(test=("HTTP", "/health"), interval=SECOND // 5, timeout=2 * SECOND, retries=3)

    async def story() -> None:
        async with deploy(service(healthcheck=check)) as found:
            await found.running()
            await found.until(lambda: any(one.ok for one in found.health()), "a good probe")
            assert '"status": "ok"' in found.health()[-1].output

    asyncio.run(story())


def test_rotation_follows_the_container(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service(restart="always")) as found:
            first = await found.running()
            await found.deployment.signal_task(first, "SIGKILL")
            second = await found.running(2)
            await found.until(lambda: len(found.of(RotationChanged)) >= 3, "in, out, in")
            told = [(one.task, one.in_rotation, one.reason) for one in found.of(RotationChanged)]
            assert told == [(first, True, ""), (first, False, "cut"), (second, True, "")]
            views = await found.deployment.tasks()
            assert [(view.id, view.in_rotation) for view in views] == [(second, True), (first, False)]

    asyncio.run(story())


def test_processes_inside_are_signalled_from_outside(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(shell("n=60; sleep ${n}1 & sleep ${n}2 & wait; wait")) as found:
            task = await found.running()
            deployment = found.deployment
            await found.until(
                lambda: found.host.docker("top", found.container).count("sleep 60") == 2, "both"
            )
            pids = await deployment.signal_inside(task, "sleep 601", "SIGKILL")
            assert len(pids) == 1
            await found.until(
                lambda: "sleep 601" not in found.host.docker("top", found.container), "one less"
            )
            assert "sleep 602" in found.host.docker("top", found.container)
            assert await deployment.signal_inside(task, "no such program", "SIGKILL") == ()
            assert await deployment.process_state(task) == "S"
            await deployment.signal_task(task, "SIGSTOP")
            while (state := await deployment.process_state(task)) != "T":
                assert state in {"R", "S"}
            await deployment.signal_task(task, "SIGCONT")

    asyncio.run(story())


def test_pause_freezes_and_unpause_thaws(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            task = await found.running()
            evidence = await found.deployment.pause(task)
            assert (evidence.holds, evidence.means) == (True, "freezer")
            assert evidence.detail["witness"] == "cgroup"
            assert found.inspect()["State"]["Status"] == "paused"
            await found.deployment.unpause(task)
            assert found.inspect()["State"]["Status"] == "running"

    asyncio.run(story())


def test_a_paused_container_can_be_removed(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            await found.deployment.pause(await found.running())

    asyncio.run(story())


def test_memory_is_filled_and_freed_inside_the_limit(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service(memory=128 * MIB)) as found:
            task = await found.running()
            evidence = await found.deployment.fill_memory(task, 60 * MIB)
            assert evidence.holds
            await found.until(
                lambda: any(one.memory_bytes > 60 * MIB for one in found.of(TaskStats)), "60 MiB more"
            )
            await found.deployment.free_memory(task)
            count = len(found.of(TaskStats))
            await found.until(
                lambda: any(one.memory_bytes < 60 * MIB for one in found.of(TaskStats)[count:]), "60 MiB less"
            )

    asyncio.run(story())


def test_more_memory_than_the_limit_is_the_kernels_to_end(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service(memory=64 * MIB)) as found:
            task = await found.running()
            evidence = await found.deployment.fill_memory(task, 200 * MIB)
            # The kernel kills the greediest in the group: the filler, which is no process of the service's.
            assert evidence.holds
            assert evidence.detail.get("oom_kills") or evidence.detail.get("after") is None

    asyncio.run(story())


def test_partition_by_nft_in_the_containers_namespace(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            task = await found.running()
            evidence = await found.deployment.impair(task, {"partition": True})
            assert (evidence.holds, evidence.means) == (True, "nft")
            pid = str(found.inspect()["State"]["Pid"])
            rules = found.host.run(
                "nsenter", f"--net=/proc/{pid}/ns/net", "nft", "list", "ruleset", check=False
            )
            assert "breakroom_" in rules or not rules  # nft's own program may not be installed
            await found.deployment.impair(task, None)
            again = await found.deployment.impair(task, {"partition": True})
            assert again.holds
            await found.deployment.impair(task, None)

    asyncio.run(story())


def test_overview_is_docker_ps(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            await found.running()
            head, row = (await found.deployment.overview()).splitlines()
            assert head.split()[:2] == ["CONTAINER", "ID"]
            assert row.startswith(found.container[:12])
            assert "improved-app:latest" in row
            assert "Up" in row

    asyncio.run(story())


def test_other_peoples_containers_stay(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service()) as found:
            found.host.docker("run", "-d", "--name", "theirs", "breakroom-test-base", "sleep", "600")
        host = found.host
        try:
            assert host.docker("ps", "--format", "{{.Names}}").split() == ["theirs"]
            assert host.docker("ps", "-aq", "--filter", "label=breakroom") == ""
        finally:
            host.docker("rm", "-f", "theirs")

    asyncio.run(story())


async def _settled(found: Deployed, status: str) -> None:
    """Docker has nothing more in mind: the status, and no restart for longer than its first wait."""
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        await asyncio.to_thread(found.inspect)
    assert found.inspect()["State"]["Status"] == status


def test_faults_of_one_container_do_not_undo_each_other(deploy: Deploy) -> None:
    async def story() -> None:
        async with deploy(service(), front="breakroom") as found:
            task = await found.running()
            deployment = found.deployment
            slow = await deployment.impair("*", {"delay_ns": 50_000_000})
            cut = await deployment.impair(task, {"partition": True})
            assert cut.means == "nft"
            healed = await deployment.impair("*", None)
            assert healed.means == slow.means
            # Still cut off: what is taken back is told, and it is there to be taken back.
            again = await deployment.impair(task, None)
            assert (again.means, bool(again.detail["cleared"])) == ("nft", True)
            assert (await deployment.impair(task, None)).means == "nothing-in-force"
            with pytest.raises(PlatformError) as refused:
                await deployment.impair(task, {"corrupt": 0.1, "reset": True})
            assert refused.value.code == "unsupported"

    asyncio.run(story())
