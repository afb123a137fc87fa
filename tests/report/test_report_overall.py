"""The part over all drills: the course's comparison, each drill's number, its summary, and its checkpoints."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from breakroom.analysis.results import Overall, Reason, RunResults
from breakroom.i18n import LANGUAGES, Language, translator
from breakroom.report.checkpoints import checkpoints
from breakroom.report.course import course_section
from breakroom.report.markdown import render_markdown
from breakroom.report.overall import overall_view
from breakroom.report.telling import telling_cells, telling_metric
from breakroom.report.view import view_of
from course.commands import HANDOUT
from report.whole_run import DRILLS, whole_run

EN, KO = translator("en"), translator("ko")
CHECKPOINTS = {
    "Phase 1": (
        "단일 컨테이너 장애 상황 직접 체험",
        "메모리 누수로 인한 성능 저하 관찰",
        "수동 복구의 어려움과 시간 소요 확인",
        "서비스 중단 시간과 영향 범위 측정",
    ),
    "Phase 2": (
        "Docker Swarm 클러스터 구축 성공",
        "자동 복구 기능 동작 확인",
        "무중단 스케일링 체험",
        "로드 밸런싱 동작 확인",
    ),
    "Phase 3": (
        "네트워크 장애 상황에서의 서비스 동작 확인",
        "무중단 롤링 업데이트 성공적 수행",
        "헬스체크 기반 자동 복구 메커니즘 이해",
        "복잡한 장애 상황에서의 오케스트레이션 효과 체험",
    ),
}
"""The handout's checkpoints, word for word."""


def _ticked(results: RunResults) -> dict[str, bool]:
    return {point.text: point.ticked for phase in checkpoints(results, KO) for point in phase.points}


def test_the_courses_four_rows_have_a_cell_for_every_contender() -> None:
    view = overall_view(whole_run()[0], KO)
    assert [row.label for row in view.rows] == ["가용성", "복구 시간", "운영 부담", "확장성"]
    assert all(len(row.cells) == 3 for row in view.rows)
    assert [cell.modelled for cell in view.rows[0].cells] == [True, False, False]
    assert [cell.text for cell in view.rows[3].cells] == [*["확장 불가(컨테이너 하나)"] * 2, "×1.98"]  # noqa: RUF001  # the multiplication sign


def test_every_drill_shows_the_number_it_is_about() -> None:
    results, _ = whole_run()
    told = {drill.name: telling_metric(drill, results.trials) for drill in results.drills}
    assert told["scale"] == "goodput_gain"
    assert told["network-delay"] == "latency_p50_during"
    assert told["kill"] == "outage"


def test_a_drill_in_which_nobody_was_down_tells_of_failed_requests() -> None:
    results, _ = whole_run(names=("orchestrated",))
    kill = next(drill for drill in results.drills if drill.name == "kill")
    assert telling_metric(kill, results.trials) == "failed_requests"


