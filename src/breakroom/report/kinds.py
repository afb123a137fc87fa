"""Tables of what one kind of failure is about: releases, scaling, bad links, leaks, detection, the failure log.

Called by `report.view` for each drill; a table without rows is left out, so that only what occurred is shown. Findings
in, text out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from breakroom.analysis.results import (
    ContenderResults,
    DetectionFinding,
    ImpairmentFinding,
    MemoryLife,
    TrialResults,
)
from breakroom.i18n import Translator
from breakroom.report.method import Table

__all__ = ["advice_table", "exit_of", "kind_tables", "last_line", "memory_of"]

MAX_ROWS = 40
"""Rows of one table; the rest is in results.json, and the table says so."""

SIGNALS = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


def kind_tables(trials: Sequence[TrialResults], t: Translator) -> tuple[Table, ...]:
    """All tables that the drill's trials give rise to, in the order in which they are told."""
    tables = (
        _updates(trials, t),
        _scaling(trials, t),
        _decisions(trials, t),
        *_impairments(trials, t),
        _leaks(trials, t),
        _lives(trials, t),
        _detection(trials, t),
        _failures(trials, t),
    )
    return tuple(_cut(table, t) for table in tables if table.rows)


def advice_table(contenders: Iterable[ContenderResults], t: Translator) -> Table:
    """For each contender the one setting that would shorten its recovery most, and which part of it."""
    rows = tuple(
        (
            contender.name,
            t.label("part", advice.part),
            t.say("{s:duration} ({share:ratio})", s=advice.s, share=advice.share),
            advice.setting,
            advice.better if advice.now == "-" else _change(advice.now, advice.better, t),
            t.duration(advice.saves_s),
            t.reason(advice.reason),
        )
        for contender in contenders
        if (advice := contender.advice) is not None
    )
    head = (
        t.say("Contender"),
        t.say("The part it shortens"),
        t.say("Its time"),
        t.say("Setting"),
        t.say("Change"),
        t.say("Would save"),
        t.say("Reason"),
    )
    return Table(t.say("The one setting that would shorten it most"), head, rows)


