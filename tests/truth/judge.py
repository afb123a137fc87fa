"""Compares what the server of ground truth did with what the generators wrote and the analysis found. Pure.

`judge` is asked for each played lane by the truth suite. It shares no rule with breakroom but the definitions of
docs/numbers.md. A schedule in which the machine kept a generator or the server from the processor for longer than
`SLACK` says nothing about the bound; it is *not judged*, and played again. How many requests there were is judged
always.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from breakroom.analysis.results import Outage
from truth.evidence import OUTCOMES, Request
from truth.play import Change, Part, Played, Taken
from truth.schedules import BAD, DEADLINE, GOOD, MS

__all__ = ["SLACK", "Judged", "JudgedPart", "is_swallowed", "judge"]

SLACK = 2 * MS
"""What an edge may be off by beside one spacing of the probe."""
_STATUSES: dict[str, Container[int]] = {
    "error": range(400, 600),
    "wrong": (200, 0),  # the load gets something that is not HTTP
    **dict.fromkeys(("late", "garbage", "reset", "cut", "hang", "backlog"), (0,)),
}
_TOO_BUSY = {"unknown.generator-lag", "unknown.probe-blind", "unknown.not-sent"}
_WHOLE = ("ok", "http-error")
_US = 1_000
_NEVER = Change(1 << 62, 1 << 62, "")


@dataclass
class JudgedPart:
    """One schedule. `wrong`: every disagreement; `why_not`: why it could not be judged, empty if it could."""

    why_not: str = ""
    wrong: list[str] = field(default_factory=list)
    outages: int = 0
    """Longer than two spacings, all of them found unless `wrong` says so."""
    shorter: int = 0
    start_errors: list[int] = field(default_factory=list)
    end_errors: list[int] = field(default_factory=list)
    """Ns by which the outages' edges were off."""


@dataclass
class Judged:
    """A lane. `wrong`: disagreements about all of it, not about one schedule."""

    parts: list[JudgedPart] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    sent: int = 0
    seen: int = 0
    refused: int = 0
    crossed: int = 0
    """Requests that met a listener or connection while it was being closed: the kernel reset them, nobody saw them."""
    swallowed: int = 0
    """Those whose connection was begun in the moment in which the listener was closed: the kernel dropped the SYN."""
    outcomes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Pair:
    """A request as both sides saw it; `taken` None: the server did not."""

    request: Request
    taken: Taken | None

    @property
    def delay(self) -> int:
        """From its time until the server took or refused it; if that does not accept, until the connection stood."""
        request, taken = self.request, self.taken
        if taken is None and request.outcome == "timeout":
            return _sent_at(request) - request.intended
        if taken is None:
            return request.ended - request.intended
        met = taken.met if taken.state != "backlog" else request.connected or request.ended
        return met - request.intended


def judge(played: Played) -> Judged:
    """Everything that is compared, for one lane."""
    found = Judged()
    pairs = [
        pair for name, samples in played.samples.items() for pair in _stream(played, name, samples, found)
    ]
    for part in played.parts:
        mine = [pair for pair in pairs if part.start <= pair.request.intended < part.end]
        found.parts.append(_judge_part(played, part, mine))
    return found


def is_swallowed(played: Played, request: Request) -> bool:
    """Whether it was begun while the listener was being closed, and never got a connection.

    A SYN that comes while the closing holds the listener waits for it to be done, and is then dropped: there is no
    listener any more, and the kernel sends no RST for it (`tcp_close`, `tcp_rcv_state_process` in TCP_CLOSE).
    """
    return (
        request.outcome == "timeout"
        and request.connected is None
        # It may have been kept from the processor between its begin and its SYN, which never goes out before that.
        and any(change.before - SLACK <= _sent_at(request) <= change.after for change in _closings(played))
    )


def _judge_part(played: Played, part: Part, pairs: list[_Pair]) -> JudgedPart:
    found = JudgedPart()
    late = max(pair.delay for pair in pairs)
    codes = {why.code for why in part.trial.reasons_unknown} - {"unknown.no-fault"}
    if codes - _TOO_BUSY:
        found.wrong.append(f"the trial is unknown: {codes}")
    if codes & _TOO_BUSY:
        found.why_not = f"the trial is unknown: {codes}"
    elif late > SLACK:
        found.why_not = f"a request was taken {late / MS:.1f} ms after its time"
    elif any(change.after - change.before > SLACK / 2 for change in part.changes):
        found.why_not = "the server was interrupted while it changed its state"
    for pair in pairs:
        found.wrong += _differences(pair)
    found.wrong += _counts(played, part)
    _edges(played, part, found, late)
    return found


