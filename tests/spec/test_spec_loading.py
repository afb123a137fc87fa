"""What a correct drill file means: extends, paces, contenders, built-in drills."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from breakroom.spec.drill import Contender, Drill, KillStep
from breakroom.spec.loader import BUILT_IN, SpecErrors, builtin_drills, load_drill

SECOND = 10**9
EXAMPLES = Path(__file__).parents[2] / "examples"
SERVICE = 'service: {image: improved-app:latest, ports: ["8080:3000"]}\n'


def load(folder: Path, text: str, pace: str = "quick", **env: str) -> Drill:
    path = folder / "My drill.yaml"
    path.write_text(text, encoding="utf-8")
    return load_drill(path, pace=pace, env=env)


def contender(drill: Drill, name: str) -> Contender:
    return next(c for c in drill.contenders if c.name == name)


@pytest.mark.parametrize("pace", ["quick", "course"])
@pytest.mark.parametrize("name", BUILT_IN.names())
def test_every_built_in_drill_loads_at_every_pace(name: str, pace: str) -> None:
    drill = load_drill(name, pace=pace, env={})
    assert (drill.name, drill.pace, drill.source) == (name, pace, "built-in")
    assert drill.timeline or (drill.load is not None and drill.load.at is not None)


def test_the_list_of_drills_has_titles_in_both_languages_and_paces() -> None:
    (kill,) = [info for info in builtin_drills() if info.name == "kill"]
    assert {"en", "ko"} <= kill.title.keys()
    assert {"en", "ko"} <= kill.description.keys()
    assert kill.paces == ("quick", "course")


def test_every_file_of_a_contender_in_kill_is_described_in_both_languages() -> None:
    for c in load_drill("kill", pace="quick", env={}).contenders:
        assert {"en", "ko"} <= c.description.keys()


def test_kill_at_the_course_pace_has_the_course_operator_and_swarms_delay() -> None:
    drill = load_drill("kill", pace="course", env={})
    operator = contender(drill, "single").operator
    assert operator is not None
    assert operator.reacts_after == 300 * SECOND
    assert contender(drill, "orchestrated").service.deploy.restart_policy.delay == 5 * SECOND
    assert drill.recovered.within > operator.reacts_after


def test_kill_keeps_a_single_replica_within_its_probes_timeout() -> None:
    """The arithmetic in kill.yaml's comments, computed from what it says."""
    drill = load_drill("kill", pace="quick", env={})
    environment = drill.contenders[0].service.environment
    capacity = int(environment["CONCURRENCY"]) / (int(environment["SERVICE_TIME_MS"]) / 1000)
    assert drill.load is not None
    for_load = capacity - drill.probe.rate
    assert for_load > 0
    assert drill.load.concurrency / for_load < drill.probe.timeout / SECOND / 2
    most = drill.load.concurrency / (int(environment["SERVICE_TIME_MS"]) / 1000)
    assert most > 3 * capacity - drill.probe.rate, "the load saturates three replicas"


@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.glob("*.yaml") if p.name != "compose.yaml"))
@pytest.mark.parametrize("pace", ["quick", "course"])
def test_every_example_loads(name: str, pace: str) -> None:
    assert load_drill(EXAMPLES / name, pace=pace, env={}).contenders


def test_a_name_comes_from_the_file_when_none_is_given(tmp_path: Path) -> None:
    assert load(tmp_path, "extends: kill\n").name == "my-drill"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeffextends: kill\nname: marked\n").name == "marked"


def test_an_extending_file_is_laid_over_its_base(tmp_path: Path) -> None:
    drill = load(tmp_path, "extends: kill\nprobe: {path: /health}\nexpect: [single.operator_acts >= 1]\n")
    base = load_drill("kill", pace="quick", env={})
    assert drill.probe.path == "/health"
    assert drill.probe.rate == base.probe.rate
    assert [e.text for e in drill.expect] == ["single.operator_acts >= 1"]
    assert drill.timeline == base.timeline


