"""Acts of a timeline that could only fail are mistakes of the file; those in their order are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from breakroom.spec.drill import Drill
from breakroom.spec.loader import SpecErrors, load_drill

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        path = tmp_path / "my-drill.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def load(path: Path) -> Drill:
    return load_drill(path, pace="quick", env={})


def errors_of(path: Path) -> SpecErrors:
    with pytest.raises(SpecErrors) as caught:
        load(path)
    return caught.value


ACTS = """
service: {image: improved-app:latest, ports: ["3000"], deploy: {replicas: 3}}
contenders: {one: {runs_as: container}, many: {runs_as: service}}
timeline:
"""


@pytest.mark.parametrize(
    ("steps", "path", "says"),
    [
        ("- {at: 0s, scale: {replicas: 3}}", "timeline[0].scale", "`many` has 3 replicas by then"),
        (
            "- {at: 2s, scale: {replicas: 6}}\n- {at: 1s, scale: {replicas: 6}}",
            "timeline[0].scale",
            "`many` has 6 replicas by then",
        ),
        ("- {at: 0s, rollback: }", "timeline[0].rollback", "no release to go back to"),
        (
            '- {at: 1s, rollback: }\n- {at: 2s, update: {image: "improved-app:v2"}}',
            "timeline[0].rollback",
            "no release to go back to",
        ),
        ('- {at: 0s, update: {image: "improved-app:latest"}}', "timeline[0].update", "nothing is new"),
        ("- {at: 0s, oom: }", "timeline[0].oom", "`one` has no memory limit"),
        ("- {at: 0s, request: {path: /fail, proof_status: 500}}", "timeline[0].request", "`proof_path`"),
    ],
)
def test_an_act_that_could_only_fail_is_a_mistake(write: Write, steps: str, path: str, says: str) -> None:
    (error,) = errors_of(write(ACTS + steps)).errors
    assert (error.path, bool(error.line), bool(error.cause), bool(error.correct)) == (path, True, True, True)
    assert says in error.what


@pytest.mark.parametrize(
    "steps",
    [
        "- {at: 0s, scale: {replicas: 6}}\n- {at: 1s, scale: {replicas: 3}}",
        '- {at: 2s, rollback: }\n- {at: 1s, update: {image: "improved-app:v2"}}',
        '- {at: 0s, update: {image: "improved-app:v2"}}\n- {at: 1s, update: {image: "improved-app:latest"}}',
    ],
)
def test_acts_in_their_order_are_none(write: Write, steps: str) -> None:
    load(write(ACTS + steps))


def test_an_autoscaled_service_may_be_scaled_to_any_number(write: Write) -> None:
    rule = "many: {runs_as: service, autoscale: {capacity: 10/s}}"
    load(write(ACTS.replace("many: {runs_as: service}", rule) + "- {at: 5s, scale: {replicas: 3}}"))


def test_an_unknown_key_where_there_are_none_is_told_to_go(write: Write) -> None:
    text = ACTS + '- {at: 0s, update: {image: "improved-app:v2"}}\n- {at: 1s, rollback: {to: v1}}'
    (error,) = errors_of(write(text)).errors
    assert error.correct == "remove `to`: there are no keys here"
