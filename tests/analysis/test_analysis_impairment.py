"""A bad link against its prediction, and the prediction against the ingress's own model of a link: two witnesses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.conftest import Sample, Scene, TrialScene, at, observed, probes, results_of
from breakroom.analysis.prediction import LinkModel, Predicted, predict
from breakroom.analysis.results import ImpairmentFinding
from breakroom.ingress.link import Link, LinkSpec
from breakroom.journal.records import ActionChanged
from breakroom.journal.samples import Outcome

MS = 1_000_000
QUANTILES = (0.5, 0.9, 0.99)


def _model(**values: object) -> LinkModel:
    base: dict[str, object] = {
        "delay_s": 0.0,
        "jitter_s": 0.0,
        "loss": 0.0,
        "partition": False,
        "both_ways": True,
        "share": 1.0,
        "timeout_s": 60.0,
    }
    return LinkModel(**{**base, **values})  # type: ignore[arg-type]


def _predict(model: LinkModel, count: int = 1_000) -> Predicted:
    found = predict(model, np.full(10, 5_000, np.uint32), QUANTILES, count)
    assert found is not None
    return found


def _over_the_ingress(spec: LinkSpec, count: int) -> NDArray[np.float64]:
    """Seconds that requests on new connections take over the ingress's own model, the app answering at once."""
    link, found = Link(spec, "t1"), []
    for _ in range(count):
        number = link.connection()
        shake = link.handshake(0, 0, link.random(number, "handshake"))
        if shake.established is None:
            found.append(float("inf"))
            continue
        up, down = link.lanes(number, shake.established)
        up.send(0, 200)
        asked = up.next_due()
        assert asked is not None
        down.send(asked, 700)
        answered = down.next_due()
        assert answered is not None
        found.append(answered / 1e9)
    return np.array(found)


@pytest.mark.parametrize(
    ("both_ways", "passages"), [(True, 4), (False, 2)], ids=["ingress", "netem, what the container sends"]
)
def test_a_delay_is_paid_at_each_passage(both_ways: bool, passages: int) -> None:
    found = _predict(_model(delay_s=0.1, both_ways=both_ways))
    assert found.quantiles == pytest.approx((0.005 + passages * 0.1,) * 3)
    assert found.failed_share == 0


def test_only_the_share_of_connections_that_cross_it_is_slower() -> None:
    found = _predict(_model(delay_s=0.1, share=1 / 3), count=10_000_000)
    assert found.quantiles == pytest.approx((0.005, 0.405, 0.405))


def test_jitter_of_four_passages_adds_up_like_independent_ones() -> None:
    found = _predict(_model(delay_s=0.1, jitter_s=0.02))
    # Four uniform variables: standard deviation 2 x 0.02 ÷ sqrt(3) = 23.1 ms, near a normal distribution.
    assert found.quantiles[0] == pytest.approx(0.405, abs=0.001)
    assert found.quantiles[1] == pytest.approx(0.405 + 1.2816 * 0.0231, abs=0.002)


@pytest.mark.parametrize("loss", [0.05, 0.2])
@pytest.mark.parametrize("delay_ms", [0, 100])
def test_losses_cost_what_they_cost_in_the_ingresss_own_model(loss: float, delay_ms: int) -> None:
    spec = LinkSpec(delay_ns=delay_ms * MS, loss=loss, seed=3)
    took = _over_the_ingress(spec, 20_000)
    for limit in (0.1, 0.3, 0.5, 0.7, 0.9, 1.3, 2.0, 3.3):
        predicted = _predict(_model(delay_s=delay_ms / 1e3, loss=loss, timeout_s=limit)).failed_share
        # Standard error of a share among 20,000: below 0.0036; 5 ms are the app's own time.
        assert predicted == pytest.approx(float((took + 0.005 >= limit).mean()), abs=0.011)


