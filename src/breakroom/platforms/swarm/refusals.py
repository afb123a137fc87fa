"""What a service has not, since its orchestrator decides: the base of `service.SwarmDeployment`.

The acts of the platform protocol that are a person's on a single container are refused here.
"""

from __future__ import annotations

from breakroom.platforms.base import PlatformError
from breakroom.spec.service import ServiceSpec

__all__ = ["Orchestrated"]


class Orchestrated:
    """A service, as far as the acts are concerned that it has not."""

    async def start(self) -> None:
        """Containers only.

        Raises:
            PlatformError: always.
        """
        raise _only_containers("started")

    async def stop(self) -> None:
        """Containers only.

        Raises:
            PlatformError: always.
        """
        raise _only_containers("stopped")

    async def restart(self) -> None:
        """Containers only.

        Raises:
            PlatformError: always.
        """
        raise _only_containers("restarted")

    async def replace(self, service: ServiceSpec) -> None:
        """Containers only; a service is updated.

        Raises:
            PlatformError: always.
        """
        raise _only_containers(f"replaced by {service.image or service.name}")


def _only_containers(done: str) -> PlatformError:
    return PlatformError(
        "unsupported", f"a service is not {done} as a container is: its orchestrator decides"
    )
