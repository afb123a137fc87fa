"""Verdicts: unknown is never rounded; the course's claims; every reason is in the table."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import breakroom.analysis
import breakroom.autoscale
from breakroom.analysis.claims import CLAIM_CODES, COURSE_PACE, claims
from breakroom.analysis.conditions import holds, judge_values
from breakroom.analysis.contenders import Repeats
from breakroom.analysis.facts import trial_facts
from breakroom.analysis.latency import latency
from breakroom.analysis.reasons import CODES, reason
from breakroom.analysis.results import CapacityKept, Claim, Reason
from breakroom.analysis.run import analyse

if TYPE_CHECKING:
    from analysis.conftest import Kit, Scene

OPS = ("<", "<=", ">", ">=", "==", "!=")


@pytest.mark.parametrize(
    ("values", "op", "limit", "verdict"),
    [
        ([0.5], "<=", 1.0, "met"),
        ([1.5], "<=", 1.0, "not met"),
        ([None], "<=", 1.0, "unknown"),
        ([], "<=", 1.0, "unknown"),
        ([0.5, None], "<=", 1.0, "unknown"),
        ([0.5, 0.6, None], "<=", 1.0, "met"),
        ([0.5, 1.6, None], "<=", 1.0, "unknown"),
        ([1.5, 1.6, None], "<=", 1.0, "not met"),
        ([math.inf], "<=", 1.0, "not met"),
        ([math.inf], ">", 1.0, "met"),
        ([0.0, 0.0, None], "==", 0.0, "met"),
        ([0.0, None], "==", 0.0, "unknown"),
        ([0.0, 0.0, 1.0, None], "!=", 0.0, "unknown"),
        ([2.0, 2.0, 3.0, None], "!=", 0.0, "met"),
    ],
)
def test_a_verdict_holds_whatever_the_unknown_trials_were(
    values: list[float | None], op: str, limit: float, verdict: str
) -> None:
    assert judge_values(values, op, limit) == verdict


@pytest.mark.parametrize(
    ("value", "own", "verdict"),
    [(0.30, 0.0, "not met"), (0.30, 0.05, "not met"), (0.30, 0.15, "unknown"), (0.15, 0.15, "met")],
)
def test_a_limit_within_the_generator_s_own_lag_is_neither_met_nor_not(
    value: float, own: float, verdict: str
) -> None:
    assert judge_values([value], "<", 0.2, [own]) == verdict


def test_the_generator_s_own_part_of_a_percentile_is_what_its_lag_added() -> None:
    total = np.array([10_000] * 98 + [310_000] * 2, np.uint32)
    late = np.array([100] * 98 + [300_000] * 2, np.uint32)
    found = latency("probe", "during", "ok", total, late)
    assert found.p99_s == 0.31
    assert found.own_p99_s == pytest.approx(0.3)
    assert found.own_p50_s == pytest.approx(0.0001)
    assert latency("probe", "during", "ok", total).own_p99_s == 0


@given(
    values=st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=5),
    op=st.sampled_from(OPS),
    limit=st.integers(0, 3),
)
def test_no_value_of_an_unknown_trial_can_change_a_verdict(
    values: list[int | None], op: str, limit: int
) -> None:
    verdict = judge_values(values, op, limit)
    fills = [[value] if value is not None else [0, 1, 2, 3, 50] for value in values]
    possible = {holds(median(filled), op, limit) for filled in itertools.product(*fills)}
    if verdict != "unknown":
        assert possible == {verdict == "met"}


def median(values: Sequence[float]) -> float:
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def claims_of(scene: Scene) -> dict[str, Claim]:
    results = analyse(scene.journal())
    assert [claim.code for claim in results.claims] == list(CLAIM_CODES)
    return {claim.code: claim for claim in results.claims}


def test_manual_recovery_is_judged_at_the_courses_pace_and_called_modelled(kit: Kit) -> None:
    scene = kit.scene()
    scene.pace = COURSE_PACE
    kit.single(scene, act=300_000.0)
    claim = claims_of(scene)["manual-recovery-5-to-10-min"]
    assert (claim.verdict, claim.modelled, claim.reason.code) == ("met", True, "claim.modelled-time")
    assert claim.value == pytest.approx(300.207)


def test_manual_recovery_at_another_pace_is_unknown_because_it_is_scaled(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene)
    claim = claims_of(scene)["manual-recovery-5-to-10-min"]
    assert (claim.verdict, claim.reason.code) == ("unknown", "claim.scaled")


def test_a_real_persons_time_is_judged_at_any_pace(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene, by="person")
    claim = claims_of(scene)["manual-recovery-5-to-10-min"]
    assert (claim.verdict, claim.modelled, claim.reason.code) == ("not met", False, "claim.measured-time")


def test_claims_about_contenders_that_did_not_run_are_unknown(kit: Kit) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    found = claims_of(scene)
    assert found["single-out-while-failed"].reason.code == "claim.no-contender"
    assert found["operator-work-80-less"].verdict == "unknown"
    assert found["automatic-within-30-s"].verdict == "met"
    assert found["automatic-within-30-s"].value == pytest.approx(0.3)


def test_a_single_container_that_kept_serving_refutes_the_claim(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.single(scene)
    path = scene.directory / "samples/kill/single/1/probe-0.bin"
    data = bytearray(path.read_bytes())
    for number in range(401, 600):  # half of the outage's probes: make them succeed
        data[number * 32 + 30] = 0
    path.write_bytes(data)
    assert trial.contender == "single"
    claim = claims_of(scene)["single-out-while-failed"]
    assert claim.verdict == "not met"
    assert claim.value == pytest.approx(1.22 / 3.207, abs=0.02)


def test_operators_work_falls_when_nobody_had_to_act(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene)
    kit.orchestrated(scene)
    claim = claims_of(scene)["operator-work-80-less"]
    assert (claim.verdict, claim.value, claim.modelled) == ("met", 1.0, True)
    assert claim.reason.params == {"single": 1.0, "orchestrated": 0.0, "saved": 1.0}


def test_a_reason_outside_the_table_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="the table has"):
        reason("lost.nothing", s=1.0)
    with pytest.raises(ValueError, match="the table has"):
        reason("no.such-code")
    assert reason("unknown.not-sent", stream="load", count=2) == Reason(
        code="unknown.not-sent", params={"stream": "load", "count": 2}
    )


def test_every_code_of_the_table_is_used_and_none_is_used_outside_it() -> None:
    rooms = (*breakroom.analysis.__path__, *breakroom.autoscale.__path__)
    files = [path for room in rooms for path in Path(room).glob("*.py") if path.name != "reasons.py"]
    source = "".join(path.read_text() for path in files)
    prefixes = "unknown|lost|capacity|scaling|mark|condition|verdict|claim|problem"
    prefixes += "|act|update|scale|impairment|leak|advice"
    written = set(re.findall(rf'"((?:{prefixes})\.[a-z-]+)"', source))
    assert written <= set(CODES)
    # These are put together from a prefix and the name of a part or phase.
    parts = set(re.findall(r'"([a-z]+(?:-[a-z]+)*|[a-z]+(?:_[a-z]+)+)"', source))
    composed = {
        code
        for code in set(CODES) - written
        if code.split(".")[0] in {"lost", "capacity", "mark"}
        and {code.split(".")[1], code.split(".")[1].replace("-", "_")} & parts
    }
    assert written | composed == set(CODES)


@pytest.mark.parametrize(
    ("kept", "verdict", "code"),
    [
        (0.667, "met", "claim.measured"),
        (0.66, "met", "claim.measured"),
        (0.65, "unknown", "claim.within-resolution"),
        (0.63, "not met", "claim.measured"),
    ],
)
def test_capacity_kept_below_the_claims_by_less_than_can_be_told_is_unknown(
    kit: Kit, kept: float, verdict: str, code: str
) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    journal = scene.journal()
    facts = trial_facts([record for record in journal.records if record.trial])
    assert facts is not None
    capacity = CapacityKept(
        before_per_s=360.0,
        during_per_s=360 * kept,
        after_per_s=360.0,
        kept=kept,
        lowest=kept,
        saturated=True,
        resolution=0.02,
    )
    (trial,) = analyse(journal).trials
    repeats = Repeats(
        name="orchestrated",
        facts=facts,
        trials=(msgspec.structs.replace(trial, capacity=capacity),),
        planned=1,
        seed=1,
    )
    found = {claim.code: claim for claim in claims([repeats], "quick")}["orchestrated-keeps-66"]
    assert (found.verdict, found.reason.code) == (verdict, code)


def test_an_outage_as_short_as_the_resolution_proves_nothing_about_a_container_alone(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene)
    journal = scene.journal()
    facts = trial_facts([record for record in journal.records if record.trial])
    assert facts is not None
    (trial,) = analyse(journal).trials
    verdicts = {}
    for recovery, outage in ((3.2, 3.195), (3.2, 3.0), (0.015, 0.01)):
        gap = msgspec.structs.replace(trial.outages[0], start_at_s=0.0, end_at_s=outage, duration_s=outage)
        changed = msgspec.structs.replace(trial, outages=(gap,), recovery_time_s=recovery, resolution_s=0.01)
        repeats = Repeats(name="single", facts=facts, trials=(changed,), planned=1, seed=1)
        claim = {claim.code: claim for claim in claims([repeats], "quick")}["single-out-while-failed"]
        assert claim.value == pytest.approx(outage / recovery)
        verdicts[outage] = claim.verdict
    assert verdicts == {3.195: "met", 3.0: "not met", 0.01: "unknown"}
