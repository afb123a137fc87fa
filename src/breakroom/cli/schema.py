"""`breakroom schema drill|results`: the JSON Schemas, for editors and programs."""

from __future__ import annotations

import json

from breakroom.cli.exits import fail

__all__ = ["schema_command"]


def schema_command(what: str) -> int:
    """Print the schema; returns 0."""
    if what == "drill":
        from breakroom.spec.schema import drill_schema

        print(json.dumps(drill_schema(), indent=2, ensure_ascii=False))
    elif what == "results":
        import msgspec

        from breakroom.analysis.results import RunResults

        schema = msgspec.json.schema(RunResults)
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "breakroom results",
            **schema,
        }
        print(json.dumps(schema, indent=2, ensure_ascii=False))
    else:
        fail(f"there is no schema of {what!r}; write `breakroom schema drill` or `breakroom schema results`")
    return 0
