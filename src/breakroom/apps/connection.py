"""One client's connection: bytes in, requests out; answers in, bytes out; and its deadline.

Made by `server` for every client. While a request is being answered nothing is read, so a client's requests
are served one after the other, and a client that sends too much waits in its own socket buffer.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time

from breakroom.apps.wire import MAX_BODY, MAX_HEAD, Refusal, Request, Response, parse_head, render

TYPE_CHECKING = False  # importing it from `typing` would cost 4 ms a start
if TYPE_CHECKING:
    from collections.abc import Callable

    from breakroom.apps.server import Server

__all__ = ["IDLE_TIMEOUT", "LAST_WORDS", "Connection"]

IDLE_TIMEOUT = 60.0
"""Seconds a connection may stay open between two requests."""
LAST_WORDS = 1.0
"""Seconds a refused client has to read why."""


class Connection:
    """A connection and what is going on on it.

    `busy`: a request of it is in the app's hands. `ending`: the answer being sent is the last one.
    """

    def __init__(self, server: Server, client: socket.socket, peer: str) -> None:
        self.server = server
        self.socket = client
        self.peer = peer
        self._patience = server.settings.request_timeout
        self.deadline = time.monotonic() + self._patience
        self.answered = 0
        self.busy = False
        self.ending = False
        self.closed = False
        self._lingers = False
        self._events = 0
        self._received = bytearray()
        self._to_send = b""
        self._request: Request | None = None  # its head was read, its body not yet
        self._then: Callable[[], None] | None = None
        self._taking = False

    @property
    def at_work(self) -> bool:
        """Whether closing it now would cut something off."""
        return self.busy or bool(self._to_send or self._received or self._request)

    # ---- in ----

    def on_event(self, events: int) -> None:
        """The selector says that it can be read or written."""
        if self.closed:
            return  # by an earlier event of the same round
        if events & selectors.EVENT_WRITE:
            self._send()
            self.take_requests()
        else:
            self.read()

    def on_deadline(self) -> None:
        """Its time is up."""
        if self.busy:
            self.deadline = float("inf")  # it waits for us, not we for it
        elif (self._received or self._request) and not self._to_send:
            self.refuse(Refusal(408, f"the request took more than {self._patience:g} s to arrive"))
        else:
            self.close()

    def read(self) -> None:
        """Read what has come and serve the requests in it."""
        try:
            received = self.socket.recv(MAX_HEAD + MAX_BODY)
        except BlockingIOError:
            self._watch(selectors.EVENT_READ)
            return
        except OSError:
            received = b""
        if not received:
            self.close()
        elif not self.ending:  # a refused client's bytes are thrown away
            if self.answered and not self._received and not self._request:
                self.deadline = time.monotonic() + self._patience  # an idle one speaks again
            self._received += received
            self.take_requests()

    def take_requests(self) -> None:
        """Serve the whole requests that were received, until one is not answered at once."""
        if self._taking:
            return  # called from within: the loop below goes on by itself
        self._taking = True
        try:
            while not (self.busy or self.ending or self.closed or self._to_send):
                request = self._next_request()
                if request is None:
                    self._watch(selectors.EVENT_READ)
                    break
                self.server.serve(self, request)
            if self.busy:
                self._watch(0)
        except Refusal as refusal:
            self.refuse(refusal)
        finally:
            self._taking = False

    def _next_request(self) -> Request | None:
        if self._request is None:
            parsed = parse_head(self._received)
            if parsed is None:
                return None
            self._request, taken = parsed
            del self._received[:taken]
            if self._request.wants_continue and len(self._received) < self._request.body_length:
                self._say_continue()
        request = self._request
        if len(self._received) < request.body_length:
            return None
        del self._received[: request.body_length]  # no sample app has a use for it
        self._request = None
        return request

    def _say_continue(self) -> None:
        # If it cannot be sent, the client sends its body after a while all the same, or the next read says it has gone.
        with contextlib.suppress(OSError):
            self.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    # ---- out ----

    def answer(self, request: Request, response: Response) -> None:
        """Send a page's response, then go on with what the client sent meanwhile."""
        self.ending = not request.keep_alive or self.server.stopping
        self._put(response, has_body=request.method != "HEAD")
        self.take_requests()

    def refuse(self, refusal: Refusal) -> None:
        """Say why the client's request cannot be served, and end the connection."""
        self._received.clear()
        self._request = None
        self.ending = True
        self._lingers = True
        self.server.refused(self, refusal)
        self._put(Response({"error": refusal.why}, refusal.status), has_body=True)

    def _put(self, response: Response, *, has_body: bool) -> None:
        self.answered += 1
        self.busy = False
        self._then = response.then
        self._to_send += render(response, self.server.headers(), keep_alive=not self.ending, body=has_body)
        self.deadline = time.monotonic() + self._patience
        self._send()

    def _send(self) -> None:
        try:
            sent = self.socket.send(self._to_send)
        except BlockingIOError:
            sent = 0
        except OSError:  # the client has gone
            self.close()
            return
        self._to_send = self._to_send[sent:]
        if self._to_send:
            self._watch(selectors.EVENT_WRITE)
            return
        then, self._then = self._then, None
        self._after_answer()
        if then is not None:
            then()

    def _after_answer(self) -> None:
        if not self.ending:
            self.deadline = time.monotonic() + IDLE_TIMEOUT
            self._watch(selectors.EVENT_READ)
        elif self._lingers:
            # Closing with unread bytes in the socket would make the kernel reset the connection and take the
            # answer with it. So: say that we are done, and read what still comes for a moment.
            self.deadline = time.monotonic() + LAST_WORDS
            self._watch(selectors.EVENT_READ)
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.close()
        else:
            self.close()

    # ---- end ----

    def close(self) -> None:
        """Close it, whatever it was doing."""
        if not self.closed:
            self._watch(0)
            self.closed = True
            self.socket.close()
            self.server.closed(self)

    def _watch(self, events: int) -> None:
        """Have the selector watch it for `events` (0: not at all)."""
        if self.closed or events == self._events:
            return
        selector = self.server.selector
        if not self._events:
            selector.register(self.socket, events, self)
        elif not events:
            selector.unregister(self.socket)
        else:
            selector.modify(self.socket, events, self)
        self._events = events
