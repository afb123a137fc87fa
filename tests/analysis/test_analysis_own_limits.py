"""What breakroom itself could not do is never held against the service, and each problem is told once."""

from __future__ import annotations

import msgspec
import pytest

from analysis.conftest import Kit
from breakroom.analysis.run import analyse
from breakroom.journal.records import Problem, TrialStarted


@pytest.mark.parametrize("code", ["ingress-fd-exhausted", "ingress-connect-failed"])
def test_a_balancer_at_its_limit_makes_the_trial_unknown(kit: Kit, code: str) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    trial.add(Problem, 10, severity="warning", code=code, params={"message": "x"})
    results = analyse(scene.journal())
    (found,) = results.trials
    assert [why.code for why in found.reasons_unknown] == ["unknown.ingress-limited"]
    assert results.verdict == "unknown"


def test_a_problem_said_again_and_again_is_told_once(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    for at in (10, 20, 30):
        trial.add(Problem, at, severity="note", code="service-wrote", params={"tail": "x"})
    assert [problem.code for problem in analyse(scene.journal()).problems] == ["service-wrote"]


@pytest.mark.parametrize("ingress", ["docker", "ipvs"])
def test_connections_that_nobody_counted_are_not_told_as_none(kit: Kit, ingress: str) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    scene.records = [
        msgspec.structs.replace(record, capabilities={"ingress": ingress})
        if isinstance(record, TrialStarted)
        else record
        for record in scene.records
    ]
    (found,) = analyse(scene.journal()).trials
    assert (found.cut.open_on_target, found.cut.refused_by_target, found.cut.within) == (None, None, None)
