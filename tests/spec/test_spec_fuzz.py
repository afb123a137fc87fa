"""Whatever a file holds: a drill, or errors. Never another exception."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from breakroom.spec.drill import Drill
from breakroom.spec.loader import BUILT_IN, SpecErrors, load_drill
from breakroom.spec.plan import plan_digest, shared_plan
from breakroom.spec.units import UnitError, parse_cpus, parse_duration, parse_rate, parse_ratio, parse_size
from breakroom.spec.yaml_reader import parse_yaml

ROOT = Path(__file__).parents[2]


def as_data(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


VALID = [as_data(BUILT_IN.text("kill"))]
VALID += [as_data(p.read_text()) for p in sorted((ROOT / "examples").glob("*.yaml"))]
VALID.append(
    as_data("""
extends: kill
service:
  command: [python3, -m, http.server, "{port}"]
  ports: ["127.0.0.1:8080:3000", {target: 1, published: 2}]
  env_file: [{path: a.env, required: false}]
  environment: [A=1, "B=${X:-2}"]
  mem_limit: 64m
  cpus: 0.5
  restart: on-failure:3
  stop_signal: SIGINT
  healthcheck: {test: [CMD, a], retries: 2, start_interval: 1s}
  deploy: {mode: replicated, update_config: {max_failure_ratio: 0.1, order: start-first}}
load: {model: open, stages: [{rate: 5/s, duration: 1s}], headers: {A: b}}
timeline: [{at: 0s, kill: {tasks: 2}}, {at: 1s, kill: {signal: TERM}}]
expect: [single.outage > 1s]
pace: {night: {probe: {rate: 1/s}}}
""")
)

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "0",
            "-1s",
            "1e400",
            "9" * 5000 + "s",
            "${",
            "$",
            "$$",
            "${A:?}",
            "a#b",
            "..",
            "/",
            "\x00",
            "٣",
            "1:2:3",
        ]
    ),
    st.just([]),
    st.just({}),
    st.just([[[]]]),
    st.just({"a": {"b": []}}),
    st.integers(min_value=10**30, max_value=10**40),
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        for key, value in node.items():
            found += [(node, key), *places(value)]
    elif isinstance(node, list):
        for index, value in enumerate(node):
            found += [(node, index), *places(value)]
    return found


def mutate(document: Any, data: st.DataObject) -> None:
    """Delete, rename, replace, or move one value."""
    spots = places(document)
    if not spots:
        return
    container, key = data.draw(st.sampled_from(spots))
    how = data.draw(st.sampled_from(["delete", "replace", "rename", "copy", "wrap"]))
    if how == "delete":
        del container[key]
    elif how == "replace":
        # A copy: `just` hands out one object, and a later change to it would be seen by the next example.
        container[key] = copy.deepcopy(data.draw(ODD))
    elif how == "wrap":
        container[key] = [container[key]]
    elif how == "copy":
        other, name = data.draw(st.sampled_from(spots))
        try:
            container[key] = copy.deepcopy(other[name])
        except (KeyError, IndexError):
            container[key] = None
    elif isinstance(container, dict):
        container[
            data.draw(
                st.text(max_size=8) | st.sampled_from(["command", "replicas", "networks", "at", "from"])
            )
        ] = container.pop(key)


def outcome(path: Path) -> Drill | SpecErrors:
    try:
        return load_drill(path, pace="quick", env={})
    except SpecErrors as caught:
        errors = caught
    assert errors.errors
    assert str(errors).encode()
    assert all(e.what for e in errors.errors)
    return errors


@given(st.data())
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_mutated_drill_is_a_drill_or_errors(tmp_path: Path, data: st.DataObject) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from(VALID)))
    for _ in range(data.draw(st.integers(1, 4))):
        mutate(document, data)
    path = tmp_path / "fuzzed.yaml"
    with path.open("w", encoding="utf-8", errors="surrogatepass") as file:
        YAML(typ="safe", pure=True).dump(document, file)
    result = outcome(path)
    if isinstance(result, Drill):
        for contender in result.contenders:
            assert contender.service.target_port > 0
            assert plan_digest(shared_plan(result, contender, 1, ""))


SOURCE = (ROOT / "tests" / "spec" / "data" / "five-mistakes.yaml").read_bytes()


@given(st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_changed_bytes_is_a_drill_or_errors(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(SOURCE)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 5))] = data.draw(
            st.binary(max_size=3)
            | st.sampled_from(
                [b"\t", b":", b"- ", b"{", b"[", b'"', b"&a ", b"*a", b"<<: ", b"!", b"|\n", b"%", b"\n---\n"]
            )
        )
    path = tmp_path / "bytes.yaml"
    path.write_bytes(bytes(content))
    outcome(path)


@given(st.text(alphabet=st.sampled_from(list("ab:-{}[]\"'|>&*!%#?, \n\t~<0.")), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_parsed_or_explained(text: str) -> None:
    from breakroom.spec.errors import Problems

    problems = Problems()
    if parse_yaml(text, "x.yaml", problems) is None:
        assert problems.noted


@pytest.mark.parametrize("parse", [parse_duration, parse_size, parse_rate, parse_ratio, parse_cpus])
@given(value=ODD)
@settings(max_examples=60)
def test_a_unit_reads_or_refuses_any_value(parse: Any, value: Any) -> None:
    try:
        parse(value)
    except (UnitError, OverflowError):
        return
