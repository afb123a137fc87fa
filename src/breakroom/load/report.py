"""A load's report as text for a terminal, in the order in which `ab`'s users know it. Called by `cli`.

Names and units are English, like `ab`'s. What a reader must know before believing the numbers is said in the reader's
language. The JSON form (`LoadReport.to_json`) is for programs.
"""

from __future__ import annotations

from breakroom.i18n import Translator, translator
from breakroom.i18n.terms import N_
from breakroom.load.summary import LoadReport, PhaseSpread
from breakroom.spec.units import format_size

__all__ = ["render_report"]

_BAR = 40
_LABEL = 26
_BOTTLENECKS = {
    "worker-died": N_(
        "a load worker died ({died}): what was measured until then is below, the plan was not carried out"
    ),
    "samples-unwritable": N_(
        "the samples could not be written ({died}): what was measured until then is below, the plan was not carried out"
    ),
    "not-sent": N_(
        "{not_sent:count} {not_sent:plural:request|requests} could not be sent (no file descriptor or local port, or "
        "too late): lower the rate or concurrency, raise `ulimit -n`, or use --keep-alive"
    ),
    "lag": N_(
        "requests were sent late (p99 {lag:duration}): the generator, not the service, limits the result; lower the "
        "rate, or give it more --workers or an idler machine"
    ),
    "starved": N_(
        "the generator stood still or waited for a processor for {share:ratio} of the time, {still:duration} at the "
        "longest: the times are in part its own, not the service's; give it an idler machine"
    ),
    "cpu": N_(
        "the generator used its whole core: the service may be faster than the rate says, and the times include "
        "the generator's own queue; more --workers may show more"
    ),
}
_CLOSED = N_(
    "Closed model, {clients:count} {clients:plural:client|clients}: each waits for its answer before it asks again. "
    "While the service stands still nobody asks, so a standstill counts {clients:count} {clients:plural:time|times} at "
    "most, and the percentiles leave out all who would have waited meanwhile. To see what they would have seen: --rate "
    "(open model)."
)


def render_report(report: LoadReport, t: Translator | None = None) -> str:
    """The whole report, ending with a newline.

    Args:
        report: What was found.
        t: Says the notes in the reader's language; None: English.
    """
    t = t or translator("en")
    parts = [
        _unknown(report, t),
        _head(report),
        _counts(report),
        _rates(report),
        _times(report),
        _percentiles(report),
        _bars(report),
    ]
    notes = _notes(report, t)
    return "\n\n".join(part for part in [*parts, notes] if part) + "\n"


def _row(label: str, value: object, note: str = "") -> str:
    return f"{label + ':':<{_LABEL}}{value}{'  ' + note if note else ''}"


def _head(report: LoadReport) -> str:
    setup = report.setup
    rows = [
        _row("Target", setup.url, f"({setup.address})"),
        _row("Server software", report.server or "(not told)"),
    ]
    if report.document_bytes is not None:
        rows.append(_row("Document length", f"{report.document_bytes} bytes"))
    if setup.model == "closed":
        rows.append(_row("Concurrency level", setup.concurrency, "(closed model)"))
    elif setup.stages:
        rows.append(_row("Rate", setup.stages, "(open model)"))
    else:
        rows.append(_row("Rate", f"{setup.rate:g}/s", "(open model)"))
    rows.append(_row("Connections", "kept alive" if setup.keep_alive else "a new one for each request"))
    rows.append(_row("Load workers", setup.workers))
    return "\n".join(rows)


def _counts(report: LoadReport) -> str:
    rows = [
        _row("Time taken", f"{report.taken_s:.3f} s"),
        _row("Complete requests", report.completed, "(aborted)" if report.aborted else ""),
        _row("Failed requests", report.failed),
    ]
    rows += [
        f"   {word + ':':<{_LABEL - 3}}{count}" for word, count in report.outcomes.items() if word != "ok"
    ]
    others = {status: count for status, count in report.statuses.items() if not status.startswith("2")}
    if others:
        detail = ", ".join(f"{status}: {count}" for status, count in sorted(others.items()))
        rows.append(_row("Non-2xx responses", sum(others.values()), f"({detail})"))
    if report.setup.keep_alive:
        rows.append(_row("Keep-alive requests", report.reused))
    rows.append(
        _row("Transferred", f"{report.received_bytes} bytes", f"({format_size(report.received_bytes)})")
    )
    return "\n".join(rows)


