"""What the sample apps have in common: `/`, `/health` and `/stats`, and the way they start.

Each app is a class on top of `SampleApp` and hands it to `main`. Docs: docs/sample-apps.md.
"""

from __future__ import annotations

import os
import resource
import sys
import time

from breakroom.apps.server import Page, Server
from breakroom.apps.settings import SettingError, Settings
from breakroom.apps.wire import Request, Response

__all__ = ["SampleApp", "main"]


class SampleApp:
    """A service with one page that does work. A subclass says what the work is."""

    name = "sample-app"
    leak_bytes = 0
    """What LEAK_BYTES is for this app if it is not set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server = Server(self.name, settings)
        self.server.pages = {
            "/": Page(self.front_page, is_work=True),
            "/health": Page(self.health),
            "/stats": Page(self.stats),
        }

    def front_page(self, _request: Request) -> Response:
        """`/`: who answered, and what the app has to say."""
        body: dict[str, object] = {
            "app": self.name,
            "version": self.settings.version,
            "task": self.settings.task,
            "host": self.settings.hostname,
            "pid": os.getpid(),
            "served": self.server.desk.served + 1,
        }
        return Response(body | self.work())

    def work(self) -> dict[str, object]:
        """Do the app's work for one request; what it returns is added to the answer's body."""
        return {}

    def health(self, _request: Request) -> Response:
        """`/health`: whether the app is well. It never waits at the desk, so a loaded app is not called sick."""
        return Response({"status": "ok", "task": self.settings.task, "version": self.settings.version})

    def stats(self, _request: Request) -> Response:
        """`/stats`: what the app knows of its own state."""
        server, desk = self.server, self.server.desk
        body: dict[str, object] = {
            "app": self.name,
            "version": self.settings.version,
            "task": self.settings.task,
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - server.started, 3),
            "served": desk.served,
            "in_service": desk.in_service,
            "most_in_service": desk.most_in_service,
            "concurrency": desk.places,
            "waiting": desk.waiting,
            "longest_line": desk.longest_line,
            "service_time_ms": server.service_time * 1000,
            "connections": len(server.connections),
            "answers": {str(status): count for status, count in sorted(server.answers.items())},
            "rss_bytes": resident_bytes(),
        }
        return Response(body)


def resident_bytes() -> int:
    """Memory that this process has in use; on systems without /proc, the most it ever had."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - pathlib costs 10 ms a start
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def main(app: type[SampleApp]) -> None:
    """Run an app with the settings of the environment until it is told to stop; ends the process.

    Exit codes: 0 stopped with every request answered, 1 requests were cut or the port cannot be had,
    2 a setting is wrong.
    """
    try:
        settings = Settings(os.environ, leak_bytes=app.leak_bytes)
    except SettingError as error:
        print(f"{app.name}: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(app(settings).server.run())
