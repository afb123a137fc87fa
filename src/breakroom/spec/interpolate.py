"""Compose's variables in values.

The forms: `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:?message}`, `${VAR?message}`,
`${VAR:+other}`, `${VAR+other}`, and `$$` for a dollar.

Called by the Compose reader on a service's tree before it is checked. Pure: variables come as an argument.
Source: Compose specification, "Interpolation". One difference: Compose warns about a variable that is not set
and uses an empty text; here that is a problem, since an empty text in a command or a limit would be measured as
if it were meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from breakroom.spec.errors import Problems
from breakroom.spec.nodes import Entry, MapNode, Node, ScalarNode, SeqNode, resolve_plain

__all__ = ["InterpolationError", "interpolate", "interpolate_text"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEEPEST = 20


class InterpolationError(ValueError):
    """A variable cannot be replaced; `cause` and `correct` explain."""

    def __init__(self, what: str, cause: str, correct: str) -> None:
        self.cause = cause
        self.correct = correct
        super().__init__(what)


def interpolate(
    node: Node, variables: Callable[[str], Mapping[str, str]], path: str, problems: Problems
) -> Node:
    """The same tree with every variable in its values replaced (keys are left alone, as in Compose).

    `variables` gives the variables for a value by the file that the value stands in.
    """
    if isinstance(node, MapNode):
        return MapNode(
            {
                key: Entry(e.key_place, interpolate(e.node, variables, f"{path}.{key}", problems))
                for key, e in node.entries.items()
            },
            node.place,
        )
    if isinstance(node, SeqNode):
        items = (interpolate(item, variables, f"{path}[{i}]", problems) for i, item in enumerate(node.items))
        return SeqNode(tuple(items), node.place)
    if not isinstance(node.value, str) or "$" not in node.value:
        return node
    try:
        text = interpolate_text(node.value, variables(node.place.file))
    except InterpolationError as error:
        problems.add(node.place, path, str(error), cause=error.cause, correct=error.correct)
        return node
    return ScalarNode(resolve_plain(text) if node.plain else text, text, node.plain, node.place)


def interpolate_text(text: str, variables: Mapping[str, str], depth: int = 0) -> str:
    """Replace every variable of one text.

    Raises:
        InterpolationError: a variable is not set, is required with `?`, or is written wrongly.
    """
    out: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        after = text[dollar + 1 : dollar + 2]
        if after == "$":
            out.append("$")
            at = dollar + 2
        elif after == "{":
            end = _closing(text, dollar + 2)
            out.append(_braced(text[dollar + 2 : end], variables, depth))
            at = end + 1
        elif match := _NAME.match(text, dollar + 1):
            out.append(_plain(match[0], variables))
            at = match.end()
        else:
            raise InterpolationError(
                f"a single `$` in {text!r} names no variable",
                "a dollar that is meant as itself",
                "write it as $$",
            )
    out.append(text[at:])
    return "".join(out)


def _closing(text: str, start: int) -> int:
    depth = 1
    for index in range(start, len(text)):
        if text[index] == "{" and text[index - 1] == "$":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise InterpolationError(f"`${{` in {text!r} is not closed", "a missing `}`", "${VARIABLE:-default}")


def _plain(name: str, variables: Mapping[str, str]) -> str:
    if name in variables:
        return variables[name]
    raise InterpolationError(
        f"the variable `{name}` is not set",
        "it is neither in the environment nor in a `.env` file beside this file",
        f"set it, or give a default: ${{{name}:-value}}; a dollar that is meant as itself is written $$",
    )


def _braced(inner: str, variables: Mapping[str, str], depth: int) -> str:
    match = _NAME.match(inner)
    if match is None or depth > _DEEPEST:
        raise InterpolationError(
            f"`${{{inner}}}` names no variable", "a name begins with a letter or `_`", "${VARIABLE}"
        )
    name, rest = match[0], inner[match.end() :]
    if not rest:
        return _plain(name, variables)
    strict = rest.startswith(":")
    operator, operand = rest[strict : strict + 1], rest[strict + 1 :]
    present = name in variables and not (strict and not variables[name])
    if operator == "-":
        return variables[name] if present else interpolate_text(operand, variables, depth + 1)
    if operator == "+":
        return interpolate_text(operand, variables, depth + 1) if present else ""
    if operator == "?":
        if present:
            return variables[name]
        raise InterpolationError(
            f"the variable `{name}` is required: {operand or 'no reason given'}",
            "it is not set, or empty",
            f"{name}=value",
        )
    raise InterpolationError(
        f"`${{{inner}}}` is not a form that Compose knows",
        f"{operator or rest!r} after the name is no operator",
        "${VAR}, ${VAR:-default}, ${VAR:?message} or ${VAR:+other}",
    )
