"""memory-leak-app: the course's vulnerable service. Every request makes it larger, until its memory limit kills it.

Run it:  python -I -S memory_leak_app.py        then  curl http://localhost:3000/
What it is told by its environment (PORT, LEAK_BYTES, SERVICE_TIME_MS, ...) is in docs/sample-apps.md.
"""

from __future__ import annotations

import sys

if not __package__:  # started as a file: make `breakroom` importable from where this file lies
    sys.path.insert(0, __file__.rpartition("/breakroom/")[0])

from breakroom.apps.base import SampleApp, main, resident_bytes
from breakroom.apps.log import log
from breakroom.apps.settings import Settings
from breakroom.apps.wire import Request, Response

__all__ = ["MemoryLeakApp"]

MIB = 1024 * 1024
FIRST_NOTE = 4 * MIB
"""The log says how large the app has become whenever the leak has grown by a tenth, and by at least so much: a few
dozen lines up to 512 MiB, of which the last one before the app's death is not far from the truth."""


class MemoryLeakApp(SampleApp):
    """Remembers every visit for ever, and looks through all of them at the next one: larger and slower each time.

    It is the mistake of a cache without an end, as it is made in real services.
    """

    name = "memory-leak-app"
    leak_bytes = 120 * 1024
    """512 MiB, less 10 MiB for the app itself, last for about 4,280 requests: less than half of the course's
    `ab -n 10000 -c 100`. All of those take more than 1 GiB: on a machine with swap, Docker lets `--memory=512m` have as
    much swap again, and the course's command must be the app's end there too."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.visits: list[tuple[int, bytes]] = []
        self.next_note = FIRST_NOTE

    def work(self) -> dict[str, object]:
        """Remember the visit, with everything about it."""
        # Filling the bytes touches their pages, so the memory is really taken, not only promised by the kernel.
        self.visits.append((len(self.visits), b"\xff" * self.settings.leak_bytes))
        remembered = sum(len(everything) for _, everything in self.visits)
        if remembered >= self.next_note:
            self.note(remembered)
        if self.settings.slower_per_mib:
            # As with a collector that has more to look through each time: waited, so the same on any machine.
            slower = self.settings.slower_per_mib * remembered / MIB
            self.server.service_time = self.settings.service_time + slower
        return {
            "message": "Hello from memory-leak-app. I will never forget this visit.",
            "visits": len(self.visits),
            "leaked_bytes": remembered,
        }

    def note(self, remembered: int) -> None:
        """Log how large the app has become."""
        self.next_note = remembered + max(FIRST_NOTE, remembered // 10)
        mine, all_of_it = f"{remembered / MIB:.1f} MiB", f"{resident_bytes() / MIB:.1f} MiB"
        log(f"{self.name} remembers {len(self.visits)} visits in {mine}; its memory is {all_of_it}")

    def stats(self, request: Request) -> Response:
        """Also says how much was leaked."""
        response = super().stats(request)
        response.body["leaked_bytes"] = len(self.visits) * self.settings.leak_bytes
        return response


if __name__ == "__main__":
    main(MemoryLeakApp)
