"""A small HTTP server: one thread, one selector, no framework. What the sample apps stand on.

Started by `base.main`. Why not `http.server` or asyncio: a replica that replaces a killed one should serve after 25
milliseconds, and importing either costs more than that. What it takes care of, because drills measure it:

- **Nothing is dropped in silence.** Clients wait in the kernel's queue, then at the desk; every request that was read
  is answered.
- **Nobody can hold it up.** Heads, bodies and the time to send them are bounded; a client that is too slow gets 408.
- **A polite end.** SIGTERM or SIGINT: take in what had already connected, stop listening, finish every request that
  was begun or is waiting, close idle connections, exit 0. What is not done after SHUTDOWN_TIMEOUT is cut, exit 1.
"""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import socket
import sys
import time

from breakroom.apps.connection import LAST_WORDS, Connection
from breakroom.apps.desk import Desk, Job
from breakroom.apps.listener import BACKLOG, Listener
from breakroom.apps.log import log
from breakroom.apps.wire import Refusal, Request, Response

TYPE_CHECKING = False  # importing it from `typing` would cost 4 ms a start
if TYPE_CHECKING:
    from collections.abc import Callable

    from breakroom.apps.settings import Settings

__all__ = ["Page", "Server"]

SWEEP = 0.25
"""Seconds between two looks at the connections' deadlines."""


class Page:
    """One path of an app: who answers it, to which methods, and whether it is work that waits at the desk."""

    def __init__(
        self,
        answer: Callable[[Request], Response],
        *,
        methods: tuple[str, ...] = ("GET", "HEAD"),
        is_work: bool = False,
    ) -> None:
        self.answer = answer
        self.methods = methods
        self.is_work = is_work


