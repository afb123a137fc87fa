from __future__ import annotations

from pathlib import Path

import pytest

from breakroom.engine.core import events as ev
from breakroom.engine.core.errors import CoreBug
from breakroom.engine.core.ids import IdSource
from breakroom.engine.core.model import TaskState
from breakroom.engine.core.store import Store
from breakroom.engine.core.timers import Timers
from breakroom.engine.core.transitions import TRANSITIONS, Cause, next_state, render_markdown, render_mermaid
from breakroom.spec.service import Deploy, ServiceSpec
from engine_core.simulation import Simulation

DOCS = Path(__file__).parents[2] / "docs" / "task-states.md"


def test_the_documented_table_is_the_present_one() -> None:
    assert DOCS.read_text(encoding="utf-8") == render_markdown()


def test_every_step_goes_forward() -> None:
    for rule in TRANSITIONS:
        assert all(source < rule.target for source in rule.sources), rule


def test_no_step_leaves_a_terminal_state() -> None:
    assert not [rule for rule in TRANSITIONS for source in rule.sources if source.terminal]


def test_every_state_but_remove_can_be_reached_and_every_live_one_can_end() -> None:
    reached = {TaskState.NEW} | {rule.target for rule in TRANSITIONS}
    assert set(TaskState) - reached == {TaskState.REMOVE}
    for state in TaskState:
        if not state.terminal:
            assert any(rule.target.terminal for rule in TRANSITIONS if state in rule.sources), state


def test_a_state_and_a_cause_lead_to_one_state_alone() -> None:
    pairs = [(source, rule.cause) for rule in TRANSITIONS for source in rule.sources]
    assert len(pairs) == len(set(pairs))
    assert next_state(TaskState.COMPLETE, Cause.START) is None


def test_the_diagram_draws_every_step_of_the_table() -> None:
    drawn = render_mermaid()
    for rule in TRANSITIONS:
        for source in rule.sources:
            assert f"    {source.word} --> {rule.target.word}: " in drawn
        assert rule.cause.value in drawn


def test_a_step_that_the_table_does_not_have_is_a_bug_of_the_core_told_with_the_history() -> None:
    store = Store()
    sim = Simulation()
    sim.do(ev.CreateService(ServiceSpec(name="web", deploy=Deploy(replicas=1))))
    [task] = sim.tasks("web")
    store.nodes = sim.orchestrator._store.nodes
    store.put(task)
    with pytest.raises(CoreBug, match=r"no transition from running by PLACED.*history: new at"):
        store.advance(task, Cause.PLACED)


def test_a_task_value_that_is_no_longer_current_is_not_stored() -> None:
    sim = Simulation()
    sim.do(ev.CreateService(ServiceSpec(name="web", deploy=Deploy(replicas=1))))
    [task] = sim.tasks("web")
    store = sim.orchestrator._store
    store.change(task, failing_streak=1)
    with pytest.raises(CoreBug, match="no longer current"):
        store.change(task, failing_streak=2)


def test_ids_are_unique_short_and_know_their_own() -> None:
    source = IdSource()
    ids = [source.take() for _ in range(5_000)]
    assert len(set(ids)) == 5_000
    assert {len(text) for text in ids} == {12}
    assert all(source.issued(text) for text in ids)
    other = IdSource()
    assert not other.issued(ids[0])
    assert not source.issued("web")
    assert not source.issued(ids[0].upper())


def test_timers_fall_due_in_order_of_time_then_of_setting() -> None:
    timers = Timers()
    for name, at in (("late", 9), ("b", 5), ("a", 5), ("moved", 1)):
        timers.set((name,), at)
    timers.set(("moved",), 7)
    timers.cancel(("late",))
    assert timers.next() == 5
    order = []
    while (key := timers.pop_due(8)) is not None:
        order.append(key[0])
    assert order == ["b", "a", "moved"]
    assert timers.next() is None


def test_a_timer_moved_again_and_again_does_not_pile_up() -> None:
    timers = Timers()
    for at in range(100_000):
        timers.set(("probe",), at)
    assert len(timers) == 1
    assert len(timers._heap) < 200
    assert timers.next() == 99_999
