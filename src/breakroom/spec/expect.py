"""Conditions such as `orchestrated.longest_outage <= 1s`: from text to `Expectation`.

Called by `spec.drill_reader` once the contenders are known. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, cast

from breakroom.spec.drill import METRICS, Expectation
from breakroom.spec.errors import Problems, nearest
from breakroom.spec.nodes import ScalarNode
from breakroom.spec.units import UnitError, parse_duration, parse_ratio

__all__ = ["parse_expectation"]

_FORM = re.compile(r"\s*([A-Za-z0-9_-]+)\s*\.\s*([A-Za-z0-9_]+)\s*([<>=!]+)\s*(\S.*?)\s*")
_OPS = ("<", "<=", ">", ">=", "==", "!=")
_MEANT = {"=": "==", "=<": "<=", "=>": ">=", "<>": "!="}
_EXAMPLES = {"ratio": "99.9%", "duration": "1s", "count": "0", "factor": "1.5"}
_FORMS = {
    "ratio": "a ratio: a percentage or a fraction from 0 to 1, like 66% or 0.66",
    "duration": "a duration with its unit, like 500ms or 30s",
    "count": "a whole number",
    "factor": "a factor, like 1.5",
}

Operator = Literal["<", "<=", ">", ">=", "==", "!="]


def parse_expectation(
    node: ScalarNode, path: str, contenders: Collection[str], problems: Problems
) -> Expectation | None:
    """Read one condition; None after noting what is wrong with it."""
    text = str(node.value)
    match = _FORM.fullmatch(text)
    if match is None:
        problems.add(
            node.place,
            path,
            f"{text!r} is not a condition",
            cause="a part is missing",
            correct="CONTENDER.METRIC OP VALUE, like orchestrated.longest_outage <= 1s",
        )
        return None
    contender, metric, op, value = match.groups()
    before = problems.noted
    if contender not in contenders:
        near = nearest(contender, contenders)
        problems.add(
            node.place,
            path,
            f"there is no contender `{contender}`",
            cause=f"`{near}` was meant" if near else f"the contenders are: {', '.join(contenders)}",
            correct=f"{near or next(iter(contenders), 'orchestrated')}.{metric} {op} {value}",
        )
    if metric not in METRICS:
        near = nearest(metric, METRICS)
        problems.add(
            node.place,
            path,
            f"there is no metric `{metric}`",
            cause=f"`{near}` was meant" if near else f"the metrics are: {', '.join(METRICS)}",
            correct=f"{contender}.{near or 'longest_outage'} {op} {value}",
        )
    if op not in _OPS:
        problems.add(
            node.place,
            path,
            f"`{op}` is no comparison",
            cause=f"comparisons are: {' '.join(_OPS)}",
            correct=f"{contender}.{metric} {_MEANT.get(op, '<=')} {value}",
        )
    number = _value(metric, value)
    if number is None and metric in METRICS:
        kind = METRICS[metric]
        form = f"{value}s" if kind == "duration" and re.fullmatch(r"\d+(\.\d+)?", value) else _EXAMPLES[kind]
        problems.add(
            node.place,
            path,
            f"`{metric}` is compared with {_FORMS[kind]}, not {value!r}",
            cause="the unit is missing" if form != _EXAMPLES[kind] else "",
            correct=f"{contender}.{metric} {op} {form}",
        )
    if problems.noted > before or number is None:
        return None
    return Expectation(
        contender=contender, metric=metric, op=cast("Operator", op), value=number, text=text.strip()
    )


def _value(metric: str, text: str) -> float | None:
    try:
        match METRICS.get(metric):
            case "duration":
                return float(parse_duration(text))
            case "ratio":
                return parse_ratio(text)
            case "count":
                return float(int(text)) if re.fullmatch(r"[0-9]{1,15}", text) else None
            case "factor":
                return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else None
            case None:
                return None
    except (UnitError, OverflowError):
        return None
