"""For all tests: SIGINT does what it does at a terminal.

A shell starts what it runs with `&` (a lane of `scripts/test`) with SIGINT ignored, and whatever the tests start would
inherit that.
"""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
