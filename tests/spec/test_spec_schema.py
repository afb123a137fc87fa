"""The published JSON Schema says what the loader does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from breakroom.spec import compose_keys
from breakroom.spec.compose_shapes import SERVICE_FIELDS
from breakroom.spec.drill import METRICS, LoadSpec, OperatorModel, ProbeSpec, Recovered, SteadyState
from breakroom.spec.drill_shapes import DRILL
from breakroom.spec.loader import BUILT_IN, SpecErrors, load_drill
from breakroom.spec.schema import drill_schema

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(p for p in (ROOT / "examples").glob("*.yaml") if p.name != "compose.yaml")
WRONG = {
    "unknown key": "prob: {rate: 50/s}",
    "unknown service key": 'service: {image: a, ports: ["80"], imag: b}',
    "refused Compose key": 'service: {image: a, ports: ["80"], volumes: [a]}',
    "duration without unit": "probe: {timeout: 5}",
    "duration of zero": "probe: {timeout: 0s}",
    "rate": "probe: {rate: fast}",
    "status": "probe: {expect_status: 20}",
    "unknown model": "load: {model: both}",
    "unknown action": "timeline: [{at: 0s, crash: {}}]",
    "no action": "timeline: [{at: 0s}]",
    "no time": "timeline: [{kill: {}}]",
    "signal": "timeline: [{at: 0s, kill: {signal: SIGKIL}}]",
    "metric": "expect: [single.outages <= 1s]",
    "comparison": "expect: [single.outage = 1s]",
    "udp": 'service: {image: a, ports: ["53:53/udp"]}',
    "range": 'service: {image: a, ports: ["80-90"]}',
    "test": 'service: {image: a, ports: ["80"], healthcheck: {test: [curl, x]}}',
    "retries": 'service: {image: a, ports: ["80"], healthcheck: {test: x, retries: 0}}',
    "restart": 'service: {image: a, ports: ["80"], restart: sometimes}',
    "restart of a boolean": 'service: {image: a, ports: ["80"], restart: false}',
    "replicas": 'service: {image: a, ports: ["80"], deploy: {replicas: -1}}',
    "ratio": "steady_state: {availability: 120}",
    "contender's kind": "contenders: {single: {runs_as: pod}}",
    "autoscale's metric": "contenders: {orchestrated: {autoscale: {metric: memory}}}",
    "autoscale's least": "contenders: {orchestrated: {autoscale: {capacity: 9/s, min: 0}}}",
    "contender's name": "contenders: {My Own: {runs_as: service}}",
    "reference without service": "service: compose.yaml",
    "key in a pace": "pace: {quick: {extends: kill}}",
    "mistake in a pace": "pace: {quick: {probe: {rate: fast}}}",
    "title": "title: [a]",
    "list for a mapping": "probe: [a]",
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return drill_schema()


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_the_schema_is_a_valid_schema_of_draft_2020_12(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("name", BUILT_IN.names())
def test_every_built_in_drill_validates(name: str, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(parsed(BUILT_IN.text(name)))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_every_example_validates(path: Path, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(parsed(path.read_text()))


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_fails_both_the_schema_and_the_loader(
    case: str, schema: dict[str, Any], tmp_path: Path
) -> None:
    text = f"extends: kill\n{WRONG[case]}\n"
    assert not jsonschema.Draft202012Validator(schema).is_valid(parsed(text))
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(SpecErrors):
        load_drill(path, pace="quick", env={})


def test_variables_may_stand_in_services_only(schema: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(
        parsed('service: {image: a, ports: ["${P}:80"], stop_grace_period: "${G:-5s}"}')
    )
    assert not validator.is_valid(parsed('probe: {timeout: "${T}"}'))


def test_every_key_is_described(schema: dict[str, Any]) -> None:
    def check(part: Any, where: str) -> None:
        if isinstance(part, list):
            for item in part:
                check(item, where)
        elif isinstance(part, dict):
            for key, item in part.get("properties", {}).items():
                target = schema["$defs"][item["$ref"].rsplit("/", 1)[-1]] if "$ref" in item else item
                # A refused key that null takes away needs no description.
                assert target.get("description") or target == {"type": "null"} or "anyOf" in target, (
                    f"{where}.{key}"
                )
            for key, item in part.items():
                check(item, f"{where}.{key}")

    check(schema, "")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("probe", ProbeSpec),
        ("load", LoadSpec),
        ("steady_state", SteadyState),
        ("recovered", Recovered),
    ],
)
def test_every_field_of_the_contract_can_be_written_in_a_file(key: str, kind: type) -> None:
    fields: Any = DRILL.fields[key].shape
    assert set(fields.fields) == set(kind.__dataclass_fields__)  # type: ignore[attr-defined]  # each is a dataclass


def test_the_operators_fields_can_be_written_in_a_file(schema: dict[str, Any]) -> None:
    text = json.dumps(schema)
    assert all(f'"{name}"' in text for name in OperatorModel.__dataclass_fields__)


def test_every_metric_is_known_to_the_schema(schema: dict[str, Any]) -> None:
    assert all(name in json.dumps(schema) for name in METRICS)


def test_no_compose_key_is_in_two_tables() -> None:
    used, accepted, refused = (
        set(SERVICE_FIELDS),
        set(compose_keys.ACCEPTED_SERVICE),
        set(compose_keys.REFUSED_SERVICE),
    )
    assert not used & refused
    assert not accepted & refused
    assert used & accepted == {"container_name"}
