"""The English sentence for every `Reason` code of the analysis.

A sentence's placeholders are the code's parameters (`analysis.reasons.CODES`); a test holds both together. How a
placeholder is printed is said after its colon: `{gap:duration}`, see `i18n.translator`.
"""

from __future__ import annotations

from breakroom.i18n.terms import N_

__all__ = ["REASONS"]

REASONS: dict[str, str] = {}
"""code → sentence."""

_ = N_
