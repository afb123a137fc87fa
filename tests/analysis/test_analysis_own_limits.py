"""What breakroom itself could not do is never held against the service, and each problem is told once."""

from __future__ import annotations

import msgspec
import pytest

from analysis.conftest import Kit
from breakroom.analysis.run import analyse
from breakroom.journal.records import PartStalled, Problem, TrialStarted


@pytest.mark.parametrize("code", ["ingress-fd-exhausted", "ingress-connect-failed"])
def test_a_balancer_at_its_limit_makes_the_trial_unknown(kit: Kit, code: str) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    trial.add(Problem, 10, severity="warning", code=code, params={"message": "x"})
    results = analyse(scene.journal())
    (found,) = results.trials
    assert [why.code for why in found.reasons_unknown] == ["unknown.ingress-limited"]
    assert results.verdict == "unknown"


def test_an_orchestrator_at_its_limit_makes_the_trial_unknown(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    trial.add(Problem, 10, severity="error", code="engine-limited", params={"message": "no descriptor"})
    (found,) = analyse(scene.journal()).trials
    (why,) = found.reasons_unknown
    assert (why.code, why.params) == ("unknown.engine-limited", {"message": "no descriptor"})


@pytest.mark.parametrize("part", ["ingress", "engine", "main"])
def test_a_part_that_stood_still_while_users_were_watched_is_named(kit: Kit, part: str) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    trial.add(PartStalled, 900, part=part, since=kit.at(100), still_ns=700_000_000, longest_ns=600_000_000)
    results = analyse(scene.journal())
    (why,) = results.trials[0].reasons_unknown
    assert why.code == "unknown.part-stood-still"
    assert why.params == {"part": part, "still_s": 0.6, "limit_s": 0.5}
    assert results.verdict == "unknown"


def test_many_short_standstills_are_added_up(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    for second in range(3):
        values = {
            "part": "ingress",
            "since": kit.at(1000 * second),
            "still_ns": 900_000_000,
            "longest_ns": 90,
        }
        trial.add(PartStalled, 1000 * (second + 1), **values)
    (why,) = analyse(scene.journal()).trials[0].reasons_unknown
    assert why.code == "unknown.part-starved"
    assert 0.2 < float(str(why.params["share"])) < 1


@pytest.mark.parametrize(("since", "t"), [(-90_000, -80_000), (80_000, 90_000)])
def test_a_standstill_while_nobody_was_watched_is_nobody_s_concern(kit: Kit, since: float, t: float) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    trial.add(PartStalled, t, part="engine", since=kit.at(since), still_ns=10**10, longest_ns=10**10)
    assert analyse(scene.journal()).trials[0].reasons_unknown == ()


def test_a_short_standstill_is_tolerated(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    trial.add(
        PartStalled, 1100, part="ingress", since=kit.at(100), still_ns=250_000_000, longest_ns=250_000_000
    )
    assert analyse(scene.journal()).trials[0].reasons_unknown == ()


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
