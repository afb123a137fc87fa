"""Texts inside a chart: escaped for Plotly, and in both languages at once.

Plotly reads a few HTML tags in its texts, so names that people chose are escaped. A chart is made once per language
and the two are merged: what differs becomes a pair, which the page's script resolves. So data stands in the file
once. Pure.
"""

from __future__ import annotations

from typing import Any

__all__ = ["merge_languages", "plain"]


def plain(text: str) -> str:
    """`text` so that Plotly shows it letter for letter."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def merge_languages(en: Any, ko: Any) -> Any:
    """One tree from two of the same shape; where leaves differ stands `{"$en": …, "$ko": …}`.

    Raises:
        ValueError: the trees' shapes differ, so that one chart was built otherwise than the other.
    """
    if isinstance(en, dict) and isinstance(ko, dict):
        if en.keys() != ko.keys():
            raise ValueError(f"a chart has {sorted(en)} in English and {sorted(ko)} in Korean")
        return {key: merge_languages(value, ko[key]) for key, value in en.items()}
    if isinstance(en, list) and isinstance(ko, list):
        if en == ko:
            return en
        if len(en) != len(ko):
            raise ValueError(f"a chart has a list of {len(en)} in English and of {len(ko)} in Korean")
        return [merge_languages(*pair) for pair in zip(en, ko, strict=True)]
    return en if en == ko else {"$en": en, "$ko": ko}
