"""health-app: a service that can be told to fall ill, to see whether anybody notices.

Run it:  python -I -S health_app.py
Then:    curl -X POST 'http://localhost:3000/fail?mode=sick'      and      curl http://localhost:3000/recover
What it is told by its environment (PORT, SERVICE_TIME_MS, ...) is in docs/sample-apps.md.

| mode | what happens | what notices |
|---|---|---|
| `sick` | `/health` answers 503; `/` goes on working | a health check |
| `slow` | every answer, `/health` too, takes `ms` longer (default 2000) | a health check with a timeout below that |
| `hang` | nothing answers any more, the process lives (for `seconds`, or for ever) | a health check |
| `exit` | the process ends with `code` (default 1) | the restart policy |
"""

from __future__ import annotations

import os
import sys
import time

if not __package__:  # started as a file: make `breakroom` importable from where this file lies
    sys.path.insert(0, __file__.rpartition("/breakroom/")[0])

from breakroom.apps.base import SampleApp, main
from breakroom.apps.log import log
from breakroom.apps.server import Page
from breakroom.apps.settings import Settings
from breakroom.apps.wire import Request, Response

__all__ = ["HealthApp"]


class HealthApp(SampleApp):
    """A service whose health is a switch."""

    name = "health-app"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.mode = "ok"
        self.slower = 0.0
        self.server.pages["/fail"] = Page(self.fail, methods=("POST",))
        self.server.pages["/recover"] = Page(self.recover, methods=("GET", "HEAD", "POST"))

    def work(self) -> dict[str, object]:
        """The front page says how the app is."""
        return {"message": "Hello from health-app.", "mode": self.mode}

    def health(self, request: Request) -> Response:
        """503 when sick, late when slow."""
        response = super().health(request)
        response.delay = self.slower
        if self.mode == "sick":
            response.status = 503
            response.body["status"] = "sick"
        return response

    def stats(self, request: Request) -> Response:
        """Also says the mode."""
        response = super().stats(request)
        response.body["mode"] = self.mode
        return response

    def recover(self, _request: Request) -> Response:
        """`/recover`: be well again. A process that hangs cannot hear this; one that has exited cannot either."""
        self._become("ok")
        return Response({"mode": self.mode})

    def fail(self, request: Request) -> Response:
        """`POST /fail?mode=...`: fall ill. The answer is sent first, so that the one who asked knows it worked."""
        mode = request.query.get("mode", "sick")
        try:
            code = whole(request, "code", 1, most=255)
            seconds = whole(request, "seconds", 0, most=86_400)
            slower = whole(request, "ms", 2000, most=600_000) / 1000
        except ValueError as error:
            return Response({"error": str(error)}, 400)
        if mode == "sick":
            self._become(mode)
            return Response({"mode": mode})
        if mode == "slow":
            self._become(mode, slower)
            return Response({"mode": mode, "slower_by_seconds": slower})
        if mode == "hang":
            return Response({"mode": mode, "seconds": seconds or "for ever"}, then=lambda: hang(seconds))
        if mode == "exit":
            return Response({"mode": mode, "code": code}, then=lambda: leave(code))
        return Response({"error": f"mode is {mode!r}: it must be sick, slow, hang or exit"}, 400)

    def _become(self, mode: str, slower: float = 0.0) -> None:
        log(f"{self.name} was {self.mode}, is {mode}")
        self.mode = mode
        self.slower = slower
        self.server.service_time = self.settings.service_time + slower


def whole(request: Request, name: str, default: int, *, most: int) -> int:
    """A whole number from the query.

    Raises:
        ValueError: it is none, or too large; the text says so.
    """
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
        raise ValueError(f"{name} is {text!r}: it must be a whole number from 0 to {most}")
    return int(text)


def hang(seconds: int) -> None:
    """Do nothing, hear nothing, not even SIGTERM: what a deadlock or a blocked event loop looks like from outside."""
    log(f"health-app hangs, {f'for {seconds} s' if seconds else 'for ever'}")
    until = time.monotonic() + seconds
    while not seconds or time.monotonic() < until:
        time.sleep(seconds or 3600)


def leave(code: int) -> None:
    """End at once, in the middle of everything, as a crash does."""
    log(f"health-app exits with {code}")
    os._exit(code)


if __name__ == "__main__":
    main(HealthApp)
