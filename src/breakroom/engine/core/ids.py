"""Ids that look like tokens and come from a counter: the core has no randomness.

Used by the store for tasks, services and containers. The counter is multiplied by a fixed odd number modulo 36^12,
which is a bijection: ids never repeat, neighbours look unlike each other, and an id tells whether it was ever issued
without a list of all ids being kept.
"""

from __future__ import annotations

__all__ = ["IdSource"]

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 12
_SPACE = 36**_LENGTH
_FACTOR = 2_654_435_761_987_655_293 % _SPACE
"""Has no factor in common with 36, so that multiplying by it modulo 36^12 can be undone."""
_INVERSE = pow(_FACTOR, -1, _SPACE)


class IdSource:
    """Issues unique ids, always the same ones in the same order."""

    def __init__(self) -> None:
        self._issued = 0

    def take(self) -> str:
        """The next id: twelve letters and digits."""
        self._issued += 1
        number = self._issued * _FACTOR % _SPACE
        digits = []
        for _ in range(_LENGTH):
            number, digit = divmod(number, 36)
            digits.append(_ALPHABET[digit])
        return "".join(reversed(digits))

    def issued(self, text: str) -> bool:
        """Whether `take` has ever returned `text`."""
        if len(text) != _LENGTH or not text.isascii() or not text.isalnum() or text != text.lower():
            return False
        number: int = int(text, 36) * _INVERSE % _SPACE
        return 1 <= number <= self._issued
