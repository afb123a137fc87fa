"""Sends requests and turns each into exactly one sample: connections, phase times, deadlines, outcomes.

One `Client` lives in each worker; `load.models` tells it when to begin a request, `load.worker` runs its loop. It is
raw non-blocking sockets over epoll, because that was measured to cost less than uvloop's protocols (docs/load.md), and
the functions on a request's way are longer than elsewhere, because a call costs as much as a system call's tenth.

Two things it does on purpose:

- The request is sent right after `connect`, before the kernel says that the connection stands. On loopback it does
  stand by then, and a round of waiting is saved; elsewhere the kernel says EAGAIN and we wait for it.
- A connection that is not to be used again is left for the server to close (we asked for `Connection: close`), so
  that the port lingers in TIME_WAIT on the server's side and local ports do not run out at high rates. Where it had
  closed by the time its answer was read, so do we, at once.
"""

from __future__ import annotations

import errno
import socket
from time import monotonic_ns

from breakroom.journal.samples import NOT_REACHED, Outcome, SampleWriter, pack_times
from breakroom.load.connection import STREAM, Connection
from breakroom.load.histogram import Histogram
from breakroom.load.messages import Plan
from breakroom.load.outcomes import outcome_of_error
from breakroom.load.poller import CLOSED, READ, READ_OR_CLOSED, WRITE, Poller
from breakroom.load.response import BadResponseError, Head, HeadCache, ResponseReader
from breakroom.load.resting import Resting
from breakroom.load.usual import REUSED, Usual, Usuals

__all__ = ["NEVER", "Client"]

NEVER = 1 << 62
"""A moment that does not come."""

_RECEIVE = 16 * 1024
_BLOCKS = STREAM == socket.SOCK_STREAM
"""A new socket blocks; it has to be told otherwise."""
_LATEST = NOT_REACHED - 1
_PENDING = frozenset({errno.EINPROGRESS, errno.EAGAIN, errno.EWOULDBLOCK})
_NOT_YET = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOTCONN, errno.EINPROGRESS})


