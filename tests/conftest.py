"""For all tests: SIGINT does what it does at a terminal, and the registry of runs is not the person's own.

A shell starts what it runs with `&` (a lane of `scripts/test`) with SIGINT ignored, and whatever the tests start would
inherit that. Runs that tests kill on purpose must not be left in `~/.local/state`, for the next `breakroom cleanup` to
fail on a daemon that went with its test: so each pytest has a state directory of its own, given by hand or not.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    state = tempfile.mkdtemp(prefix="breakroom-tests-state-")
    os.environ["XDG_STATE_HOME"] = state
    config.add_cleanup(lambda: shutil.rmtree(Path(state), ignore_errors=True))
