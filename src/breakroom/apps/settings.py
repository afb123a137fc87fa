"""What a sample app is told by its environment: one class, every value checked.

Read once at start by `base.main`. A wrong value ends the app with a sentence that says which variable, what it was and
what it may be: a replica that starts with a misread setting would make every measurement of it worthless.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing it from `typing` would cost 4 ms a start
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BUGS", "SettingError", "Settings"]

BUGS = ("crash", "sick", "slow", "errors")
"""What a bad release can have; docs/sample-apps.md says what each does."""


class SettingError(Exception):
    """An environment variable has a value that cannot be used."""


class Settings:
    """The environment of a sample app. Times are seconds here, milliseconds in the variables that end in `_MS`."""

    def __init__(self, environ: Mapping[str, str], *, leak_bytes: int = 0) -> None:
        """Read the variables.

        Args:
            environ: usually `os.environ`.
            leak_bytes: what LEAK_BYTES is if it is not set.

        Raises:
            SettingError: a variable's value cannot be used.
        """
        self.host = environ.get("HOST") or "127.0.0.1"
        self.port = int(_number(environ, "PORT", 3000, most=65535, whole=True))
        self.version = _word(environ, "APP_VERSION") or "v1"
        self.hostname = os.uname().nodename
        self.task = _word(environ, "BREAKROOM_TASK_ID") or _word(environ, "HOSTNAME") or self.hostname
        self.service_time = _number(environ, "SERVICE_TIME_MS", 0, most=3_600_000) / 1000
        self.cpu_time = _number(environ, "CPU_TIME_MS", 0, most=60_000) / 1000
        self.concurrency = int(_number(environ, "CONCURRENCY", 16, least=1, most=1_000_000, whole=True))
        self.leak_bytes = int(_number(environ, "LEAK_BYTES", leak_bytes, most=2**31, whole=True))
        self.bug = _choice(environ, "BUG", BUGS)
        self.bug_after = _number(environ, "BUG_AFTER_MS", 300, most=3_600_000) / 1000
        self.bug_slower = _number(environ, "BUG_SLOWER_MS", 1500, most=3_600_000) / 1000
        self.slower_per_mib = _number(environ, "SLOWER_MS_PER_MIB", 0, most=10_000) / 1000
        self.start_delay = _number(environ, "START_DELAY_MS", 0, most=3_600_000) / 1000
        self.shutdown_timeout = _number(environ, "SHUTDOWN_TIMEOUT", 9, most=3600)
        self.request_timeout = _number(environ, "REQUEST_TIMEOUT", 10, most=3600)
        """How long a client may take to send a request, or to take its answer."""
        self.log_requests = _number(environ, "LOG", 0, most=1, whole=True) == 1


def _number(
    environ: Mapping[str, str],
    name: str,
    default: float,
    *,
    least: float = 0,
    most: float,
    whole: bool = False,
) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:  # also true for NaN
        kind = "a whole number" if whole else "a number"
        raise SettingError(f"{name} is {text!r}: it must be {kind} from {least:g} to {most:.0f}")
    return value


def _choice(environ: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    text = environ.get(name, "").strip()
    if text and text not in words:
        raise SettingError(f"{name} is {text!r}: it must be {', '.join(words[:-1])} or {words[-1]}, or empty")
    return text


def _word(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "").strip()
    if not text.isascii() or not text.isprintable():
        raise SettingError(
            f"{name} is {text!r}: it goes into a response header, so it must be printable ASCII"
        )
    return text
