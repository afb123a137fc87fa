"""Standard output and error that nobody can break: what is printed to a reader that has gone is dropped.

Called by `cli.main` before anything is printed. A pipe's reader may end early (`breakroom run | head`), and a terminal
may be closed in mid-run; a print that raised there would stop a clean-up half-way, or turn a verdict's exit code into
another. Touches `sys.stdout` and `sys.stderr` only.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["make_output_lasting"]

_GONE = frozenset({errno.EPIPE, errno.EIO})
"""What a write says when a pipe's reader has ended, and when a terminal was closed."""


class _LastingFile(io.FileIO):
    """A file that takes what is written to it also when nobody is there to read it."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return memoryview(data).nbytes


def make_output_lasting() -> None:
    """Replace standard output and error by streams on the same descriptors that survive the loss of their reader.

    A character that the terminal's encoding does not know is shown as `?` instead of ending the command.
    """
    sys.stdout = _lasting(sys.stdout)
    sys.stderr = _lasting(sys.stderr)


def _lasting(stream: TextIO) -> TextIO:
    try:
        number = stream.fileno()
        os.fstat(number)
    except (AttributeError, OSError, ValueError):
        return stream  # closed, or none, or a test's own
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_LastingFile(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.line_buffering if isinstance(stream, io.TextIOWrapper) else True,
    )
