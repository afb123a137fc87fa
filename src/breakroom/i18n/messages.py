"""The English text for every message code that is not a finding: problem records, notes of the director, lines of the command line.

To add one: put `"code": N_("Sentence with {placeholder:kind}.")` into `MESSAGES`, run `python -m breakroom.i18n.build`, and
fill in what it reports as missing in `locale/ko/LC_MESSAGES/breakroom.po`. Texts that need no code can stand where they are
used, in `translator.say("…")`; extraction finds both.
"""

from __future__ import annotations

__all__ = ["MESSAGES"]

MESSAGES: dict[str, str] = {}
"""code → text. A code is stable: it stands in journals and results; its text may be bettered at any time."""
