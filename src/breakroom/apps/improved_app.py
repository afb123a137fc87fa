"""improved-app: the course's well-behaved service. It remembers its visitors, within bounds.

Run it:  python -I -S improved_app.py        then  curl http://localhost:3000/
What it is told by its environment (PORT, APP_VERSION, SERVICE_TIME_MS, ...) is in docs/sample-apps.md.

APP_VERSION=v2 is the next release of it, for rolling updates: its answers say so, and greet differently. BUG makes a
bad release of it: `crash`, `sick`, `slow` or `errors`.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: make `breakroom` importable from where this file lies
    sys.path.insert(0, __file__.rpartition("/breakroom/")[0])

from breakroom.apps.base import SampleApp, main
from breakroom.apps.log import log
from breakroom.apps.settings import Settings
from breakroom.apps.wire import Request, Response

__all__ = ["ImprovedApp"]


class ImprovedApp(SampleApp):
    """Counts its visits in one number: memory stays flat however many come. Compare with `memory_leak_app`."""

    name = "improved-app"
    visits = 0

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if settings.bug == "crash":
            self.server.at(self.server.started + settings.bug_after, self.crash)
        elif settings.bug == "slow":
            self.server.service_time += settings.bug_slower

    def front_page(self, request: Request) -> Response:
        """`/`: 500 from a release with the bug `errors`."""
        if self.settings.bug == "errors":
            return Response({"error": f"{self.name} {self.settings.version} has a bug: errors"}, 500)
        return super().front_page(request)

    def health(self, request: Request) -> Response:
        """503 from a release with the bug `sick`; the others' bugs are not seen here."""
        response = super().health(request)
        if self.settings.bug == "sick":
            response.status = 503
            response.body["status"] = "sick"
        return response

    def stats(self, request: Request) -> Response:
        """Also says the bug."""
        response = super().stats(request)
        response.body["bug"] = self.settings.bug
        return response

    def crash(self) -> None:
        """End at once, in the middle of everything."""
        log(f"{self.name} {self.settings.version} has a bug: it crashes, exit code 1")
        os._exit(1)

    def work(self) -> dict[str, object]:
        """Count the visit."""
        self.visits += 1
        version = self.settings.version
        if version == "v1":
            return {"message": "Hello from improved-app.", "visits": self.visits}
        return {
            "message": f"Hello from the new improved-app, release {version}.",
            "visits": self.visits,
            "new": "this answer has one line more than the one of v1",
        }


if __name__ == "__main__":
    main(ImprovedApp)
