"""improved-app: the course's well-behaved service. It remembers its visitors, within bounds.

Run it:  python -I -S improved_app.py        then  curl http://localhost:3000/
What it is told by its environment (PORT, APP_VERSION, SERVICE_TIME_MS, ...) is in docs/sample-apps.md.

APP_VERSION=v2 is the next release of it, for rolling updates: its answers say so, and greet differently.
"""

from __future__ import annotations

import sys

if not __package__:  # started as a file: make `breakroom` importable from where this file lies
    sys.path.insert(0, __file__.rpartition("/breakroom/")[0])

from breakroom.apps.base import SampleApp, main

__all__ = ["ImprovedApp"]


class ImprovedApp(SampleApp):
    """Counts its visits in one number: memory stays flat however many come. Compare with `memory_leak_app`."""

    name = "improved-app"
    visits = 0

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
