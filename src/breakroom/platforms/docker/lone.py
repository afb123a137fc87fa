"""What a plain container has not: an orchestrator, and other nodes to move to. The base of `acts.ContainerActs`.

Every act of the platform protocol that needs one of them is refused here, with the way out.
"""

from __future__ import annotations

from breakroom.i18n.terms import N_
from breakroom.platforms.base import Availability, Evidence, NodeView, PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.spec.service import ServiceSpec

__all__ = ["CANNOT", "LoneContainer"]

_ONE_ENGINE = N_(
    "a container stays on the engine that it was made on; `--platform swarm` moves tasks between nodes"
)
_NO_ORCHESTRATOR = "a plain container has no orchestrator; `--platform swarm` runs services"

CANNOT = {"drain": _ONE_ENGINE, "node_loss": _ONE_ENGINE, "partition.node": _ONE_ENGINE}
"""Timeline actions that plain containers do not have, with the reason (`Capabilities.cannot`)."""


class LoneContainer:
    """A container on a daemon, as far as the acts are concerned that it has not."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    async def nodes(self) -> list[NodeView]:
        """The daemon's machine."""
        name = str(self.daemon.info.get("Name", ""))
        return [
            NodeView(
                id=str(self.daemon.info.get("ID", name)), name=name, role="manager", status="ready",
                availability="active", address=self.daemon.node_address, leader=True, here=True,
            )
        ]  # fmt: skip

    async def set_availability(self, node: str, availability: Availability) -> Evidence:
        """Refused: a container does not move.

        Raises:
            PlatformError: `unsupported`, always.
        """
        raise PlatformError("unsupported", f"{node} cannot be made {availability}: {_ONE_ENGINE}")

    async def cut_node(self, node: str, within: int) -> Evidence:
        """Refused: a container does not move.

        Raises:
            PlatformError: `unsupported`, always.
        """
        raise PlatformError(
            "unsupported", f"{node} cannot be cut off (for {within / 1e9:g} s): {_ONE_ENGINE}"
        )

    async def heal_node(self, node: str) -> None:
        """Nothing was cut."""

    async def scale(self, replicas: int) -> None:
        """Refused.

        Raises:
            PlatformError: `unsupported`, always.
        """
        raise PlatformError("unsupported", f"it cannot have {replicas} replicas: {_NO_ORCHESTRATOR}")

    async def update(self, service: ServiceSpec) -> None:
        """Refused.

        Raises:
            PlatformError: `unsupported`, always.
        """
        raise PlatformError("unsupported", f"{service.name} cannot be updated: {_NO_ORCHESTRATOR}")

    async def rollback(self) -> None:
        """Refused.

        Raises:
            PlatformError: `unsupported`, always.
        """
        raise PlatformError("unsupported", f"nothing can be rolled back: {_NO_ORCHESTRATOR}")
