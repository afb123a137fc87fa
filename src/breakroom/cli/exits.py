"""Exit codes, and how a command ends with a message. The codes are part of the interface (README, "Exit codes")."""

from __future__ import annotations

import sys
from typing import Literal, NoReturn

__all__ = ["MET", "NOT_MET", "UNKNOWN", "WRONG_USE", "fail", "of_verdict"]

MET = 0
NOT_MET = 1
WRONG_USE = 2
UNKNOWN = 3


def of_verdict(verdict: Literal["met", "not met", "unknown"]) -> int:
    """The exit code that says a run's verdict."""
    return {"met": MET, "not met": NOT_MET, "unknown": UNKNOWN}[verdict]


def fail(message: str, code: int = WRONG_USE) -> NoReturn:
    """End the command with one message on standard error.

    Raises:
        SystemExit: always.
    """
    print(message, file=sys.stderr)
    raise SystemExit(code)