def last_line(text: str) -> str:
    """The last line of a log that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _cut(table: Table, t: Translator) -> Table:
    if len(table.rows) <= MAX_ROWS:
        return table
    more = t.say(
        "The first {shown:count} of {all:count} rows; results.json has them all.",
        shown=MAX_ROWS,
        all=len(table.rows),
    )
    note = f"{table.note} {more}" if table.note else more
    return Table(table.title, table.head, table.rows[:MAX_ROWS], note)


def _of(trials: Sequence[TrialResults], t: Translator) -> tuple[str, ...]:
    return (t.say("Contender"), t.say("Repeat")) if _repeated(trials) else (t.say("Contender"),)


def _who(trial: TrialResults, trials: Sequence[TrialResults]) -> tuple[str, ...]:
    return (trial.contender, str(trial.repeat)) if _repeated(trials) else (trial.contender,)


def _repeated(trials: Sequence[TrialResults]) -> bool:
    return any(trial.repeat > 1 for trial in trials)


def _updates(trials: Sequence[TrialResults], t: Translator) -> Table:
    rows = tuple(
        (
            *_who(trial, trials),
            t.label("action", update.kind),
            t.say("{old} → {new}", old=update.old_version, new=update.new_version),
            t.label("update_state", update.state) + (f": {update.message}" if update.message else ""),
            t.duration(update.duration_s),
            t.say("{lowest:count} of {wanted:count}", lowest=update.lowest_in_rotation, wanted=update.wanted),
            _answered(update.answered, t),
            _count_share(update.new_version_requests, update.new_version_share, t),
            t.count(update.failed_requests),
        )
        for trial in trials
        for update in trial.updates
    )
    head = (
        *_of(trials, t),
        t.say("Act"),
        t.say("Version"),
        t.say("Ended as"),
        t.say("Duration"),
        t.say("Fewest replicas in rotation"),
        t.say("Answers by version"),
        t.say("Met the new version"),
        t.say("Failed requests"),
    )
    return Table(
        t.say("Releases"), head, rows, t.say("Requests of probe and load, from the command to update on.")
    )


def _answered(answered: dict[str, int], t: Translator) -> str:
    return ", ".join(f"{version}: {t.count(count)}" for version, count in sorted(answered.items()))


def _count_share(count: int | None, share: float | None, t: Translator) -> str:
    text = t.count(count)
    return t.say("{count} ({share:ratio})", count=text, share=share) if share is not None else text


def _scaling(trials: Sequence[TrialResults], t: Translator) -> Table:
    rows = tuple(
        (
            *_who(trial, trials),
            t.duration(scale.at_s),
            f"{scale.from_replicas} → {scale.to_replicas}",
            t.label("by", scale.by),
            t.duration(scale.response_s) if scale.applied else t.say("not possible: there is one container"),
            _change(t.rate(scale.goodput_before_per_s), t.rate(scale.goodput_after_per_s), t),
            t.factor(scale.gain),
            _change(t.duration(scale.latency_p50_before_s), t.duration(scale.latency_p50_after_s), t),
            _change(t.duration(scale.latency_p99_before_s), t.duration(scale.latency_p99_after_s), t),
            t.duration(None) if scale.largest_to_smallest is None else f"{scale.largest_to_smallest:.2f}",
            t.count(scale.failed_requests),
        )
        for trial in trials
        for scale in trial.scaling
    )
    head = (
        *_of(trials, t),
        t.say("At"),
        t.say("Replicas"),
        t.say("By"),
        t.say("In rotation after"),
        t.say("Goodput"),
        t.say("Gain"),
        t.say("Latency p50"),
        t.say("Latency p99"),
        t.say("Busiest ÷ idlest replica"),
        t.say("Failed requests"),
    )
    note = t.say("Before the command → after the replicas were there; failures up to the next command.")
    return Table(t.say("Scaling"), head, rows, note)


def _change(before: str, after: str, t: Translator) -> str:
    return t.say("{before} → {after}", before=before, after=after)


def _decisions(trials: Sequence[TrialResults], t: Translator) -> Table:
    """Every decision that changed something or was held back by a bound; a run of plain holds is one row."""
    rows = []
    for trial in trials:
        previous = ""
        for decision in trial.decisions:
            said = f"{decision.decision} {decision.replicas} {decision.reason.code}"
            if decision.decision == "hold" and said == previous:
                continue
            previous = said
            observed = (
                t.ratio(decision.observed)
                if decision.metric == "utilisation"
                else t.duration(decision.observed)
            )
            target = (
                t.ratio(decision.target) if decision.metric == "utilisation" else t.duration(decision.target)
            )
            word = t.label("decision", decision.decision)
            rows.append(
                (
                    *_who(trial, trials),
                    t.duration(decision.at_s),
                    t.label("scaling_metric", decision.metric),
                    t.say("{observed} (target {target})", observed=observed, target=target),
                    f"{decision.replicas} → {decision.decided}",
                    t.say("{decision} (dry run)", decision=word) if decision.dry_run else word,
                    t.reason(decision.reason),
                )
            )
    head = (
        *_of(trials, t),
        t.say("At"),
        t.say("Number"),
        t.say("Observed"),
        t.say("Replicas"),
        t.say("Decision"),
        t.say("Reason"),
    )
    return Table(
        t.say("Decisions of the autoscaler"),
        head,
        tuple(rows),
        t.say("Repeated decisions to leave everything as it is are shown once."),
    )


def _impairments(trials: Sequence[TrialResults], t: Translator) -> Iterator[Table]:
    found = [(trial, trial.impairment) for trial in trials if trial.impairment is not None]
    yield _links(found, trials, t)
    rows = tuple(
        (
            *_who(trial, trials),
            f"p{row.quantile * 100:g}",
            *(t.duration(value) for value in (row.before_s, row.during_s, row.predicted_s, row.after_s)),
        )
        for trial, impairment in found
        for row in impairment.rows
    )
    head = (
        *_of(trials, t),
        t.say("Quantile"),
        t.say("Before"),
        t.say("During"),
        t.say("Predicted for during"),
        t.say("After"),
    )
    note = t.say("Latency of answered probe requests against what follows from the impairment alone.")
    yield Table(t.say("Response times against the prediction"), head, rows, note)


def _links(
    found: Sequence[tuple[TrialResults, ImpairmentFinding]], trials: Sequence[TrialResults], t: Translator
) -> Table:
    words = {True: t.say("yes"), False: t.say("no"), None: t.say("not known")}
    rows = tuple(
        (
            *_who(trial, trials),
            _link(link, t),
            t.ratio(link.share_hit),
            t.say(
                "{before:ratio} → {during:ratio} → {after:ratio}",
                before=link.failed_share_before,
                during=link.failed_share_during,
                after=link.failed_share_after,
            ),
            t.ratio(link.predicted_failed_share),
            words[link.as_predicted],
            t.reason(link.prediction) if link.prediction is not None else "",
        )
        for trial, link in found
    )
    head = (
        *_of(trials, t),
        t.say("Link"),
        t.say("Connections that cross it"),
        t.say("Failed probes: before → during → after"),
        t.say("Predicted"),
        t.say("As predicted"),
        t.say("How the prediction comes about"),
    )
    return Table(t.say("The bad link"), head, rows)


def _link(link: ImpairmentFinding, t: Translator) -> str:
    parts = []
    if link.partition:
        parts.append(t.say("cut off"))
    if link.delay_s:
        text = t.duration(link.delay_s)
        parts.append(f"{text} ± {t.duration(link.jitter_s)}" if link.jitter_s else text)
    if link.loss:
        parts.append(t.say("{loss:ratio} lost", loss=link.loss))
    if link.rate_bytes_per_s:
        parts.append(t.say("{rate:size} a second", rate=link.rate_bytes_per_s))
    return ", ".join(parts) or t.label("action", link.kind)


def _leaks(trials: Sequence[TrialResults], t: Translator) -> Table:
    words = {
        True: t.say("yes"),
        False: t.say("no: it grows as fast as before"),
        None: t.say("not known"),
    }
    rows = tuple(
        (
            *_who(trial, trials),
            t.count(leak.oom_kills),
            _by_kernel(leak.kernel_oom_kills, trial, t),
            _change(t.size(leak.bytes_per_request_first), t.size(leak.bytes_per_request_restarted), t),
            words[leak.cured],
            _change(t.duration(leak.latency_first_s), t.duration(leak.latency_last_s), t),
        )
        for trial in trials
        if (leak := trial.leak) is not None
    )
    head = (
        *_of(trials, t),
        t.say("Kills at the limit"),
        t.say("By the kernel's own counter"),
        t.say("Growth a request: first → restarted"),
        t.say("Did restarting cure it"),
        t.say("Latency p50: young → shortly before death"),
    )
    note = t.say(
        "The kernel's counter was read when the first death was proved. It counts the whole machine: of contenders "
        "that ran at the same time it has the deaths of all."
    )
    return Table(t.say("The leak"), head, rows, note)


def _by_kernel(kills: int | None, trial: TrialResults, t: Translator) -> str:
    """The counter's growth; marked where others that ran at the same time are in it."""
    if kills is None or not trial.side_by_side:
        return t.count(kills)
    return t.say("{kills:count} (all contenders)", kills=kills)