def _rates(report: LoadReport) -> str:
    rows = []
    if report.completed_per_s is not None and report.requests_per_s is not None:
        rows.append(_row("Requests per second", f"{report.completed_per_s:.2f}", "(mean)"))
        if report.failed:
            rows.append(_row("Ok per second", f"{report.requests_per_s:.2f}", "(mean)"))
    if report.time_per_request_s is not None:
        rows.append(_row("Time per request", f"{report.time_per_request_s * 1e3:.3f} ms", "(mean)"))
    if report.time_per_request_across_s is not None:
        across = f"{report.time_per_request_across_s * 1e3:.3f} ms"
        rows.append(_row("Time per request", across, "(mean, across all concurrent requests)"))
    if report.received_bytes_per_s is not None:
        rows.append(_row("Transfer rate", f"{report.received_bytes_per_s / 1024:.2f} KiB/s", "received"))
    return "\n".join(rows)


def _times(report: LoadReport) -> str:
    named = (("Connect", report.connect), ("Wait", report.wait), ("Total", report.total))
    rows = [_spread_row(name, spread) for name, spread in named if spread is not None]
    if not rows:
        return ""
    title = "Connection times of ok requests (ms)"
    return "\n".join([title, f"{'':<9}{'min':>9}{'mean':>9}{'+/-sd':>9}{'median':>9}{'max':>10}", *rows])


def _spread_row(name: str, spread: PhaseSpread) -> str:
    values = (spread.min_s, spread.mean_s, spread.sd_s, spread.median_s)
    cells = "".join(f"{value * 1e3:>9.3f}" for value in values)
    return f"{name + ':':<9}{cells}{spread.max_s * 1e3:>10.3f}"


def _percentiles(report: LoadReport) -> str:
    if not report.percentiles_s:
        return ""
    rows = ["Percentage of the ok requests served within a certain time (ms)"]
    for name, value in report.percentiles_s.items():
        rows.append(f"{name:>6}% {value * 1e3:>11.3f}{'  (longest request)' if name == '100' else ''}")
    if report.failed_median_s is not None and report.failed_max_s is not None:
        rows.append(
            f"Failed requests took {report.failed_median_s * 1e3:.3f} (median), "
            f"at most {report.failed_max_s * 1e3:.3f}"
        )
    return "\n".join(rows)


def _bars(report: LoadReport) -> str:
    if not report.histogram:
        return ""
    most = max(bar.count for bar in report.histogram)
    rows = ["Latency of ok requests (ms)"]
    for bar in report.histogram:
        width = -(-bar.count * _BAR // most)
        rows.append(f"{bar.from_s * 1e3:>10.3f} - {bar.to_s * 1e3:>10.3f} |{'#' * width:<{_BAR}} {bar.count}")
    return "\n".join(rows)


def _unknown(report: LoadReport, t: Translator) -> str:
    """Before everything else: that the numbers below are not the service's, and why."""
    if report.trusted:
        return ""
    return t.say("UNKNOWN, and no statement about the service: {why}.", why=_bottleneck(report, t))


def _bottleneck(report: LoadReport, t: Translator) -> str:
    return t.say(
        _BOTTLENECKS[report.bottleneck],
        died=report.died,
        not_sent=report.outcomes.get("not-sent", 0),
        lag=report.lag_p99_s,
        share=report.still_share,
        still=report.still_longest_s,
    )


def _notes(report: LoadReport, t: Translator) -> str:
    rows = []
    if report.setup.model == "open":
        lags = f"50% {report.lag_p50_s * 1e3:.3f}, 99% {report.lag_p99_s * 1e3:.3f}, max {report.lag_max_s * 1e3:.3f}"
        rows.append(f"Sent after the planned time by (ms): {lags}")
    rows.append(_own_cost(report))
    if report.omits_waiting and report.percentiles_s:
        rows.append(t.say("Note: {text}", text=t.say(_CLOSED, clients=report.setup.concurrency)))
    if report.bottleneck and report.trusted:
        rows.append(t.say("Note: {text}.", text=_bottleneck(report, t)))
    return "\n".join(rows)


def _own_cost(report: LoadReport) -> str:
    """What breakroom itself used, all processes together."""
    cpu = sum(process.cpu_s for process in report.tool)
    memory = sum(process.max_rss_bytes for process in report.tool)
    return (
        f"breakroom itself used {cpu:.2f} s of CPU time and at most {format_size(memory)} of memory "
        f"in {len(report.tool)} processes"
    )