def test_jitter_costs_what_it_costs_in_the_ingresss_own_model() -> None:
    spec = LinkSpec(delay_ns=100 * MS, jitter_ns=20 * MS, seed=4)
    took = np.sort(_over_the_ingress(spec, 20_000)) + 0.005
    found = _predict(_model(delay_s=0.1, jitter_s=0.02))
    assert found.quantiles == pytest.approx([took[int(q * 20_000)] for q in QUANTILES], rel=0.01)


def test_the_share_that_meets_a_loss_is_one_less_the_share_that_meets_none() -> None:
    found = _predict(_model(loss=0.05, share=0.5))
    assert found.meets_loss == pytest.approx(0.5 * (1 - 0.95**4))
    # From the latencies alone: all that took longer than the app did.
    assert _predict(_model(loss=0.05, share=0.5, timeout_s=0.1)).failed_share == pytest.approx(
        found.meets_loss, abs=0.005
    )


def test_behind_a_partition_every_request_that_crosses_it_fails() -> None:
    found = _predict(_model(partition=True, share=1 / 3, timeout_s=2.0))
    assert found.failed_share == pytest.approx(1 / 3, abs=1e-4)
    assert found.quantiles == (0.005,) * 3


def test_a_request_in_the_last_second_of_a_partition_gets_through_with_its_next_syn() -> None:
    found = _predict(_model(partition=True, timeout_s=2.0, ends_within_s=(0.0, 8.0)))
    # Hit at any time of 8 s: 1 s of them is answered 1 s later; the next SYN after 3 s would come too late for 2 s.
    assert found.failed_share == pytest.approx(7 / 8, abs=0.01)
    assert found.quantiles == pytest.approx((1.005,) * 3)
    patient = _predict(_model(partition=True, timeout_s=5.0, ends_within_s=(0.0, 8.0)))
    assert patient.failed_share == pytest.approx(5 / 8, abs=0.01)
    gone = _predict(_model(partition=True, timeout_s=2.0, ends_within_s=(3.0, 8.0)))
    assert gone.failed_share == 1.0


def test_without_latencies_before_nothing_is_predicted() -> None:
    assert predict(_model(delay_s=0.1), np.zeros(0, np.uint32), QUANTILES, 10) is None


def _bad_link(
    scene: Scene, change: Callable[[int, Sample], None], *, kind: str = "network", **link: object
) -> TrialScene:
    """t2 of three is behind a bad link from 0 to 6 s; `change` is told the number of each probe that meets it."""
    samples = probes(-4_003, 8_000)
    for number, sample in enumerate(samples):
        sample.task = f"t{number % 3 + 1}"
        if 0 <= sample.intended < 6_000 and sample.task == "t2":
            change(number, sample)
    trial = observed(scene, samples)
    base = {"action": "step-1", "kind": kind, "by": "timeline", "tasks": ("t2",)}
    detail = {"link": link, "every": False}
    trial.add(ActionChanged, -1, stage="intended", detail=detail, **base)
    trial.add(ActionChanged, -0.5, stage="done", **base)
    seen = {"means": ["ingress"]}
    trial.add(ActionChanged, 1, stage="proved", proved_t=at(0), detail=seen, **base)
    trial.add(ActionChanged, 6_000, stage="undone", **base)
    return trial


def _finding(scene: Scene) -> ImpairmentFinding:
    found = results_of(scene).impairment
    assert found is not None
    return found