def _lives(trials: Sequence[TrialResults], t: Translator) -> Table:
    rows = tuple(
        (
            *_who(trial, trials),
            life.task,
            t.say("{from_s:duration} to {to}", from_s=life.started_at_s, to=_until(life, t)),
            _change(t.size(life.first_bytes), t.size(life.peak_bytes), t),
            t.size(life.limit_bytes),
            t.count(life.served),
            t.size(life.bytes_per_request),
            t.say("killed at the limit") if life.oom else "",
        )
        for trial in trials
        if trial.leak is not None
        for life in trial.leak.lives
    )
    head = (
        *_of(trials, t),
        t.say("Task"),
        t.say("Lived"),
        t.say("Memory: first → highest"),
        t.say("Limit"),
        t.say("Requests answered"),
        t.say("Growth a request"),
        t.say("End"),
    )
    return Table(t.say("Memory, life by life"), head, rows)


def _until(life: MemoryLife, t: Translator) -> str:
    return t.duration(life.ended_at_s) if life.ended_at_s is not None else t.say("the end")


def _detection(trials: Sequence[TrialResults], t: Translator) -> Table:
    rows = tuple(
        (
            *_who(trial, trials),
            found.task,
            _noticed(found, t),
            *(
                t.duration(moment)
                for moment in (
                    found.first_failed_probe_at_s,
                    found.unhealthy_at_s,
                    found.left_rotation_at_s,
                    found.ended_at_s,
                    found.replaced_at_s,
                )
            ),
            t.count(found.failed_probes),
            t.duration(found.bound_s),
        )
        for trial in trials
        for found in trial.detection
    )
    if not any(found.failed_probes for trial in trials for found in trial.detection):
        rows = ()  # no health check failed anywhere: there was nothing to find out
    head = (
        *_of(trials, t),
        t.say("Task"),
        t.say("Result"),
        t.say("First failed health probe"),
        t.say("Unhealthy"),
        t.say("Out of rotation"),
        t.say("Task ended"),
        t.say("Replaced"),
        t.say("Failed health probes"),
        t.say("At most, by its settings"),
    )
    note = t.say(
        "Moments as in the charts. The bound is retries × (interval + timeout) of the health check."  # noqa: RUF001  # the sign of multiplication
    )
    return Table(t.say("How it was found out"), head, rows, note)