# --- how many requests ------------------------------------------------------------------------------------------------


def _sent_at(request: Request) -> int:
    return request.intended + request.lag_us * _US


def _stream(played: Played, name: str, samples: list[Request], found: Judged) -> list[_Pair]:
    """Count one stream's requests, on both sides; returns those that can be told one by one."""
    taken = [one for one in played.taken if one.stream == name]
    sent = [request for request in samples if request.outcome != "not-sent"]
    refused = [request for request in sent if request.outcome == "refused"]
    swallowed = [request for request in sent if is_swallowed(played, request)]
    reached = sorted((r for r in sent if r.outcome != "refused" and r not in swallowed), key=_sent_at)
    closing = [request for request in reached if _at_a_closing(played, request)]
    crossed = len(reached) - len(taken)
    if not 0 <= crossed <= len(closing):
        found.wrong.append(
            f"{name}: {len(sent)} sent, of which {len(refused)} were refused, {len(swallowed)} swallowed and "
            f"{len(closing)} may have met a closing; the server saw {len(taken)}"
        )
    found.wrong += [
        f"{name}: refused though somebody listened: {request}"
        for request in refused
        if not _refusing(played, request)
    ]
    closed = played.closed[name]
    said = (closed.intended, closed.completed, closed.sent)
    if said != (len(samples), len(samples), len(sent)):
        found.wrong.append(f"{name}: it says {said}, and there are {len(samples)} samples, {len(sent)} sent")
    found.sent += len(sent)
    found.seen += len(taken)
    found.refused += len(refused)
    found.crossed += crossed
    found.swallowed += len(swallowed)
    found.outcomes.update(request.outcome for request in samples)
    pairs = _by_number(reached, taken) if played.parts[0].schedule.numbered else []
    if name == "probe" or played.parts[0].schedule.load in {"open", "closed"}:
        in_order = _by_order(played, reached, taken)
        if len(in_order) != len(reached):
            found.wrong.append(f"{name}: the order of requests is not that in which the server took them")
        pairs += in_order + [_Pair(request, None) for request in refused + swallowed]
    return pairs


def _at_a_closing(played: Played, request: Request) -> bool:
    """Whether it was reset, and under way when the server closed its listener and kept connections."""
    return request.outcome == "reset" and any(
        change.before <= request.ended + _US and _sent_at(request) <= change.after + SLACK
        for change in _closings(played)
    )


def _closings(played: Played) -> Iterable[Change]:
    return (change for change in played.changes if change.state == "refuse")


def _refusing(played: Played, request: Request) -> bool:
    """Whether nobody listened at some moment between its sending and its end."""
    return any(
        change.state == "refuse" and _sent_at(request) <= after.after and request.ended + _US >= change.before
        for change, after in pairwise([*played.changes, _NEVER])
    )


def _by_number(reached: list[Request], taken: list[Taken]) -> list[_Pair]:
    """Every whole answer names the request that it answers."""
    known = {str(one.number): one for one in taken}
    return [_Pair(request, known.pop(request.task, None)) for request in reached if request.task]


def _by_order(played: Played, reached: list[Request], taken: list[Taken]) -> list[_Pair]:
    """Connections are accepted in the order in which they were made, each with one request."""
    line = sorted(taken, key=lambda one: one.met)
    pairs: list[_Pair] = []
    at = 0
    for request in reached:
        # One that the kernel reset is in no log: the next connection in it was accepted when this was over.
        over = at == len(line) or line[at].met > request.ended + _US
        if over and _at_a_closing(played, request):
            pairs.append(_Pair(request, None))
        elif at < len(line):
            pairs.append(_Pair(request, line[at]))
            at += 1
    return pairs if at == len(line) else []


# --- how they ended ---------------------------------------------------------------------------------------------------