class Client:
    """The requests of one worker.

    Attributes:
        busy: Connections with a request on them, by descriptor, in the order in which they were begun (a kept-alive
            connection of a closed model keeps its place).
        ready: Completed requests since the model last looked: how many may follow in a closed model.
        failed: Those of them that were not ok.
        left: Closed model: requests that may still begin, 0 or more. The model counts it down, and so does the
            client itself where a kept-alive connection goes on with its next request at once.
    """

    def __init__(self, plan: Plan, writer: SampleWriter, poller: Poller) -> None:
        spec = plan.probe or plan.load
        assert spec is not None, "a plan holds a probe or a load"
        needle = plan.probe.expect_body.encode() if plan.probe else b""
        self.timeout = spec.timeout
        self.keep_alive = plan.load is not None and plan.load.keep_alive
        self.busy: dict[int, Connection] = {}
        self.ready = 0
        self.failed = 0
        self.left = 0
        self.intended = 0
        self.received_bytes = 0
        self.outcomes = [0] * len(Outcome)
        self.lags = Histogram()
        self._last: Head | None = None
        self._server = ""
        self._document_bytes = -1
        self.next_deadline = NEVER
        self._longest = min(self.timeout, _LATEST * 1000)
        self._status = spec.expect_status
        self._needle = needle
        self._request = plan.request
        self._family = plan.family
        self._address = (plan.host, plan.port)
        self._add = writer.add
        self._samples = writer.buffer
        self._buffer = bytearray(_RECEIVE)
        self._heads = HeadCache(writer.name, head_only=plan.head)
        self._usuals = Usuals(self._heads, status=spec.expect_status, keep_alive=self.keep_alive)
        self._poller = poller
        self._watch = poller.watch
        self._resting = Resting(poller)
        self._idle = self._resting.idle

    @property
    def sent(self) -> int:
        """Requests that we could at least try to connect for."""
        return self.intended - self.outcomes[Outcome.NOT_SENT]

    @property
    def server(self) -> str:
        """What the last answer said that answered; empty: it said nothing, or there was none."""
        return self._last.server if self._last else self._server

    @property
    def document_bytes(self) -> int:
        """Length of the last expected answer's body; -1: there was none."""
        return self._last.length if self._last else self._document_bytes

    @property
    def completed(self) -> int:
        """Requests that have their sample."""
        return sum(self.outcomes)

    # --- beginning ------------------------------------------------------------------------------------------------

    def begin(self, intended: int = 0) -> None:
        """Send one request now, on an idle kept-alive connection or a new one.

        Args:
            intended: When it should have been sent, for an open model; 0: now, for a closed one.
        """
        now = monotonic_ns()
        lag = 0
        if intended:
            lag = now - intended
            self.lags.add(lag)
            if lag > self.timeout:
                # We are later than its whole deadline (a suspended machine, say): sending it would prove nothing.
                self.intended += 1
                self._record_unsent(intended, now, Outcome.NOT_SENT)
                return
        if not self._idle:
            self.begin_new(1, intended, lag)
            return
        self.intended += 1
        fd, connection = self._idle.popitem()
        connection.flags = REUSED
        connection.intended = intended or now
        connection.connected = now
        connection.lag = lag
        connection.first = 0
        connection.reader = connection.unsent = None
        if not self.busy or self.next_deadline == NEVER:
            self.next_deadline = connection.intended + self.timeout
        self.busy[fd] = connection
        request = self._request
        try:
            sent = connection.send(request)
        except OSError as error:
            sent = 0
            if error.errno not in _NOT_YET:
                self._end_by_error(connection, error.errno)
                return
        if sent != len(request):
            connection.unsent = memoryview(request)[sent:]
            self._poller.change(fd, READ | WRITE)

    def begin_new(self, count: int, intended: int = 0, lag: int = 0) -> None:
        """Send so many requests now, each on a new connection. `intended` as for `begin`; `lag`: how late we are."""
        family, address, request = self._family, self._address, self._request
        length = len(request)
        busy, watch, usual = self.busy, self._watch, self._usuals.latest
        if not busy or self.next_deadline == NEVER:
            self.next_deadline = (intended or monotonic_ns()) + self.timeout
        for _ in range(count):
            self.intended += 1
            begun = monotonic_ns()
            try:
                connection = Connection(family, STREAM)
            except OSError:
                again = self._open_again()
                if again is None:
                    self._record_unsent(intended or begun, begun, Outcome.NOT_SENT)
                    continue
                connection = again
            if _BLOCKS:
                connection.setblocking(False)
            error = connection.connect_ex(address)
            if error and error not in _PENDING:
                connection.close()
                self._record_unsent(intended or begun, begun, outcome_of_error(error, connected=False))
                continue
            fd = connection.fd = connection.fileno()
            connection.usual = usual
            connection.intended = intended or begun
            connection.lag = lag
            connection.flags = connection.first = 0
            connection.reader = connection.unsent = None
            busy[fd] = connection
            connection.connected = monotonic_ns()
            try:
                sent = connection.send(request)
            except OSError as problem:
                connection.connected = sent = 0
                if problem.errno not in _NOT_YET:
                    self._end_by_error(connection, problem.errno)
                    continue
            if sent == length:
                watch(fd, READ_OR_CLOSED)
            else:
                connection.unsent = memoryview(request)[sent:]
                watch(fd, READ | WRITE)

    def _open_again(self) -> Connection | None:
        """There was no descriptor: those that only wait for the server to close are ours to give up first."""
        if not self._resting.drop_lingering():
            return None
        try:
            return Connection(self._family, STREAM)
        except OSError:
            return None

    def _send_rest(self, connection: Connection) -> bool:
        """The socket can be written to, or failed; returns whether the whole request is on its way."""
        if not connection.connected:
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self._end_by_error(connection, error)
                return False
            connection.connected = monotonic_ns()
        unsent = connection.unsent
        assert unsent is not None, "only connections with something unsent are watched for writing"
        try:
            count = connection.send(unsent)
        except BlockingIOError:
            return False
        except OSError as error:
            self._end_by_error(connection, error.errno)
            return False
        if count < len(unsent):
            connection.unsent = unsent[count:]
            return False
        connection.unsent = None
        self._poller.change(connection.fd, READ_OR_CLOSED)
        return True

    # --- answers --------------------------------------------------------------------------------------------------

    def handle(self, events: list[tuple[int, int]]) -> bool:
        """Deal with what the poller saw; returns whether some of it was on descriptors that are not ours.

        No connection is opened in here, so that a descriptor number in `events` cannot come to mean another one.
        """
        busy, outcomes, samples = self.busy, self.outcomes, self._samples
        buffer = self._buffer
        longest = self._longest
        strange = False
        for fd, mask in events:
            connection = busy.get(fd)
            if connection is None:
                strange = not self._resting.woke(fd) or strange
                continue
            if (
                connection.unsent is not None
                and mask & ~READ
                and (self._send_rest(connection) or fd not in busy or not mask & ~WRITE)
            ):
                continue
            try:
                size = connection.recv_into(buffer)
            except BlockingIOError:
                continue
            except OSError as error:
                self._end_by_error(connection, error.errno)
                continue
            now = monotonic_ns()
            closed = mask & CLOSED
            self.received_bytes += size
            if not connection.first and size:
                # The fast way: the whole response in one piece, with the last one's head or another known one.
                last = connection.usual
                usual = (
                    last
                    if size == last.size and buffer.startswith(last.raw)
                    else self._whole(connection, size)
                )
                if usual is not None:
                    if usual.parts and connection.unsent is None and now - connection.intended <= longest:
                        # It was for one request and is over. The server has most often closed by now; if the poller
                        # said so, we do it too, and spare ourselves the event of its closing.
                        intended = connection.intended
                        total = (now - intended) // 1000
                        samples += pack_times(
                            intended,
                            connection.lag // 1000,
                            (connection.connected - intended) // 1000,
                            total,
                            total,
                            usual.ending,
                        )
                        outcomes[0] += 1  # `Outcome.OK`
                        self.ready += 1
                        self._last = usual.head
                        del busy[fd]
                        if closed or not self._resting.linger(connection):
                            self._close(connection)
                    elif self.left and usual.turns and connection.flags and not (closed or connection.unsent):
                        self._turn(connection, now, usual)
                    else:
                        connection.first = now
                        head = usual.head
                        self._end_by_response(
                            connection, head, now, body_bytes=head.length, reusable=not closed
                        )
                    continue
                connection.first = now
            self._read(connection, bytes(buffer[:size]), now, closed=bool(closed))
        return strange

    def _whole(self, connection: Connection, size: int) -> Usual | None:
        """What the buffer holds, if it is an answer that is known whole."""
        if self._needle:
            return None
        usual = self._usuals.find(bytes(self._buffer[:size]))
        if usual is not None:
            connection.usual = usual
        return usual

    def _turn(self, connection: Connection, now: int, usual: Usual) -> None:
        """The usual answer has come on a kept-alive connection of a closed model: the next request goes out at once.

        The same as ending this request, handing the connection to the model and getting it back, in fewer steps. The
        next request counts from `now`, when the answer was here: what is done in between counts as its latency.
        """
        intended = connection.intended
        total = now - intended
        if total > self._longest:
            connection.first = now
            self._end_by_response(connection, usual.head, now, body_bytes=usual.head.length)
            return
        self.left -= 1
        self.intended += 1
        self._last = usual.head
        connection.intended = connection.connected = now
        request = self._request
        try:
            count = connection.send(request)
            problem = 0
        except OSError as error:
            count = 0
            problem = error.errno or errno.EIO
        total //= 1000
        self._samples += pack_times(intended, 0, 0, total, total, usual.ending)
        self.outcomes[0] += 1  # `Outcome.OK`
        if problem and problem not in _NOT_YET:
            self._end_by_error(connection, problem)
        elif count != len(request):
            connection.unsent = memoryview(request)[count:]
            self._poller.change(connection.fd, READ | WRITE)

    def _read(self, connection: Connection, data: bytes, now: int, *, closed: bool) -> None:
        """The general way: a response in pieces, or one whose head is new; empty data is the end of the stream."""
        reader = connection.reader
        if reader is None:
            reader = connection.reader = ResponseReader(self._heads, self._needle)
        try:
            complete = reader.feed(data) if data else reader.end_of_stream()
        except BadResponseError:
            self._end_by_nonsense(connection, now)
            return
        if complete and reader.head is not None:
            self._end_by_response(
                connection,
                reader.head,
                now,
                body_bytes=reader.body_bytes,
                found=reader.found,
                reusable=bool(data) and not reader.excess and not closed,
            )
        elif not data:
            self._finish(connection, Outcome.RESET, now, reader.head)
            self._close(connection)

    def _end_by_response(
        self,
        connection: Connection,
        head: Head,
        now: int,
        *,
        body_bytes: int,
        found: bool = True,
        reusable: bool = True,
    ) -> None:
        if head.status != self._status:
            outcome = Outcome.HTTP_ERROR
        elif found:
            outcome = Outcome.OK
            self._document_bytes = body_bytes
        else:
            outcome = Outcome.BAD_BODY
        self._server = head.server
        self._last = None
        self._finish(connection, outcome, now, head)
        if connection.unsent is not None or not reusable:
            self._close(connection)
        elif self.keep_alive and head.keep_alive:
            self._idle[connection.fd] = connection
        elif self.keep_alive or head.keep_alive or not self._resting.linger(connection):
            # A server that means to keep the connection open would never close it: we must.
            self._close(connection)

    def _end_by_nonsense(self, connection: Connection, now: int) -> None:
        """Not HTTP. Or our own words: see below."""
        if connection.is_own_echo():
            # With nobody listening on a port of the ephemeral range, the kernel may pick that very port as ours
            # and join the socket to itself (TCP's simultaneous open). It tells that nobody listened.
            connection.reset_on_close()
            connection.connected = connection.first = 0
            self._finish(connection, Outcome.REFUSED, now, None)
        else:
            head = connection.reader.head if connection.reader else None
            self._finish(connection, Outcome.BAD_BODY, now, head)
        self._close(connection)

    def _end_by_error(self, connection: Connection, code: int | None) -> None:
        outcome = outcome_of_error(code, connected=bool(connection.connected))
        self._finish(
            connection, outcome, monotonic_ns(), connection.reader.head if connection.reader else None
        )
        self._close(connection)

    # --- deadlines and samples ------------------------------------------------------------------------------------

    def expire(self, now: int) -> None:
        """End the requests whose deadline has passed, and find out when to look again."""
        timeout = self.timeout
        latest = now - timeout
        late = []
        earliest = NEVER
        for connection in self.busy.values():
            if connection.intended <= latest:
                late.append(connection)
            else:
                earliest = min(earliest, connection.intended)
                if not self.keep_alive:
                    break  # they stand in the order of their intended times: the others are later still
        for connection in late:
            self._finish(
                connection, Outcome.TIMEOUT, now, connection.reader.head if connection.reader else None
            )
            self._close(connection)
        self.next_deadline = earliest + timeout if earliest != NEVER else NEVER

    def _finish(self, connection: Connection, outcome: Outcome, now: int, head: Head | None) -> None:
        """Write the request's sample; the connection leaves `busy`."""
        intended = connection.intended
        total = now - intended
        if total > self.timeout and outcome is not Outcome.NOT_SENT:
            outcome = Outcome.TIMEOUT  # too late is too late, whatever came
        del self.busy[connection.fd]
        self.outcomes[outcome] += 1
        self.ready += 1
        if outcome:
            self.failed += 1
        connected = connection.connected
        first = connection.first
        lag = connection.lag // 1000
        total //= 1000
        if total > _LATEST:
            total = _LATEST
            lag = min(lag, _LATEST)
            connected = first = 0
        self._add(
            intended,
            lag,
            (connected - intended) // 1000 if connected else NOT_REACHED,
            (first - intended) // 1000 if first else NOT_REACHED,
            total,
            head.status if head else 0,
            head.task if head else 0,
            head.version if head else 0,
            outcome,
            connection.flags,
        )

    def _record_unsent(self, intended: int, begun: int, outcome: Outcome) -> None:
        """Write the sample of a request that never had a connection."""
        self.outcomes[outcome] += 1
        self.ready += 1
        self.failed += 1
        lag = min((begun - intended) // 1000, _LATEST)
        total = min((monotonic_ns() - intended) // 1000, _LATEST)
        self._add(intended, lag, NOT_REACHED, NOT_REACHED, total, 0, 0, 0, outcome)

    # --- closing --------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Call a few times a second: closes connections whose server has not closed them since the last call."""
        self._resting.sweep()

    def close(self) -> None:
        """Close everything; requests under way get no sample."""
        self._resting.close()
        for connection in self.busy.values():
            self._close(connection)
        self.busy.clear()

    def _close(self, connection: Connection) -> None:
        self._poller.forget(connection.fd)
        connection.close()
