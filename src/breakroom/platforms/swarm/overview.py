"""`docker service ps` from the API's rows: the table that a person would read at that moment.

Used by `service.overview`. Pure; columns and words are docker/cli's, through `engine.views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breakroom.engine.views import TaskRow, as_table, human_duration
from breakroom.platforms.docker.clock import parse_time

__all__ = ["service_ps"]

_SHORT_ID = 12


def service_ps(rows: list[Mapping[str, Any]], *, name: str, names: Mapping[str, str], now_unix: int) -> str:
    """The table.

    Args:
        rows: the service's tasks as the API gives them.
        name: the service's name.
        names: the nodes' host names by id.
        now_unix: the time now, Unix ns.
    """
    ordered = sorted(rows, key=lambda row: str(row["CreatedAt"]), reverse=True)
    ordered.sort(key=lambda row: int(row.get("Slot") or 0))
    seen: set[int] = set()
    table = []
    for row in ordered:
        slot = int(row.get("Slot") or 0)
        table.append(_row(row, name, names, now_unix, older=slot in seen))
        seen.add(slot)
    return as_table(table, TaskRow)


def _row(
    row: Mapping[str, Any], name: str, names: Mapping[str, str], now_unix: int, *, older: bool
) -> TaskRow:
    status = row["Status"]
    state = str(status["State"])
    since = parse_time(str(status.get("Timestamp") or ""))
    ago = human_duration(now_unix - since).lower() if since is not None else ""
    node = str(row.get("NodeID") or "")
    return TaskRow(
        id=str(row["ID"])[:_SHORT_ID],
        name=f"{name}.{row.get('Slot') or node}",
        older=older,
        image=str(row["Spec"]["ContainerSpec"]["Image"]).partition("@")[0],
        node=names.get(node, node),
        desired_state=str(row["DesiredState"]).capitalize(),
        current_state=f"{state.capitalize()} {ago} ago" if ago else state.capitalize(),
        error=str(status.get("Err") or ""),
        ports=_ports(status),
    )


def _ports(status: Mapping[str, Any]) -> str:
    ports = (status.get("PortStatus") or {}).get("Ports") or ()
    # An address of each family is a port to Docker; to its reader it is one.
    texts = [f"*:{port['PublishedPort']}->{port['TargetPort']}/{port['Protocol']}" for port in ports]
    return ",".join(dict.fromkeys(texts))
