"""The question for consent, asked at a real terminal: every answer, the end of input, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

_ASKS = """
import asyncio, sys
from rich.console import Console
from breakroom.cli.platform import _asker

async def main():
    return _asker(Console(stderr=True))("May breakroom do it at 127.0.0.1:2377 [really]?")

try:
    print("answer", asyncio.run(main()))
except KeyboardInterrupt:
    print("interrupted")
"""


def _asked(keys: bytes) -> str:
    """What the terminal shows, with those keys pressed once the question stands there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        # A session of its own whose terminal this is: so that ^C becomes a signal.
        [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{_ASKS}"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        pressed = False
        try:
            with suppress(OSError):  # Linux reports the other end's close as an error
                while piece := os.read(ours, 4096):
                    shown += piece
                    if not pressed and b"[y/N]" in shown:
                        pressed = True
                        os.write(ours, keys)
            process.wait()
        finally:
            process.kill()  # one that takes no answer must not keep the test's own limit from ending it
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize(
    ("keys", "outcome"),
    [
        (b"y\n", "answer True"),
        (b"YES\n", "answer True"),
        (b"n\n", "answer False"),
        (b"\n", "answer False"),
        (b"maybe\n", "answer False"),
        (b"\x04", "answer False"),
        (b"\x03", "interrupted"),
    ],
)
def test_a_question_at_the_terminal(keys: bytes, outcome: str) -> None:
    shown = _asked(keys)
    assert outcome in shown
    assert "127.0.0.1:2377 [really]?" in shown.replace("\r\n", " ").replace("  ", " ")
    assert "Traceback" not in shown
