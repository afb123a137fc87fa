"""How a share of a core becomes a quota, or slices of time; a duty cycle on real processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.engine.shell.cgroups import Controller
from breakroom.engine.shell.duty_cycle import DutyCycle, slices
from breakroom.engine.shell.procfs import state_of
from breakroom.engine.shell.quota import Quota, bandwidth

# As the kernel writes them; where it really does, tests/platforms_local/test_local_unified.py looks.
UNIFIED = {
    "cpu.max": "max 100000\n",
    "cpu.stat": "usage_usec 5\nnr_periods 9\nnr_throttled 3\n",
    "cgroup.procs": "",
}
shares = st.floats(0.001, 1.0)


@given(shares)
def test_a_quota_is_the_share_of_its_period_and_one_that_the_kernel_takes(share: float) -> None:
    quota, period = bandwidth(share)
    assert quota / period == pytest.approx(share, rel=0.01, abs=1e-5)
    assert quota >= 1_000
    assert 1_000 <= period <= 1_000_000


@pytest.mark.parametrize(
    ("share", "expected"), [(0.05, (5_000, 100_000)), (1.0, (100_000, 100_000)), (0.001, (1_000, 1_000_000))]
)
def test_the_period_is_the_kernels_usual_one_unless_the_quota_would_be_too_short(
    share: float, expected: tuple[int, int]
) -> None:
    assert bandwidth(share) == expected


@given(shares)
def test_slices_are_no_shorter_than_a_timer_can_tell_and_give_the_share(share: float) -> None:
    running, stopped = slices(share)
    assert running >= 0.002
    assert stopped >= 0.002
    assert running + stopped <= 1.01
    if 0.002 <= share <= 0.98:
        assert running / (running + stopped) == pytest.approx(share, rel=0.001)


def test_a_share_of_nothing_is_the_least_that_there_is() -> None:
    assert bandwidth(0) == (1_000, 1_000_000)
    assert slices(0) == (0.002, 0.998)


def test_in_a_version_2_group_the_quota_is_one_line_and_who_is_outside_is_counted(tmp_path: Path) -> None:
    for name, text in UNIFIED.items():
        (tmp_path / name).write_text(text)
    quota = Quota(
        Controller(2, tmp_path), processes=lambda _task: [os.getpid()], unified_group=lambda _task: tmp_path
    )
    found = quota.limit("t", 0.05)
    assert found == {"quota_us": 5_000, "period_us": 100_000, "nr_throttled": 3, "outside": 1}
    assert (tmp_path / "cpu.max").read_text() == "5000 100000"
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    assert quota.limit("t", 0.005)["outside"] == 0
    assert (tmp_path / "cpu.max").read_text() == "1000 200000"
    quota.ended("t")
    assert (tmp_path / "cpu.max").read_text() == "max 100000"
    # The group is its memory limit's, or the freezer's, to remove.
    assert quota.close() == []
    assert tmp_path.exists()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) as child:
        yield child
        child.kill()


class _Watched:
    """A duty cycle on one process, with what others do to it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.held: set[int] = set()
        self.frozen = False
        self.cycle = DutyCycle(
            asyncio.get_running_loop(),
            0.5,
            processes=lambda: [pid],
            held=self.held,
            suspended=lambda: self.frozen,
        )

    async def sees(self, state: str) -> None:
        async with asyncio.timeout(15):
            while state_of(self.pid) not in state:  # noqa: ASYNC110  # a process's state gives no notice
                await asyncio.sleep(0.001)

    async def states(self) -> set[str]:
        """What is seen during several turns."""
        found = set()
        for _ in range(300):
            await asyncio.sleep(0.001)
            found.add(state_of(self.pid))
        return found


def test_a_process_is_stopped_and_let_go_on_in_turn_and_goes_on_at_the_end(
    process: subprocess.Popen[bytes],
) -> None:
    async def main() -> None:
        watched = _Watched(process.pid)
        watched.cycle.begin()
        for _ in range(3):
            await watched.sees("T")
            await watched.sees("RS")
        assert watched.cycle.seen
        await watched.sees("T")
        watched.cycle.end(go_on=True)
        await watched.sees("RS")
        assert "T" not in await watched.states()

    asyncio.run(main())


def test_what_others_hold_is_not_let_go_and_proves_nothing(process: subprocess.Popen[bytes]) -> None:
    async def main() -> None:
        watched = _Watched(process.pid)
        watched.held.add(process.pid)
        process.send_signal(19)
        await watched.sees("T")
        watched.cycle.begin()
        assert await watched.states() == {"T"}
        assert not watched.cycle.seen
        watched.cycle.end(go_on=True)
        assert await watched.states() == {"T"}

    asyncio.run(main())


def test_nothing_is_done_while_the_task_is_frozen(process: subprocess.Popen[bytes]) -> None:
    async def main() -> None:
        watched = _Watched(process.pid)
        watched.cycle.begin()
        await watched.sees("T")
        watched.frozen = True
        await watched.sees("T")
        process.send_signal(19)
        assert await watched.states() == {"T"}
        watched.cycle.end(go_on=False)
        assert await watched.states() == {"T"}

    asyncio.run(main())


def test_a_process_that_has_ended_disturbs_nothing(process: subprocess.Popen[bytes]) -> None:
    async def main() -> None:
        watched = _Watched(process.pid)
        watched.cycle.begin()
        process.kill()
        await watched.sees("ZX")
        await watched.states()
        watched.cycle.end(go_on=True)

    asyncio.run(main())