def _noticed(found: DetectionFinding, t: Translator) -> str:
    if found.never:
        return t.say("never noticed")
    if found.unhealthy_at_s is None or found.bound_s is None:
        return t.say("noticed")
    return (
        t.say("noticed in time")
        if found.unhealthy_at_s <= found.bound_s
        else t.say("noticed later than its settings allow")
    )


def _failures(trials: Sequence[TrialResults], t: Translator) -> Table:
    rows = tuple(
        (
            *_who(trial, trials),
            t.duration(moment.at_s),
            moment.task,
            t.label("state", moment.state),
            exit_of(moment.exit_code, moment.signal, t, oom=moment.oom),
            memory_of(moment.memory_bytes, moment.memory_limit_bytes, t),
            last_line(moment.log_tail) or moment.error,
        )
        for trial in trials
        for moment in trial.failures
    )
    head = (
        *_of(trials, t),
        t.say("At"),
        t.say("Task"),
        t.say("What"),
        t.say("Exit"),
        t.say("Memory"),
        t.say("Last line of its log"),
    )
    note = t.say("failure-log.txt has the same with calendar times.")
    return Table(t.say("Failure log"), head, rows, note)


def exit_of(code: int | None, signal: int | None, t: Translator, *, oom: bool) -> str:
    """How a task ended, in a few words; empty where it did not end."""
    parts = []
    if oom:
        parts.append(t.say("killed at its memory limit (OOM)"))
    if signal is not None:
        parts.append(SIGNALS.get(signal, t.say("signal {number}", number=signal)))
    if code is not None:
        parts.append(t.say("exit code {code}", code=str(code)))
    return ", ".join(parts)


def memory_of(used: int | None, limit: int | None, t: Translator) -> str:
    """Memory of its limit; empty where it is not known."""
    if used is None:
        return ""
    if limit is None:
        return t.size(used)
    return t.say("{used:size} of {limit:size}", used=used, limit=limit)
