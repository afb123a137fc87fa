"""What a person reads of a platform's refusal. Called by the commands that deal with a platform."""

from __future__ import annotations

from breakroom.i18n import Translator
from breakroom.platforms.base import PlatformError

__all__ = ["refusal"]


def refusal(error: PlatformError, tr: Translator) -> str:
    """What happened, and the way out in a line of its own.

    In English the platform's words say it; in another language ours come first, since the platform's are in no
    catalogue.
    """
    return "\n".join(
        line for line in (tr.platform_error(f"platform.{error.code}"), str(error), error.hint) if line
    )
