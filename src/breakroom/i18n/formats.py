"""Numbers as people read them, in each language: durations, ratios, counts, rates, sizes.

Used by `i18n.translator` for placeholders, and by every presenter through it. Pure: no catalogue is needed, because
the words here are units. A value that is not known is a dash; it is never shown as a zero.
"""

from __future__ import annotations

__all__ = ["UNKNOWN", "count", "duration", "factor", "number", "rate", "ratio", "size"]

UNKNOWN = "–"  # noqa: RUF001  # a dash in print is longer than a hyphen

_UNITS = {
    "en": {"ms": " ms", "s": " s", "min": " min", "h": " h", "per_s": "/s"},
    "ko": {"ms": "ms", "s": "초", "min": "분", "h": "시간", "per_s": "/초"},
}


def duration(seconds: float | None, lang: str) -> str:
    """Print seconds: `1.4 ms`, `340 ms`, `5.62 s`, `5 min 20 s`; in Korean `340ms`, `5.62초`, `5분 20초`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0:
        return "−" + duration(-seconds, lang)  # noqa: RUF001  # the minus sign, which lines up with digits
    unit = _UNITS[lang]
    ms = seconds * 1e3
    if seconds == 0:
        return f"0{unit['s']}"
    if ms < 9.95:
        return f"{ms:.1f}{unit['ms']}"
    if ms < 999.5:
        return f"{ms:.0f}{unit['ms']}"
    if seconds < 119.95:
        return f"{seconds:.{2 if seconds < 9.995 else 1}f}{unit['s']}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}{unit['h']} {minutes}{unit['min']}" if minutes else f"{hours}{unit['h']}"
    return f"{minutes}{unit['min']} {rest}{unit['s']}" if rest else f"{minutes}{unit['min']}"


def ratio(value: float | None) -> str:
    """Print a ratio as a percentage that never rounds up to 100 % nor down to 0 % what is not."""
    if value is None:
        return UNKNOWN
    percent = value * 100
    if percent in {0.0, 100.0}:
        return f"{percent:.0f}%"
    for digits in (1, 2, 3, 4):
        text = f"{percent:.{digits}f}"
        if float(text) not in {0.0, 100.0}:
            return f"{text}%"
    return ">99.9999%" if 50 < percent < 100 else "<0.0001%"


def count(value: float | None) -> str:
    """Print a count with thousands separated; a median between two counts keeps its half."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def rate(per_second: float | None, lang: str) -> str:
    """Print events per second: `812/s`; in Korean `812/초`."""
    if per_second is None:
        return UNKNOWN
    digits = 0 if abs(per_second) >= 100 else 1
    return f"{per_second:,.{digits}f}{_UNITS[lang]['per_s']}"


def factor(value: float | None) -> str:
    """Print a multiple, with the sign of multiplication before it: 1.98, 12.3."""
    if value is None:
        return UNKNOWN
    return f"×{value:.{2 if abs(value) < 9.995 else 1}f}"  # noqa: RUF001  # the multiplication sign is meant


def number(value: float | None) -> str:
    """Print a plain number to four significant digits, a whole one in full."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def size(value: float | None) -> str:
    """Print bytes in binary units: `512 B`, `64.0 MiB`."""
    if value is None:
        return UNKNOWN
    scaled = float(value)
    for unit in ("B", "KiB", "MiB"):
        if abs(scaled) < 1024:
            return f"{scaled:.0f} {unit}" if unit == "B" else f"{scaled:.1f} {unit}"
        scaled /= 1024
    return f"{scaled:.1f} GiB"
