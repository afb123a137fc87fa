from __future__ import annotations

import pytest

from breakroom.engine import views
from breakroom.engine.core import events as ev
from breakroom.engine.core.model import Availability
from breakroom.spec.service import SECOND, Deploy, Healthcheck, Port, RestartPolicy, ServiceSpec
from engine_core.simulation import Behaviour, Simulation


def web(image: str = "memory-leak-app:latest", replicas: int = 3) -> ServiceSpec:
    return ServiceSpec(
        name="web",
        image=image,
        ports=(Port(target=3000, published=8080),),
        deploy=Deploy(replicas=replicas, restart_policy=RestartPolicy(delay=0)),
    )


def deployed() -> Simulation:
    sim = Simulation(nodes=2)
    sim.do(ev.CreateService(web()))
    return sim


def test_service_ls_counts_running_tasks_of_all() -> None:
    sim = deployed()
    sim.behaviour.start_time = SECOND
    sim.crash(sim.running("web")[0].id)
    [row] = views.service_ls(sim.orchestrator)
    assert (row.running, row.replicas) == (2, 3)
    table = views.as_table([row], views.ServiceRow)
    assert table.splitlines()[0].split() == ["ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS"]
    assert table.splitlines()[1].split() == [
        row.id,
        "web",
        "replicated",
        "2/3",
        "memory-leak-app:latest",
        "*:8080->3000/tcp",
    ]


def test_service_ps_shows_older_tasks_of_a_slot_under_the_newest() -> None:
    sim = deployed()
    sim.run(8 * SECOND)
    sim.crash(sim.running("web")[1].id)
    sim.run(8 * SECOND)
    rows = views.service_ps(sim.orchestrator, "web", sim.now)
    assert [(r.name, r.older) for r in rows] == [
        ("web.1", False),
        ("web.2", False),
        ("web.2", True),
        ("web.3", False),
    ]
    lines = views.as_table(rows, views.TaskRow).splitlines()
    assert "DESIRED STATE   CURRENT STATE" in lines[0]
    assert "Running         Running 16 seconds ago" in lines[1]
    assert "Running         Running 8 seconds ago" in lines[2]
    assert " \\_ web.2" in lines[3]
    assert 'Shutdown        Failed 8 seconds ago     "task: non-zero exit (137)"' in lines[3]


def test_a_long_error_is_cut_in_the_table_and_whole_in_the_data() -> None:
    behaviour = Behaviour(stop_code=143, probe_time=0)
    sim = Simulation(behaviour)
    check = Healthcheck(test=("HTTP", "/"), interval=SECOND, retries=1)
    sim.do(ev.CreateService(ServiceSpec(name="web", healthcheck=check, deploy=Deploy(replicas=1))))
    sim.run(SECOND)
    behaviour.healthy = lambda _task, _now: False
    sim.run(2 * SECOND)
    row = views.service_ps(sim.orchestrator, "web", sim.now)[1]
    assert row.error == "task: non-zero exit (143): dockerexec: unhealthy container"
    assert row.cells()[6] == '"task: non-zero exit (143): d…'


def test_a_view_of_an_unknown_service_says_so() -> None:
    with pytest.raises(KeyError):
        views.service_ps(deployed().orchestrator, "nobody", 0)


def test_node_ls_shows_status_and_availability() -> None:
    sim = deployed()
    sim.do(ev.SetAvailability("n1", Availability.DRAIN))
    sim.do(ev.NodeDown("n2"))
    table = views.as_table(views.node_ls(sim.orchestrator, engine_version="1.2"), views.NodeRow).splitlines()
    assert table[0].split("   ")[0].strip() == "ID"
    assert table[1].split() == ["n1", "node-1", "Ready", "Drain", "Leader", "1.2"]
    assert table[2].split() == ["n2", "node-2", "Down", "Active", "1.2"]


def test_progress_counts_up_to_date_running_slots() -> None:
    sim = deployed()
    assert views.progress(sim.orchestrator, "web").lines[0] == "overall progress: 3 out of 3 tasks"
    assert views.progress(sim.orchestrator, "web").lines[-1].endswith(" converged")
    sim.do(ev.UpdateService(web("app:2")))
    sim.run(3 * SECOND)
    now = views.progress(sim.orchestrator, "web")
    assert (now.done, now.total, now.converged) == (1, 3, False)
    assert now.lines[0] == "overall progress: 1 out of 3 tasks"
    sim.do(ev.RollbackService("web"))
    assert (
        views.progress(sim.orchestrator, "web").lines[0].startswith("overall progress: rolling back update: ")
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3_600, "About an hour"),
        (3 * 3_600, "3 hours"),
        (3 * 86_400, "3 days"),
        (21 * 86_400, "3 weeks"),
        (90 * 86_400, "3 months"),
        (900 * 86_400, "2 years"),
    ],
)
def test_a_time_is_told_as_docker_tells_it(seconds: float, text: str) -> None:
    assert views.human_duration(round(seconds * SECOND)) == text


def test_docker_ps_tells_a_containers_life() -> None:
    sim = Simulation(Behaviour(probe_time=0))
    check = Healthcheck(test=("HTTP", "/"), interval=2 * SECOND)
    spec = ServiceSpec(
        name="vulnerable-app",
        image="memory-leak-app:latest",
        command=("node", "app.js"),
        ports=(Port(target=3000, published=8080),),
        restart="always",
        healthcheck=check,
    )

    def row() -> views.ContainerRow:
        [only] = views.docker_ps(sim.orchestrator, sim.now)
        return only

    sim.do(ev.CreateContainer(spec))
    sim.run(SECOND)
    assert row().status == "Up 1 second (health: starting)"
    assert row().ports == "0.0.0.0:8080->3000/tcp"
    sim.run(2 * SECOND)
    assert row().status == "Up 3 seconds (healthy)"
    sim.crash(sim.tasks("vulnerable-app")[-1].id)
    assert row().status == "Restarting (137) Less than a second ago"
    sim.do(ev.StopContainer("vulnerable-app"))
    sim.run(5 * SECOND)
    assert row().status == "Exited (137) 5 seconds ago"
    assert row().ports == ""
    header = views.as_table([row()], views.ContainerRow).splitlines()[0]
    assert header.startswith("CONTAINER ID   IMAGE ")


def test_a_view_without_rows_still_has_its_headers() -> None:
    assert views.as_table([], views.ServiceRow) == "ID   NAME   MODE   REPLICAS   IMAGE   PORTS\n"