def test_what_was_skipped_or_never_recovered_is_said_instead_of_a_number() -> None:
    results, _ = whole_run()
    kill = next(drill for drill in results.drills if drill.name == "kill")
    unknown = {one.name: one.metrics["latency_p50_during"] for one in kill.contenders}
    kill = replace(
        kill,
        contenders=tuple(
            replace(one, metrics={**one.metrics, "outage": unknown[one.name]})
            if one.name != "single-restart"
            else one
            for one in kill.contenders
        ),
    )
    outcomes = {"single": "skipped", "orchestrated": "not-recovered"}
    trials = tuple(replace(one, outcome=outcomes.get(one.contender, one.outcome)) for one in results.trials)
    _, cells = telling_cells(kill, replace(results, trials=trials), EN)
    assert {cell.contender: cell.text for cell in cells if not cell.known} == {
        "single": "skipped",
        "orchestrated": "not recovered",
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_report_goes_from_all_drills_to_claims_to_sensitivity_to_each_drill(lang: Language) -> None:
    t = translator(lang)
    text = render_markdown(view_of(whole_run()[0], t), t)
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    titles = [drill.title for drill in view_of(whole_run()[0], t).drills]
    assert headings[0] == "## " + t.say("Comparison over all drills")
    assert headings[1] == "## " + t.say("What the course says, and what was measured")
    assert headings[2] == "## " + t.say("What if the operator reacts later?")
    assert headings[3] == "## " + t.say("What orchestration changes")
    assert headings[4:-1] == [f"## {title}" for title in titles]


def test_the_courses_summary_has_its_headings_word_for_word_and_a_line_for_each_way() -> None:
    text = render_markdown(view_of(whole_run()[0], KO), KO)
    part = text[text.index("## 오케스트레이션 효과 분석") : text.index("### ✅ Phase 1")]
    headings = [line for line in part.splitlines() if line.startswith("#")]
    assert headings == [
        "## 오케스트레이션 효과 분석",
        "### 가용성 비교",
        "### 복구 시간 비교",
        "### 운영 부담 비교",
        "### 확장성 비교",
    ]
    assert "- 단일 컨테이너(single): 장애 시 100% 서비스 중단" in part
    assert "- 오케스트레이션: 장애 시에도 68.0% 서비스 유지 (3개 중 2개 정상)" in part
    assert re.search(r"- 단일 컨테이너\(single\): 수동 개입 필요, 중앙값 [\d.]+초", part)
    assert "- 오케스트레이션: 자동 복구" in part


def test_on_a_real_swarm_the_service_is_called_docker_swarm() -> None:
    section = course_section(replace(whole_run()[0], platform="swarm"), KO)
    assert [name for name, _ in section.parts[0][1]][-1] == "Docker Swarm"


def test_a_run_without_a_comparison_over_all_drills_makes_none_up() -> None:
    results = replace(whole_run()[0], overall=Overall())
    assert overall_view(results, EN).rows == ()
    assert all(entries == () for _, entries in course_section(results, EN).parts)
    assert "### 가용성 비교" not in render_markdown(view_of(results, KO), KO)


def test_the_checkpoints_are_the_handouts() -> None:
    phases = {
        phase.title[:7]: tuple(point.text for point in phase.points)
        for phase in checkpoints(whole_run()[0], KO)
    }
    assert phases == CHECKPOINTS


def test_checkpoints_are_ticked_by_what_was_measured_only() -> None:
    results, _ = whole_run()
    ticked = _ticked(results)
    assert [text for text, done in ticked.items() if not done] == ["Docker Swarm 클러스터 구축 성공"]
    assert _ticked(replace(results, platform="swarm"))["Docker Swarm 클러스터 구축 성공"]


def test_a_checkpoint_whose_drill_was_not_run_stays_open_with_the_reason() -> None:
    results, _ = whole_run()
    kept = tuple(drill for drill in results.drills if drill.name == "kill")
    alone = replace(
        results, drills=kept, trials=tuple(trial for trial in results.trials if trial.drill == "kill")
    )
    whys = {
        point.text: point.why
        for phase in checkpoints(alone, KO)
        for point in phase.points
        if not point.ticked
    }
    assert whys["무중단 롤링 업데이트 성공적 수행"].startswith("실행하지 않음")
    assert len(whys) == 6


def test_an_update_that_lost_requests_does_not_tick_the_update_without_an_outage() -> None:
    results, _ = whole_run()
    trials = tuple(
        replace(trial, updates=tuple(replace(update, failed_requests=3) for update in trial.updates))
        for trial in results.trials
    )
    assert not _ticked(replace(results, trials=trials))["무중단 롤링 업데이트 성공적 수행"]


def test_trials_that_cannot_be_trusted_tick_nothing() -> None:
    results, _ = whole_run()
    doubt = (Reason(code="unknown.aborted"),)
    trials = tuple(replace(trial, reasons_unknown=doubt) for trial in results.trials)
    ticked = _ticked(replace(results, trials=trials))
    left = {text for text, done in ticked.items() if done}
    assert left <= {"복잡한 장애 상황에서의 오케스트레이션 효과 체험"}


def test_the_handouts_checkpoints_have_not_changed() -> None:
    if not HANDOUT.exists():
        pytest.skip("the course's handout is not beside this checkout")
    text = HANDOUT.read_text(encoding="utf-8")
    for phase, points in CHECKPOINTS.items():
        assert f"### ✅ {phase} 체크포인트" in text
        assert all(f"- [ ] {point}" in text for point in points)


def test_many_drills_have_a_common_answer() -> None:
    answer = view_of(whole_run()[0], EN).answer
    assert f"Over the same {len(DRILLS)} failures, “orchestrated” answered 90.0%" in answer
    assert (
        "Median time until it was back: 12 ms against 12.0 s; acts of a person: 0 against 6 (modelled)."
        in answer
    )
    assert "“single” 70.0% (modelled)" in answer