def _differences(pair: _Pair) -> Iterable[str]:
    """A request's outcome is what the server did to it, and the moments of the two are in the right order."""
    request, taken = pair.request, pair.taken
    if taken is None:
        swallowed = request.outcome == "timeout" and request.connected is None
        if request.outcome not in {"reset", "refused"} and not swallowed:
            yield f"answered, but by nobody: {request}"
        return
    if request.outcome != BAD.get(taken.state, "ok"):
        yield f"wrong outcome: {request} met {taken}"
    if request.status not in _STATUSES.get(taken.state, (200,)):
        yield f"wrong status: {request} met {taken}"
    if _sent_at(request) > taken.taken:
        yield f"taken before it was sent: {request}, {taken}"
    if request.outcome in _WHOLE and not 0 < taken.answered <= request.ended + _US:
        yield f"answered before the server did: {request}, {taken}"
    if request.outcome == "timeout" and request.ended - request.intended < DEADLINE - _US:
        yield f"given up before its deadline: {request}"


def _counts(played: Played, part: Part) -> Iterable[str]:
    """Failures by outcome: the server's log, the samples, the analysis. A window's ends lie where all is well."""
    for name, samples in played.samples.items():
        inside = [one for one in samples if one.ended >= part.start and one.intended < part.end]
        counts = Counter(request.outcome for request in inside)
        if part.trial.outcomes[name] != {outcome: counts[outcome] for outcome in OUTCOMES}:
            yield f"{name}: counted as {part.trial.outcomes[name]}, samples {dict(counts)}"
        taken = [one for one in played.taken if one.stream == name and part.start <= one.met < part.end]
        expected = Counter(BAD[one.state] for one in taken if one.state in BAD)
        # Those that met a closing were reset and are in no log.
        crossed = counts["reset"] - expected["reset"]
        most = sum(_at_a_closing(played, request) for request in inside)
        expected["timeout"] += sum(is_swallowed(played, request) for request in inside)
        for outcome in ("timeout", "http-error", "bad-body"):
            if counts[outcome] != expected[outcome]:
                yield f"{name}: {counts[outcome]} {outcome}, and the server's log has {expected[outcome]}"
        if not 0 <= crossed <= most:
            yield f"{name}: {counts['reset']} reset, the server's log has {expected['reset']}, {most} met a closing"
    probes = [one for one in played.samples["probe"] if one.ended >= part.start and one.intended < part.end]
    availability = part.trial.availability
    if (availability.intended, availability.ok) != (len(probes), sum(request.ok for request in probes)):
        yield f"availability is of {availability}, not of {len(probes)} probes"


# --- outages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Down:
    """A stretch in which nobody was served: the change that began it and the one that ended it."""

    start: Change
    end: Change

    @property
    def sure(self) -> int:
        """For how long it was down at the least."""
        return self.end.before - self.start.after


def _downs(played: Played, part: Part) -> list[_Down]:
    """Every stretch without anybody served: bad states, and good ones between them in which nobody asked."""
    found: list[_Down] = []
    start: Change | None = None
    for change, after in pairwise([*part.changes, _NEVER]):
        if change.state in BAD:
            start = start or change
        elif start is not None and any(
            one.state in GOOD and one.answered and change.before <= one.met <= after.after
            for one in played.taken
        ):
            found.append(_Down(start, change))
            start = None
    assert start is None, "every schedule ends well"
    return found


def _edges(played: Played, part: Part, found: JudgedPart, late: int) -> None:
    spacing = part.schedule.spacing
    bound = spacing + SLACK
    stretches = [(outage.kind, *_moments(played, part, outage)) for outage in part.trial.outages]
    downs = _downs(played, part)
    for down in downs:
        if down.sure <= 2 * spacing + late:
            found.shorter += 1
            continue
        found.outages += 1
        near = [
            (_off(start, down.start), _off(end, down.end))
            for kind, start, end in stretches
            if kind == "total" and end >= down.start.before and start <= down.end.after
        ]
        fitting = [errors for errors in near if max(errors) <= bound]
        if len(fitting) != 1:
            found.wrong.append(f"an outage of {down.sure / MS:.1f} ms: edges off by {near} ns, {down}")
            continue
        found.start_errors.append(fitting[0][0])
        found.end_errors.append(fitting[0][1])
    for kind, start, end in stretches:
        if not any(start <= down.end.after + bound and end >= down.start.before - bound for down in downs):
            found.wrong.append(f"{kind} from {start} to {end}, but there was nothing")


def _moments(played: Played, part: Part, outage: Outage) -> tuple[int, int]:
    # Of a trial without a fault, seconds count from the begin of observation.
    start = part.start + round(outage.start_at_s * 1e9)
    return start, start + round(outage.duration_s * 1e9)


def _off(moment: int, change: Change) -> int:
    """From a moment to when the change was made."""
    return max(change.before - moment, moment - change.after, 0)
