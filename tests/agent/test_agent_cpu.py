"""What an engine is told to leave a container less CPU time, and to give it back: the API's words, without a daemon."""

from __future__ import annotations

import pytest

from breakroom.agent.cpu import limits_of, restored, share_of, throttled


def test_cpu_of_a_container_without_a_limit_becomes_a_quota_and_unlimited_again() -> None:
    before = limits_of({"Memory": 1, "NanoCpus": 0})
    assert before == {"NanoCpus": 0, "CpuPeriod": 0, "CpuQuota": 0}
    assert throttled(before, 0.05) == {"CpuPeriod": 100_000, "CpuQuota": 5_000}
    assert restored(before) == {"CpuPeriod": 100_000, "CpuQuota": -1}


def test_cpu_of_a_container_made_with_cpus_is_changed_in_that_word_alone() -> None:
    before = limits_of({"NanoCpus": 500_000_000})
    assert throttled(before, 0.05) == {"NanoCpus": 50_000_000}
    assert restored(before) == {"NanoCpus": 500_000_000}


def test_cpu_of_a_container_made_with_a_quota_gets_its_own_back() -> None:
    before = limits_of({"CpuPeriod": 50_000, "CpuQuota": 25_000})
    assert throttled(before, 0.1) == {"CpuPeriod": 100_000, "CpuQuota": 10_000}
    assert restored(before) == {"CpuPeriod": 50_000, "CpuQuota": 25_000}


@pytest.mark.parametrize("limits", [{"NanoCpus": 20_000_000}, {"CpuPeriod": 100_000, "CpuQuota": 2_000}])
def test_cpu_of_a_container_that_has_less_already_is_not_made_more(limits: dict[str, int]) -> None:
    assert share_of(limits) == 0.02
    assert share_of(throttled(limits, 0.5)) == 0.02
