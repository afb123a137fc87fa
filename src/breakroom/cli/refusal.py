"""What a person reads of a platform's refusal. Called by the commands that deal with a platform."""

from __future__ import annotations

from breakroom.i18n import Translator
from breakroom.platforms.base import PlatformError

__all__ = ["refusal"]


def refusal(error: PlatformError, tr: Translator) -> str:
    """What happened, and the way out in a line of its own.

    In English the platform's words say it; in another language ours come first, since Docker's and the kernel's words
    are in no catalogue.
    """
    said = str(error)
    if tr.lang != "en":
        said = tr.message(f"platform.{error.code}", {"message": said})
    return f"{said}\n{error.hint}" if error.hint else said
