"""Random lives of one plain container: commands and ends at any moment, with `simulation.Checker` looking on."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from breakroom.engine.core import events as ev
from breakroom.engine.core.model import NodeStatus, Task
from breakroom.engine.core.orchestrator import IllegalEvent
from breakroom.spec.service import SECOND, Healthcheck, Port, ServiceSpec
from engine_core.simulation import Behaviour, Simulation, ms

TIMES = st.sampled_from([0, ms(1), ms(200), SECOND, 5 * SECOND, 20 * SECOND])
RUN = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

specs = st.builds(
    ServiceSpec,
    name=st.just("app"),
    image=st.sampled_from(["app:1", "app:2", "app:3"]),
    ports=st.just((Port(target=80),)),
    restart=st.sampled_from(["no", "always", "unless-stopped", "on-failure", "on-failure:1"]),
    healthcheck=st.none() | st.builds(Healthcheck, test=st.just(("HTTP", "/")), interval=st.just(SECOND)),
    stop_grace_period=TIMES,
)


class Chaos:
    """Does random things to a container."""

    def __init__(self, draw: st.DataObject) -> None:
        self.draw = draw
        self.rng = random.Random(draw.draw(st.integers(0, 10**6), "seed"))
        self.behaviour = Behaviour(
            prepare_time=draw.draw(TIMES, "prepare"),
            start_time=draw.draw(TIMES, "start"),
            stop_time=draw.draw(TIMES, "stop"),
            answers_nested=draw.draw(st.booleans(), "nested"),
            dies_at_once=draw.draw(st.booleans(), "dies at once"),
        )
        self.sim = Simulation(self.behaviour)
        self.sim.watchers.append(self.watch)
        self.versions: dict[int, ServiceSpec] = {}
        self.actions: list[Callable[[], None]] = [
            self.replace, self.replace, self.restart, self.start, self.stop, self.kill, self.crash, self.crash,
            self.wait, self.wait, self.wait, self.node, self.flaky,
        ]  # fmt: skip

    def play(self, steps: int) -> None:
        self.sim.do(ev.CreateContainer(self.draw.draw(specs, "spec")))
        for _ in range(steps):
            action = self.actions[self.draw.draw(st.integers(0, len(self.actions) - 1))]
            note(f"{self.sim.now / 1e9:.3f} {action.__name__}")
            action()

    def watch(self) -> None:
        """A version is one spec for ever, runs never go back to an older one, and there is no gap between them."""
        tasks = self.sim.tasks("app")
        for task in tasks:
            assert self.versions.setdefault(task.spec_version, task.spec) == task.spec
        numbers = [task.spec_version for task in tasks]
        assert numbers == sorted(numbers)
        assert sorted(self.versions) == list(range(1, len(self.versions) + 1))
        container = self.sim.orchestrator.containers.get("app")
        if container is not None and container.state in {"running", "restarting", "created"}:
            assert container.task in self.sim.orchestrator.tasks

    def attempt(self, event: ev.Event) -> None:
        before = dict(self.sim.orchestrator.tasks), self.sim.orchestrator.containers
        deadline = self.sim.orchestrator.next_deadline()
        try:
            self.sim.do(event)
        except IllegalEvent:
            self.sim.reset_after_error()
            assert (dict(self.sim.orchestrator.tasks), self.sim.orchestrator.containers) == before
            assert self.sim.orchestrator.next_deadline() == deadline

    def replace(self) -> None:
        self.attempt(ev.ReplaceContainer(self.draw.draw(specs, "new spec")))

    def restart(self) -> None:
        self.attempt(ev.RestartContainer("app"))

    def start(self) -> None:
        self.attempt(ev.StartContainer("app"))

    def stop(self) -> None:
        self.attempt(ev.StopContainer("app"))

    def kill(self) -> None:
        self.attempt(ev.KillContainer("app", self.rng.choice(["SIGKILL", "SIGTERM"])))

    def crash(self) -> None:
        victims = sorted(self.sim.processes)
        if victims:
            self.sim.crash(self.rng.choice(victims), code=self.rng.choice([0, 1, 137]), signal=None)

    def wait(self) -> None:
        self.sim.run(self.draw.draw(st.sampled_from([ms(1), ms(150), 2 * SECOND, 7 * SECOND, 30 * SECOND])))

    def node(self) -> None:
        down = self.sim.orchestrator.nodes["n1"].status is NodeStatus.DOWN
        self.attempt(ev.NodeUp("n1") if down else ev.NodeDown("n1"))

    def flaky(self) -> None:
        """From now on programs fail in some way, until the next call."""
        rng, share = self.rng, self.draw.draw(st.sampled_from([0.0, 0.5, 1.0]))
        self.behaviour.rejects = lambda _task: rng.random() < share / 3
        self.behaviour.start_fails = lambda _task: rng.random() < share / 3
        self.behaviour.crashes_after = lambda _task: ms(700) if rng.random() < share / 2 else None
        self.behaviour.ignores_stop = rng.random() < share

    def calm(self) -> None:
        """Faults stop: programs work, the node is back."""
        fresh = Behaviour()
        for name in ("rejects", "start_fails", "crashes_after", "ignores_stop"):
            setattr(self.behaviour, name, getattr(fresh, name))
        if self.sim.orchestrator.nodes["n1"].status is NodeStatus.DOWN:
            self.sim.do(ev.NodeUp("n1"))


def _only_run(sim: Simulation) -> Task:
    """The task of the only process, which is the container's own."""
    (process,) = sim.processes
    assert sim.orchestrator.containers["app"].task == process
    return sim.orchestrator.tasks[process]


@RUN
@given(st.data())
def test_a_replacement_ends_in_one_run_of_the_newest_spec_whatever_was_before(draw: st.DataObject) -> None:
    chaos = Chaos(draw)
    chaos.play(draw.draw(st.integers(0, 25), "steps"))
    chaos.calm()
    sim = chaos.sim
    known = len(chaos.versions)
    spec = ServiceSpec(name="app", image="last", ports=(Port(target=80),))
    sim.do(ev.ReplaceContainer(spec))
    sim.run(300 * SECOND)
    task = _only_run(sim)
    assert (task.spec, task.in_rotation) == (spec, True)
    assert task.spec_version == len(chaos.versions) == known + 1


@RUN
@given(st.data())
def test_a_restart_ends_in_one_running_container_whatever_was_before(draw: st.DataObject) -> None:
    chaos = Chaos(draw)
    chaos.play(draw.draw(st.integers(0, 25), "steps"))
    chaos.calm()
    sim = chaos.sim
    sim.do(ev.RestartContainer("app"))
    sim.run_until(lambda: sim.orchestrator.containers["app"].state == "running", limit=300 * SECOND)
    assert sim.orchestrator.tasks[sim.orchestrator.containers["app"].task].in_rotation


@RUN
@given(st.data())
def test_a_stop_ends_in_a_container_that_stays_down_whatever_was_before(draw: st.DataObject) -> None:
    chaos = Chaos(draw)
    chaos.play(draw.draw(st.integers(0, 25), "steps"))
    chaos.calm()
    sim = chaos.sim
    sim.do(ev.StopContainer("app"))
    sim.run(300 * SECOND)
    container = sim.orchestrator.containers["app"]
    assert (container.state, container.starts_again) == ("exited", False)
    assert not sim.rotation
    assert sim.orchestrator.next_deadline() is None