class Server:
    """Serves an app's pages until it is told to stop."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.pages: dict[str, Page] = {}
        self.desk = Desk(settings.concurrency)
        self.service_time = settings.service_time
        self.connections: set[Connection] = set()
        self.answers: dict[int, int] = {}
        self.started = time.monotonic()
        self.selector = selectors.DefaultSelector()
        self._listener: Listener | None = None
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timers_set = 0
        self._next_sweep = 0.0
        self._beginning = False
        self._stop_by: float | None = None
        self._wake_up, self._alarm = socket.socketpair()
        self._date = (0, "")

    @property
    def stopping(self) -> bool:
        """Whether the polite end has begun."""
        return self._stop_by is not None

    # ---- life ----

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Returns the exit code: 0, or 1 if requests were cut at the end."""
        self._watch_signals()
        if self._told_to_stop_before_start():
            log(f"{self.name} stopped before it began to listen")
            return 0
        self._listen()
        while not self._is_over():
            for key, events in self.selector.select(self._until_next()):
                self._on_event(key.data, events)
            self._on_time()
        cut = sum(connection.at_work for connection in self.connections)
        for connection in list(self.connections):
            connection.close()
        log(f"{self.name} stopped: {self.desk.served} requests served, {cut} cut")
        return 1 if cut else 0

    def stop(self, why: str) -> None:
        """Begin the polite end; told twice, cut it short."""
        if self._stop_by is not None:
            self._stop_by = 0.0
            return
        log(f"{self.name} stopping on {why}: {self.desk.in_service + self.desk.waiting} requests to finish")
        now = time.monotonic()
        self._stop_by = now + self.settings.shutdown_timeout
        if self._listener is not None:
            # The kernel would reset the connections that it has made and we have not taken in.
            for _ in range(BACKLOG + 1):
                if not self._accept(self._listener):
                    break
            self._listener.close()
        for connection in list(self.connections):
            if connection.at_work:
                continue
            if connection.answered:
                connection.close()
            else:  # its first request may be on its way
                connection.deadline = min(connection.deadline, now + LAST_WORDS)

    def _is_over(self) -> bool:
        if self._stop_by is None:
            return False
        return not self.connections or time.monotonic() >= self._stop_by

    def _watch_signals(self) -> None:
        """Signals become bytes on a socket that the selector watches, so that none is missed while it waits."""
        self._wake_up.setblocking(False)
        self._alarm.setblocking(False)
        signal.set_wakeup_fd(self._alarm.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.selector.register(self._wake_up, selectors.EVENT_READ)

    def _told_to_stop_before_start(self) -> bool:
        """Wait START_DELAY_MS, as an app does that takes long to start."""
        ready = self.started + self.settings.start_delay
        while (left := ready - time.monotonic()) > 0:
            if self.selector.select(left):
                return True
        return False

    def _listen(self) -> None:
        host, port = self.settings.host, self.settings.port
        try:
            self._listener = Listener(host, port, self.selector)
        except OSError as error:
            sys.exit(f"{self.name}: cannot listen on {host} port {port}: {error.strerror or error}")
        who = f"as task {self.settings.task}, pid {os.getpid()}"
        log(f"{self.name} {self.settings.version} listening on {self._listener.url} {who}")

    # ---- the loop ----

    def _until_next(self) -> float | None:
        """Seconds until something is due without a client's doing; None: nothing is."""
        due = self._timers[0][0] if self._timers else float("inf")
        if self.connections or (self._listener is not None and self._listener.paused):
            due = min(due, self._next_sweep)
        return None if due == float("inf") else max(0.0, due - time.monotonic())

    def _on_event(self, source: object, events: int) -> None:
        if isinstance(source, Connection):
            source.on_event(events)
        elif isinstance(source, Listener):
            for _ in range(64):  # then those inside get their turn
                if source.paused or not self._accept(source):
                    break
        else:
            for number in self._wake_up.recv(64):
                self.stop(signal.Signals(number).name)

    def _on_time(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP
            for connection in [one for one in self.connections if one.deadline <= now]:
                connection.on_deadline()
            if self._listener is not None and not self.stopping:
                self._listener.resume()

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Call `act` at `when` (seconds of time.monotonic)."""
        self._timers_set += 1  # keeps those of the same time in order
        heapq.heappush(self._timers, (when, self._timers_set, act))

    def _accept(self, listener: Listener) -> bool:
        accepted = listener.accept()
        if accepted is None:
            return False
        connection = Connection(self, *accepted)
        self.connections.add(connection)
        connection.read()  # its request has often come with it
        return True

    # ---- what connections ask of the server ----

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of every answer."""
        now = int(time.time())
        if now != self._date[0]:
            self._date = (now, time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now)))
        return (
            ("Date", self._date[1]),
            ("X-Task-Id", self.settings.task),
            ("X-Version", self.settings.version),
        )

    def closed(self, connection: Connection) -> None:
        """A connection is closed: its file descriptor is free for one that waits."""
        self.connections.discard(connection)
        if self._listener is not None and not self.stopping:
            self._listener.resume()

    def refused(self, connection: Connection, refusal: Refusal) -> None:
        """A connection answers what is no request."""
        self._note(refusal.status)
        if self.settings.log_requests:
            log(f'{connection.peer} "?" {refusal.status} {refusal.why}')

    def serve(self, connection: Connection, request: Request) -> None:
        """Answer a request, now or later; `connection.busy` tells which."""
        connection.busy = True
        page = self.pages.get(request.path)
        if page is None:
            response = Response({"error": "no such page", "pages": sorted(self.pages)}, 404)
        elif request.method not in page.methods:
            allowed = ", ".join(page.methods)
            error: dict[str, object] = {"error": f"{request.path} answers to {allowed}"}
            response = Response(error, 405, headers=(("Allow", allowed),))
        elif page.is_work:
            self.desk.arrive(Job(connection, request, time.monotonic()))
            self._begin_jobs()
            return
        else:
            response = self._ask(page, request)
        if response.delay:
            later = time.monotonic() + response.delay
            self.at(later, lambda: self._answer(connection, request, response))
        else:
            self._answer(connection, request, response)

    # ---- work ----

    def _begin_jobs(self) -> None:
        if self._beginning:
            return  # called from within: the loop below sees the freed place by itself
        self._beginning = True
        for job in self.desk.begin(time.monotonic()):
            if self.settings.cpu_time:
                burn(self.settings.cpu_time)
            self._finish_at(job, job.begun + self.service_time)
        self._beginning = False

    def _finish_at(self, job: Job, due: float) -> None:
        if self.service_time:
            self.at(due, lambda: self._finish(job, due))
        else:
            self._finish(job, due)

    def _finish(self, job: Job, due: float) -> None:
        response = self._ask(self.pages[job.request.path], job.request)
        self.desk.done(due)
        waited, took = job.begun - job.arrived, time.monotonic() - job.begun
        response.headers += (
            ("Server-Timing", f"queue;dur={waited * 1000:.1f}, service;dur={took * 1000:.1f}"),
        )
        self._answer(job.connection, job.request, response)
        self._begin_jobs()

    def _ask(self, page: Page, request: Request) -> Response:
        try:
            return page.answer(request)
        except Exception as error:  # noqa: BLE001 - one broken page must not end the service for everybody
            log(f"{self.name} failed to answer {request.path}: {type(error).__name__}: {error}")
            return Response({"error": "this page is broken; the log says why"}, 500)

    def _answer(self, connection: Connection, request: Request, response: Response) -> None:
        self._note(response.status)
        if self.settings.log_requests:
            log(f'{connection.peer} "{request.method} {request.path} {request.version}" {response.status}')
        connection.answer(request, response)

    def _note(self, status: int) -> None:
        self.answers[status] = self.answers.get(status, 0) + 1


def burn(seconds: float) -> None:
    """Use up `seconds` of CPU time. The whole app waits meanwhile: it has one thread, as Node.js has."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