def test_a_chain_of_extends_takes_the_nearest_value(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("extends: kill\nprobe: {rate: 11/s, path: /a}\n")
    (tmp_path / "b.yaml").write_text("extends: sub/a.yaml\nprobe: {path: /b}\n")
    drill = load(tmp_path, "extends: b.yaml\n")
    assert (drill.probe.rate, drill.probe.path) == (11.0, "/b")


def test_a_service_replaces_the_whole_service_of_the_base_and_of_its_paces(tmp_path: Path) -> None:
    text = 'extends: kill\nservice: {command: "serve {port}", ports: ["9000"], deploy: {restart_policy: {delay: 2s}}}\n'
    for pace in ("quick", "course"):
        service = contender(load(tmp_path, text, pace), "orchestrated").service
        assert service.image == ""
        assert service.environment == {}
        assert service.healthcheck is None
        assert service.deploy.restart_policy.delay == 2 * SECOND


def test_contenders_overrides_of_the_base_still_apply_to_a_new_service(tmp_path: Path) -> None:
    drill = load(tmp_path, f"extends: kill\n{SERVICE}")
    restarts = {c.name: c.service.restart for c in drill.contenders}
    assert restarts == {"single": "no", "single-restart": "always", "orchestrated": "no"}


def test_the_users_replicas_are_the_orchestrated_contenders(tmp_path: Path) -> None:
    text = 'extends: kill\nservice: {image: a, ports: ["80"], deploy: {replicas: 4}}\n'
    counts = {c.name: c.service.deploy.replicas for c in load(tmp_path, text).contenders}
    assert counts == {"single": 1, "single-restart": 1, "orchestrated": 4}


def test_a_service_contender_without_a_number_of_replicas_has_three(tmp_path: Path) -> None:
    assert contender(load(tmp_path, f"extends: kill\n{SERVICE}"), "orchestrated").service.deploy.replicas == 3


def test_a_drill_without_contenders_has_those_of_kill_at_each_pace(tmp_path: Path) -> None:
    text = f"{SERVICE}timeline: [{{at: 1s, kill: {{}}}}]\n"
    drill = load(tmp_path, text)
    assert [c.name for c in drill.contenders] == ["single", "single-restart", "orchestrated"]
    assert [c.runs_as for c in drill.contenders] == ["container", "container", "service"]
    for pace, seconds in (("quick", 8), ("course", 300)):
        operator = contender(load(tmp_path, text, pace), "single").operator
        assert operator is not None
        assert operator.reacts_after == seconds * SECOND


def test_null_takes_an_inherited_contender_away(tmp_path: Path) -> None:
    text = "extends: kill\ncontenders: {single-restart: null}\n"
    for pace in ("quick", "course"):
        drill = load(tmp_path, text, pace)
        assert [c.name for c in drill.contenders] == ["single", "orchestrated"]
        assert {e.contender for e in drill.expect} == {"single", "orchestrated"}, "its conditions go with it"


def test_null_takes_the_load_away(tmp_path: Path) -> None:
    assert load(tmp_path, "extends: kill\nload: null\n").load is None


def test_a_load_of_another_model_replaces_the_inherited_one(tmp_path: Path) -> None:
    drill = load(tmp_path, "extends: kill\nload: {model: open, stages: [{rate: 60/m, duration: 1m30s}]}\n")
    assert drill.load is not None
    assert (drill.load.model, drill.load.stages[0].rate, drill.load.stages[0].duration) == (
        "open",
        1.0,
        90 * SECOND,
    )


def test_a_load_of_the_same_model_is_merged(tmp_path: Path) -> None:
    drill = load(tmp_path, "extends: kill\nload: {concurrency: 5}\n")
    assert drill.load is not None
    assert (drill.load.concurrency, drill.load.timeout) == (5, 5 * SECOND)


def test_a_pace_is_laid_over_the_document_when_chosen(tmp_path: Path) -> None:
    text = "extends: kill\nprobe: {rate: 10/s}\npace: {night: {probe: {rate: 1/s}}}\n"
    assert load(tmp_path, text).probe.rate == 10
    assert load(tmp_path, text, "night").probe.rate == 1


def test_the_contenders_of_a_file_override_key_by_key(tmp_path: Path) -> None:
    text = """extends: kill
service:
  image: a
  command: [serve, --port, "{port}"]
  ports: ["80"]
  environment: {A: "1", B: "2"}
  healthcheck: {test: ["HTTP", "/health"], interval: 3s}
contenders:
  orchestrated:
    command: other {port}
    environment: [B=3, C=4]
    healthcheck: {interval: 1s}
    mem_limit: 64m
"""
    service = contender(load(tmp_path, text), "orchestrated").service
    assert service.command == ("other", "{port}")
    assert service.environment == {"A": "1", "B": "3", "C": "4"}
    assert service.healthcheck is not None
    assert (service.healthcheck.test, service.healthcheck.interval) == (("HTTP", "/health"), SECOND)
    assert service.deploy.resources.limits.memory == 64 << 20


def test_steps_are_played_in_the_order_of_their_times(tmp_path: Path) -> None:
    text = "extends: kill\ntimeline: [{at: 5s, kill: {signal: TERM}}, {at: 0s, kill: {tasks: 2}}]\n"
    assert load(tmp_path, text).timeline == (
        KillStep(at=0, tasks=2, signal="SIGKILL"),
        KillStep(at=5 * SECOND, tasks=1, signal="SIGTERM"),
    )


def test_expectations_are_in_the_metrics_own_unit(tmp_path: Path) -> None:
    text = """extends: kill
expect:
  - orchestrated.longest_outage <= 1.5s
  - orchestrated.capacity_kept>=66%
  - single.operator_acts == 1
"""
    read = [(e.contender, e.metric, e.op, e.value) for e in load(tmp_path, text).expect]
    assert read == [
        ("orchestrated", "longest_outage", "<=", 1_500_000_000),
        ("orchestrated", "capacity_kept", ">=", 0.66),
        ("single", "operator_acts", "==", 1),
    ]


def test_an_anchors_name_may_be_used_again_without_a_warning(tmp_path: Path) -> None:
    drill = load(tmp_path, "extends: kill\nname: &a first\ntitle: &a second\ndescription: *a\n")
    assert drill.description["en"] == "second"


def test_merge_keys_and_anchors_work(tmp_path: Path) -> None:
    text = "extends: kill\nx-probe: &p {rate: 5/s, path: /a}\nprobe:\n  <<: *p\n  path: /b\n"
    probe = load(tmp_path, text).probe
    assert (probe.rate, probe.path) == (5.0, "/b")


def test_yaml_1_2_leaves_no_and_port_pairs_as_words(tmp_path: Path) -> None:
    text = "extends: kill\nservice: {image: a, ports: [22:22], restart: no}\n"
    service = load(tmp_path, text).contenders[0].service
    assert (service.ports[0].published, service.restart) == (22, "no")


def test_variables_come_from_the_process_unless_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "d.yaml"
    path.write_text('extends: kill\nservice: {image: "a:${SPEC_TEST_TAG}", ports: ["80"]}\n')
    monkeypatch.setitem(os.environ, "SPEC_TEST_TAG", "7")
    assert load_drill(path, pace="quick").contenders[0].service.image == "a:7"
    with pytest.raises(SpecErrors):
        load_drill(path, pace="quick", env={})


def test_a_built_in_name_wins_over_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kill").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_drill("kill", pace="quick", env={}).source == "built-in"


def test_a_contender_that_is_taken_away_is_gone_at_every_pace(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("extends: kill\ncontenders: {single: null, single-restart: null}\n")
    for pace in ("quick", "course"):
        drill = load_drill(path, pace=pace, env={})
        assert [contender.name for contender in drill.contenders] == ["orchestrated"]
        assert {condition.contender for condition in drill.expect} == {"orchestrated"}


def test_a_contender_can_be_taken_from_a_drill_that_names_none(tmp_path: Path) -> None:
    drill = load(tmp_path, "extends: scale\ncontenders: {single: null}\n")
    assert [contender.name for contender in drill.contenders] == ["single-restart", "orchestrated"]
    assert "single" not in {condition.contender for condition in drill.expect}


def test_a_contender_can_be_changed_in_a_drill_that_names_none(tmp_path: Path) -> None:
    drill = load(tmp_path, "extends: scale\ncontenders: {orchestrated: {deploy: {replicas: 4}}}\n")
    assert [contender.name for contender in drill.contenders] == ["single", "single-restart", "orchestrated"]
    assert drill.contenders[-1].service.deploy.replicas == 4
