"""The JSON Schema of drill files, for editors and for `breakroom schema drill`.

Made from the same shapes that read the files, so the two cannot disagree about a key. Pure.
"""

from __future__ import annotations

import json
from typing import Any

from breakroom.spec.drill_shapes import DRILL

__all__ = ["drill_schema"]


def drill_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a drill file as people write it.

    What a schema cannot say (that a contender exists, that the merged service is complete) only the loader checks.
    """
    body = DRILL.schema(variables=False)
    definitions: dict[str, Any] = {}
    shared = _share(body, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "breakroom drill",
        **shared,
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


_SMALLEST_SHARED = 400
"""Characters of JSON: a smaller part is clearer where it stands."""


def _share(schema: Any, definitions: dict[str, Any]) -> Any:
    """Move every larger object that occurs more than once (a service, a healthcheck, …) to `$defs`."""
    counts: dict[str, int] = {}
    _count(schema, counts)
    names: dict[str, str] = {}

    def replaced(part: Any, *, top: bool = False) -> Any:
        if isinstance(part, list):
            return [replaced(item) for item in part]
        if not isinstance(part, dict):
            return part
        key = json.dumps(part, sort_keys=True)
        walked = {name: replaced(item) for name, item in part.items()}
        if top or not _sharable(part, key) or counts[key] < 2:
            return walked
        if key not in names:
            names[key] = f"part{len(names) + 1}"
            definitions[names[key]] = walked
        return {"$ref": f"#/$defs/{names[key]}"}

    return replaced(schema, top=True)


def _sharable(part: dict[str, Any], key: str) -> bool:
    return (
        len(key) >= _SMALLEST_SHARED
        and part.get("type") == "object"
        and isinstance(part.get("properties"), dict)
    )


def _count(part: Any, counts: dict[str, int]) -> None:
    if isinstance(part, list):
        for item in part:
            _count(item, counts)
    elif isinstance(part, dict):
        key = json.dumps(part, sort_keys=True)
        if _sharable(part, key):
            counts[key] = counts.get(key, 0) + 1
        for item in part.values():
            _count(item, counts)
