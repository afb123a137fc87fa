"""Filling texts in: placeholders by kind, unknown values, particles, language detection."""

from __future__ import annotations

import importlib
import re
from string import Formatter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.i18n import LANGUAGES, Language, detect_language, translator
from breakroom.i18n.formats import UNKNOWN, duration, ratio
from breakroom.i18n.josa import attach
from breakroom.i18n.messages import MESSAGES
from breakroom.i18n.reasons import REASONS
from breakroom.i18n.terms import LABELS, METRIC_HELP, METRIC_KINDS
from breakroom.platforms.base import USAGE_CODES
from breakroom.spec.drill import METRICS

EN, KO = translator("en"), translator("ko")


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_reason_of_the_analysis_has_a_sentence_with_its_parameters_and_no_other() -> None:
    codes = importlib.import_module("breakroom.analysis.reasons").CODES
    assert set(REASONS) == set(codes)
    # A sentence may leave a parameter out, but cannot use one that no reason brings.
    assert {
        code: _fields(REASONS[code]) - set(names)
        for code, names in codes.items()
        if _fields(REASONS[code]) - set(names)
    } == {}


def test_codes_of_reasons_and_messages_do_not_collide() -> None:
    assert set(REASONS) & set(MESSAGES) == set()


def test_every_metric_of_the_drill_language_has_label_help_and_kind() -> None:
    for name, kind in METRICS.items():
        assert METRIC_KINDS[name] == kind
        assert LABELS["metric"][name]
        assert METRIC_HELP[name]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_reason_is_shown_even_when_all_its_values_are_missing(lang: Language) -> None:
    for code in REASONS:
        text = translator(lang).message(code, {})
        assert text
        assert "{" not in text


def test_a_reason_like_object_is_put_into_words() -> None:
    reason = SimpleNamespace(code="lost.detection", params={"s": 1.25, "share": 0.5})
    assert (
        EN.reason(reason) == "1.25 s (50.0% of the lost time) passed until the platform noticed the failure."
    )
    assert KO.reason(reason) == "플랫폼이 장애를 감지하기까지 1.25초(손실 시간의 50.0%)가 걸렸습니다."


def test_every_claim_of_the_analysis_has_a_text() -> None:
    codes = importlib.import_module("breakroom.analysis.claims").CLAIM_CODES
    assert set(LABELS["claim"]) == set(codes)


def test_a_measured_value_in_a_reason_has_its_metrics_unit() -> None:
    params = {"text": "orchestrated.outage <= 1s", "value": 1.926}
    assert (
        EN.message("verdict.condition-not-met", params)
        == "Not met: orchestrated.outage <= 1s (measured: 1.93 s)."
    )
    near = EN.message("condition.within-resolution", {"metric": "availability", "resolution": 0.001})
    assert near.endswith("(0.1%).")


def test_a_family_of_codes_shares_one_text() -> None:
    params = {"message": "no such program", "hint": "install it"}
    assert EN.message("platform.no-program", params) == (
        "The platform could not do its part: no such program (install it)"
    )
    assert (
        EN.message("platform.other", {"message": "x", "hint": ""}) == "The platform could not do its part: x"
    )


def test_what_a_user_can_mend_has_a_sentence_of_its_own_for_readers_of_korean() -> None:
    for code in USAGE_CODES:
        said = KO.message(f"platform.{code}", {"message": "so it is", "hint": "do"})
        assert said == f"{KO.platform_error(f'platform.{code}')} 원문: so it is (do)"
        assert re.search("[가-힣]", KO.platform_error(f"platform.{code}")), code
        assert EN.platform_error(f"platform.{code}") == ""


def test_an_unknown_code_is_shown_with_its_values() -> None:
    assert EN.message("new.code", {"n": 3}) == "new.code (n=3)"


def test_values_are_not_read_as_templates() -> None:
    assert EN.say("failed: {message}", message="{oops} {0}") == "failed: {oops} {0}"


def test_english_chooses_the_plural() -> None:
    text = "{n:count} {n:plural:request|requests}"
    assert EN.say(text, n=1) == "1 request"
    assert EN.say(text, n=1_234) == "1,234 requests"


def test_a_list_is_joined_as_the_language_does() -> None:
    assert EN.say("{tasks:list}", tasks=["a", "b", "c"]) == "a, b and c"
    assert KO.say("{tasks:list}", tasks=["a", "b", "c"]) == "a, b, c"


@pytest.mark.parametrize(
    ("seconds", "en", "ko"),
    [
        (None, UNKNOWN, UNKNOWN),
        (0, "0 s", "0초"),
        (0.0004, "0.4 ms", "0.4ms"),
        (0.34, "340 ms", "340ms"),
        (0.9996, "1.00 s", "1.00초"),
        (5.619, "5.62 s", "5.62초"),
        (30.44, "30.4 s", "30.4초"),
        (119.97, "2 min", "2분"),
        (320, "5 min 20 s", "5분 20초"),
        (7_500, "2 h 5 min", "2시간 5분"),
        (-0.02, "\N{MINUS SIGN}20 ms", "\N{MINUS SIGN}20ms"),
    ],
)
def test_durations(seconds: float | None, en: str, ko: str) -> None:
    assert duration(seconds, "en") == en
    assert duration(seconds, "ko") == ko


@given(st.floats(0, 1))
def test_a_ratio_is_never_rounded_to_all_or_nothing(value: float) -> None:
    text = ratio(value)
    assert (text == "100%") == (value * 100 == 100)
    assert (text == "0%") == (value * 100 == 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("서버(이/가)", "서버가"),
        ("복제본(이/가)", "복제본이"),
        ("single(은/는)", "single은"),
        ("orchestrated(은/는)", "orchestrated는"),
        ("12.0초(을/를)", "12.0초를"),
        ("350ms(이/가)", "350ms가"),
        ("11.6초(96.7%)(이/가)", "11.6초(96.7%)가"),
        ("5분(으로/로)", "5분으로"),
        ("single(으로/로)", "single로"),
        ("web.1(과/와)", "web.1과"),
        ("web.2(과/와)", "web.2와"),
        ("99%(이/가)", "99%가"),
        ("(이/가)", "가"),
    ],
)
def test_particles_fit_the_word_before_them(text: str, expected: str) -> None:
    assert attach(text) == expected


@pytest.mark.parametrize(
    ("env", "lang"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "ko_KR"}, "ko"),
        ({"LC_ALL": "", "LANG": "ko"}, "ko"),
    ],
)
def test_the_language_comes_from_the_environment_in_posix_order(env: dict[str, str], lang: str) -> None:
    assert detect_language(env) == lang