def test_a_delay_that_shows_as_it_must_is_as_predicted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    took = _over_the_ingress(LinkSpec(delay_ns=100 * MS, jitter_ns=20 * MS, seed=1), 2_000) * 1e3

    def slower(number: int, sample: Sample) -> None:
        sample.latency = 5.0 + float(took[number])

    _bad_link(scene, slower, delay_ns=100 * MS, jitter_ns=20 * MS)
    finding = _finding(scene)
    assert (finding.kind, finding.means, finding.as_predicted) == ("delay", ("ingress",), True)
    assert (finding.delay_s, finding.jitter_s, finding.loss) == (0.1, 0.02, 0.0)
    assert finding.share_hit == pytest.approx(1 / 3)
    middle, ninety, _ = finding.rows
    assert (middle.before_s, middle.during_s, middle.after_s) == (0.005, 0.005, 0.005)
    assert ninety.before_s == 0.005
    assert ninety.during_s == pytest.approx(0.405, abs=0.03)
    assert ninety.predicted_s == pytest.approx(0.405, abs=0.03)
    assert finding.prediction is not None
    assert finding.prediction.params["passages"] == 4
    codes = [why.code for why in results_of(scene).explanation]
    assert codes == ["lost.nothing", "impairment.slower", "impairment.as-predicted"]


def test_while_a_delay_is_taken_back_it_is_neither_there_nor_gone(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    def slower(_: int, sample: Sample) -> None:
        sample.latency = 405.0 if sample.intended < 3_000 else 5.0

    _bad_link(scene, slower, delay_ns=100 * MS)
    undone = next(r for r in scene.records if isinstance(r, ActionChanged) and r.stage == "undone")
    undone.detail["undo_begun_t"] = at(3_000)
    _, ninety, _ = _finding(scene).rows
    assert (ninety.during_s, ninety.after_s) == (0.405, 0.005)


def test_a_delay_that_does_not_show_is_not_as_predicted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _bad_link(scene, lambda _number, _sample: None, delay_ns=100 * MS)
    assert _finding(scene).as_predicted is False


def test_a_delay_that_shows_twice_as_large_is_not_as_predicted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    def slower(_number: int, sample: Sample) -> None:
        sample.latency = 805.0

    _bad_link(scene, slower, delay_ns=100 * MS)
    assert _finding(scene).as_predicted is False


def test_losses_as_the_ingress_makes_them_are_as_predicted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    took = _over_the_ingress(LinkSpec(loss=0.05, seed=2), 2_000) * 1e3

    def lossy(number: int, sample: Sample) -> None:
        sample.latency += float(took[number])
        if sample.latency >= 2_000:
            sample.outcome, sample.latency = Outcome.TIMEOUT, 2_000.0

    _bad_link(scene, lossy, loss=0.05)
    finding = _finding(scene)
    assert (finding.kind, finding.as_predicted) == ("loss", True)
    assert finding.prediction is not None
    assert finding.prediction.params["hit"] == pytest.approx((1 - 0.95**4) / 3)


def test_users_of_a_partitioned_replica_fail_until_it_leaves_rotation(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    def cut(_number: int, sample: Sample) -> None:
        if sample.intended < 3_000:
            sample.outcome, sample.latency = Outcome.TIMEOUT, 2_000.0

    trial = _bad_link(scene, cut, kind="partition", partition=True)
    trial.leaves(3_000, "t2")
    trial.enters(6_500, "t2")
    finding = _finding(scene)
    assert (finding.kind, finding.partition, finding.as_predicted) == ("partition", True, True)
    # A third of the connections for half of the time.
    assert finding.predicted_failed_share == pytest.approx(1 / 6, abs=0.001)
    assert finding.failed_share_during == pytest.approx(1 / 6, abs=0.01)
    assert finding.share_hit == pytest.approx(1 / 3)
    assert (finding.failed_share_before, finding.failed_share_after) == (0.0, 0.0)


def test_of_a_narrow_link_nothing_is_predicted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _bad_link(scene, lambda _number, _sample: None, rate_bytes_per_s=10_000)
    finding = _finding(scene)
    assert (finding.as_predicted, finding.rate_bytes_per_s) == (None, 10_000)
    assert finding.prediction is not None
    assert finding.prediction.code == "impairment.not-predicted"


def test_a_trial_without_a_bad_link_has_no_such_finding(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    observed(scene).action(0, "step-1", "pause", tasks=("t2",))
    assert results_of(scene).impairment is None
