"""Colours, patterns and axes that the charts share.

Colours are names of CSS variables (`var(--ok)`): the page's script puts in what the reader's light or dark scheme
says. They are taken from Okabe and Ito's palette, which the colour-blind can tell apart, and every kind of failure
has a pattern too. Pure.
"""

from __future__ import annotations

from typing import Any

__all__ = ["FAILURES", "OUTCOMES", "PATTERNS", "STATES", "Figure", "axis", "base_layout", "rounded"]

Figure = dict[str, Any]

OUTCOMES = ("ok", "refused", "reset", "timeout", "http-error", "bad-body", "not-sent")
FAILURES = OUTCOMES[1:]

PATTERNS = {
    "ok": "",
    "refused": "/",
    "reset": "x",
    "timeout": "\\",
    "http-error": ".",
    "bad-body": "+",
    "not-sent": "-",
    "starting": "/",
    "running": ".",
    "rotation": "",
    "failed": "x",
    "shutdown": "-",
    "waiting": "",
}

STATES = {
    "failed": ("failed", "rejected", "orphaned"),
    "shutdown": ("shutdown", "complete", "remove"),
    "waiting": ("new", "pending", "assigned", "accepted", "preparing", "ready"),
    "starting": ("starting",),
    "running": ("running",),
    "rotation": ("rotation",),
}
"""Band classes, in the order of drawing: what serves lies on top of what is over."""


def rounded(value: float | None, digits: int = 4) -> float | None:
    """`value` to a few significant digits: the charts cannot show more, and the file stays small."""
    return None if value is None else float(f"{value:.{digits}g}")


def axis(**extra: Any) -> dict[str, Any]:
    """An axis in the page's colours."""
    return {
        "gridcolor": "var(--grid)",
        "linecolor": "var(--grid)",
        "zeroline": False,
        "tickfont": {"size": 11, "color": "var(--muted)"},
        "automargin": False,
        **extra,
    }


def base_layout(height: int) -> dict[str, Any]:
    """What every chart's layout has in common."""
    return {
        "height": height,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "inherit", "size": 12, "color": "var(--text)"},
        "hoverlabel": {
            "bgcolor": "var(--card)",
            "bordercolor": "var(--grid)",
            "font": {"color": "var(--text)", "size": 12},
        },
        "margin": {"l": 64, "r": 20, "t": 44, "b": 44},
        "hovermode": "x unified",
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yanchor": "bottom",
            "yref": "container",
            "font": {"size": 12, "color": "var(--text)"},
            "traceorder": "normal",
        },
    }
