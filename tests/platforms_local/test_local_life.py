"""The local platform's everyday life, with real processes: deploy, answer, crash, restart, scale, update, remove."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from pathlib import Path

import pytest

from breakroom.engine.shell.command import MARKER
from breakroom.engine.shell.procfs import marked_processes
from breakroom.journal.records import RotationChanged, TaskChanged, TaskStats, ToolCost, UpdateChanged
from breakroom.platforms.base import PlatformError
from breakroom.platforms.local import LocalPlatform
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec
from platforms_local.deployed import MS, SERVE, deployed, eventually, exists, program, service


def test_a_task_is_told_who_it_is_and_answers_at_the_published_port(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(environment={"APP": "mine"})) as lab:
            task = await lab.running()
            assert (await lab.get()).split() == [task.task, "web.1", "1", "1", "mine"]

    asyncio.run(scenario())


def test_the_port_placeholder_is_the_tasks_own_port(tmp_path: Path) -> None:
    async def scenario() -> None:
        code = "import os, sys; print(sys.argv[1], os.environ['PORT'], flush=True)" + SERVE.replace(
            'print("ready", flush=True)', ""
        )
        async with deployed(tmp_path, service(command=program(code, "--bind=:{port}"))) as lab:
            task = await lab.running()
            shown, port = await lab.line(task.task)
            assert shown == f"--bind=:{port}"
            assert [view.port for view in await lab.deployment.tasks()] == [int(port)]

    asyncio.run(scenario())


def test_an_exit_is_seen_with_its_status_and_its_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        code = "import sys; print('last words', file=sys.stderr); sys.exit(7)"
        async with deployed(tmp_path, service(code, condition="none")) as lab:
            task = await lab.running()
            end = await lab.over(task.task)
            assert (end.state, end.exit_code, end.signal, end.oom_killed) == ("failed", 7, None, False)
            assert end.error == "task: non-zero exit (7)"
            log = await lab.log(task.task)
            assert log.tail == "last words\n"
            assert (tmp_path / log.file).read_text() == "last words\n"

    asyncio.run(scenario())


def test_a_crashed_replica_is_cut_from_rotation_and_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service()) as lab:
            first = await lab.running()
            await lab.get()
            await lab.deployment.signal_task(first.task, "SIGKILL")
            end = await lab.over(first.task)
            assert (end.exit_code, end.signal) == (137, 9)
            second = await lab.running(after=end.t)
            assert (await lab.get()).split()[0] == second.task
            cut = await lab.record(
                RotationChanged, lambda r: r.task == first.task and not r.in_rotation, "leaving of rotation"
            )
            assert cut.reason == "cut"

    asyncio.run(scenario())


def test_a_container_without_a_restart_policy_stays_dead_until_it_is_started(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(), runs_as="container") as lab:
            first = await lab.running()
            await lab.deployment.signal_task(first.task, "SIGKILL")
            end = await lab.over(first.task)
            await lab.log(first.task)
            assert all(view.state != "running" for view in await lab.deployment.tasks())
            await lab.deployment.start()
            second = await lab.running(after=end.t)
            assert second.task != first.task
            assert (await lab.get()).split()[:2] == [second.task, "web"]

    asyncio.run(scenario())


def test_signalling_a_dead_task_is_a_process_lookup_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service("", condition="none")) as lab:
            task = await lab.running()
            await lab.over(task.task)
            with pytest.raises(ProcessLookupError, match=task.task):
                await lab.deployment.signal_task(task.task, "SIGKILL")
            with pytest.raises(PlatformError, match="SIGNONSENSE is not a signal"):
                await lab.deployment.signal_task(task.task, "SIGNONSENSE")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("spec", "code", "text", "way_out"),
    [
        (
            service(command=("no-such-program-here", "--x")),
            "program-missing",
            "no such program: no-such-program-here",
            "install it",
        ),
        (service(image="nginx:1.27"), "image-unknown", "cannot run image 'nginx:1.27'", "a `command`"),
        (ServiceSpec(name="web", command=program(SERVE)), "port-missing", "publishes no port", "`ports: "),
    ],
    ids=["program", "image", "port"],
)
def test_what_cannot_run_is_refused_with_the_way_out_and_leaves_nothing(
    tmp_path: Path, spec: ServiceSpec, code: str, text: str, way_out: str
) -> None:
    async def scenario() -> None:
        with pytest.raises(PlatformError, match=text) as caught:
            await LocalPlatform().deploy(
                Contender(name="c", runs_as="service", service=spec),
                trial="t",
                directory=tmp_path,
                emit=lambda _record: None,
            )
        assert caught.value.code == code
        assert way_out in f"{caught.value} {caught.value.hint}"

    asyncio.run(scenario())


def test_a_published_port_that_is_taken_is_refused_by_its_code(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as squatter:
            port = squatter.getsockname()[1]
            with pytest.raises(PlatformError, match=str(port)) as caught:
                async with deployed(tmp_path, service(published=port)):
                    pass
            assert caught.value.code == "port-taken"
            assert caught.value.hint

    asyncio.run(scenario())


def test_scaling_starts_and_stops_tasks(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(replicas=1)) as lab:
            await lab.running()
            await lab.deployment.scale(3)
            second, third = await lab.running(slot=2), await lab.running(slot=3)
            await lab.deployment.scale(1)
            assert (await lab.over(third.task)).state == "shutdown"
            assert (await lab.over(second.task)).state == "shutdown"
            live = [view.slot for view in await lab.deployment.tasks() if view.state == "running"]
            assert live == [1]

    asyncio.run(scenario())


def test_an_update_replaces_tasks_and_a_rollback_brings_the_old_spec_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(environment={"APP": "old"})) as lab:
            await lab.running()
            await lab.deployment.update(service(environment={"APP": "new"}))
            updated = await lab.running(version=2)
            await lab.record(UpdateChanged, lambda r: r.state == "completed", "completed update")
            assert (await lab.get()).split() == [updated.task, "web.1", "1", "2", "new"]
            await lab.deployment.rollback()
            await lab.record(UpdateChanged, lambda r: r.state == "rollback_completed", "completed rollback")
            assert (await lab.get()).split()[-1] == "old"

    asyncio.run(scenario())


def test_a_command_for_the_other_kind_of_contender_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(), runs_as="container") as lab:
            with pytest.raises(PlatformError) as caught:
                await lab.deployment.scale(2)
            assert caught.value.code == "refused"

    asyncio.run(scenario())


def test_removing_kills_what_ignores_the_stop_signal_and_frees_the_port(tmp_path: Path) -> None:
    async def scenario() -> None:
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + SERVE
        async with deployed(tmp_path, service(deaf)) as lab:
            task = await lab.running()
            await lab.get()
            marker = lab.deployment._client.marker
            assert len(marked_processes(MARKER, marker)) == 2
            assert await lab.deployment.remove() == ()
            assert (await lab.over(task.task)).signal == 9
            assert task.pid is not None
            assert not exists(task.pid)
            assert marked_processes(MARKER, marker) == []
            with socket.socket() as sock:
                assert sock.connect_ex(("127.0.0.1", lab.deployment.endpoint.port)) != 0
            with pytest.raises(PlatformError, match="removed already"):
                await lab.deployment.tasks()

    asyncio.run(scenario())


def test_removing_writes_what_the_engine_and_the_ingress_cost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service()) as lab:
            await lab.running()
        costs = {record.process: record for record in lab.records if isinstance(record, ToolCost)}
        assert set(costs) == {"engine", "ingress"}
        assert all(cost.max_rss_bytes > 1 << 20 and cost.wall_ns > 0 for cost in costs.values())

    asyncio.run(scenario())


def test_running_tasks_are_sampled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(memory=256 << 20)) as lab:
            task = await lab.running()
            stats = await lab.record(
                TaskStats, lambda r: r.task == task.task and r.memory_bytes > 0, "sample"
            )
            assert stats.memory_limit_bytes == 256 << 20
            assert 1 << 20 < stats.memory_bytes < 256 << 20

    asyncio.run(scenario())


def test_a_reset_link_resets_until_it_is_healed_and_an_unknown_impairment_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service()) as lab:
            await lab.running()
            await lab.get()
            with pytest.raises(PlatformError) as caught:
                await lab.deployment.impair("*", {"loss": "much"})
            assert caught.value.code == "bad-link"
            await lab.deployment.impair("*", {"reset": True})
            url = lab.deployment.endpoint.url()
            with pytest.raises(OSError, match="reset"):
                await asyncio.to_thread(urllib.request.urlopen, url)
            await lab.deployment.impair("*", None)
            assert await lab.get()

    asyncio.run(scenario())


def test_records_of_a_task_come_in_the_order_of_their_states(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service("", delay=50 * MS, replicas=3)) as lab:
            await lab.until(
                lambda: sum(isinstance(r, TaskChanged) for r in lab.records) > 60, "many restarts"
            )
        order = [
            "new",
            "pending",
            "assigned",
            "accepted",
            "preparing",
            "ready",
            "starting",
            "running",
            "complete",
        ]
        seen: dict[str, list[TaskChanged]] = {}
        for record in lab.records:
            if isinstance(record, TaskChanged):
                seen.setdefault(record.task, []).append(record)
        assert len(seen) > 3
        for records in seen.values():
            states = [order.index(record.state) for record in records if record.state in order]
            assert states == sorted(states)
            assert [record.t for record in records] == sorted(record.t for record in records)

    asyncio.run(scenario())


def test_a_sample_apps_image_runs_without_a_command_and_leaves_no_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(image="improved-app:v2")) as lab:
            task = await lab.running()
            assert '"version": "v2"' in await lab.get()
        assert task.pid is not None
        pid = task.pid
        await eventually(lambda: not exists(pid), "end of the replica")

    asyncio.run(scenario())


def test_the_image_digest_tells_programs_apart_and_is_the_same_for_the_same() -> None:
    platform = LocalPlatform()
    one = platform.image_digest(service(image="improved-app:v1"))
    assert one == platform.image_digest(service(image="improved-app:v1", replicas=3))
    assert one != platform.image_digest(service(image="improved-app:v2"))
    assert one != platform.image_digest(service(image="memory-leak-app"))
    assert platform.image_digest(service(SERVE)) != platform.image_digest(service("other"))


def test_the_tables_of_the_orchestrator_show_a_crash_and_its_replacement(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service()) as lab:
            first = await lab.running()
            await lab.deployment.signal_task(first.task, "SIGKILL")
            end = await lab.over(first.task)
            second = await lab.running(after=end.t)
            header, new, old = (await lab.deployment.service_ps()).splitlines()
            assert header.split()[:3] == ["ID", "NAME", "IMAGE"]
            assert new.startswith(second.task)
            assert old.startswith(first.task)
            assert "\\_ web.1" in old
            assert "non-zero exit (137)" in old
            assert "1/1" in await lab.deployment.view("service-ls")
            assert "Leader" in await lab.deployment.view("node-ls")

    asyncio.run(scenario())


def test_a_containers_table_is_docker_ps_and_not_service_ps(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(), runs_as="container") as lab:
            await lab.running()
            assert "Up" in await lab.deployment.view("docker-ps")
            with pytest.raises(PlatformError, match="docker-ps"):
                await lab.deployment.service_ps()

    asyncio.run(scenario())
