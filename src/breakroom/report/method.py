"""How it was measured: the part of a report that lets a reader distrust the numbers and find them sound.

Turns plans, generators, proofs, host and the tool's own cost into labelled lines and tables, for Markdown and HTML
alike. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from breakroom.analysis.results import RunResults, TrialResults
from breakroom.i18n import Translator
from breakroom.report.comparison import marked

__all__ = ["Fact", "Table", "facts", "method_tables", "outage_table"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One labelled line."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text: the first column names the row. `note` is what to make of it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def facts(results: RunResults, t: Translator) -> tuple[Fact, ...]:
    """Seed, resolution, same plan, proof, what is modelled, host, version."""
    return tuple(Fact(label, text) for label, text in _facts(results, t) if text)


def _facts(results: RunResults, t: Translator) -> Iterator[tuple[str, str]]:
    trials = results.trials
    resolutions = sorted({trial.resolution_s for trial in trials})
    if resolutions:
        yield (
            t.say("Resolution"),
            t.say(
                "The probe sends its requests at planned moments, each on a new connection, whatever the answers; "
                "latency counts from the planned moment. Between two requests it sees nothing: its moments are "
                "known to {resolution:duration} (the spacing and the longest delay in sending).",
                resolution=resolutions[-1],
            ),
        )
    yield from _same_plans(results, t)
    yield t.say("Proof of the fault"), _fault_proof(trials, t)
    yield (
        t.say("Seed and repeats"),
        t.say(
            "seed {seed}, {repeat:count} {repeat:plural:run|runs} of each",
            seed=str(results.seed),
            repeat=results.repeat,
        ),
    )
    if any(trial.side_by_side for trial in trials):
        yield t.say("Side by side"), _side_by_side(results, t)
    if any(trial.modelled for trial in trials):
        yield (
            t.say("Modelled"),
            t.say(
                "Nobody sat at the keyboard: the operator's reaction time is a model, set in the "
                "drill. Every number that "
                "contains it is marked; all others are measured."
            ),
        )
    yield t.say("Platform"), f"{results.platform} · {results.pace}"
    yield t.say("Capabilities"), _capabilities(trials, t)
    yield t.say("Host"), _host(results, t)
    yield t.say("Nothing left behind"), _cleanliness(trials, t)
    yield t.say("breakroom"), f"{results.version} · {results.run_id}"


def _side_by_side(results: RunResults, t: Translator) -> str:
    drills = dict.fromkeys(trial.drill for trial in results.trials if trial.side_by_side)
    return t.say(
        "In {drills:list} all contenders of a repeat ran at the same time, each with a service, a port and "
        "generators of its own.",
        drills=list(drills),
    )


def _same_plans(results: RunResults, t: Translator) -> Iterator[tuple[str, str]]:
    """A line for each answer that any drill has; with several, those of the few name their drills."""
    by_answer: dict[bool | None, list[str]] = {}
    for drill in results.drills:
        if drill.counts:
            by_answer.setdefault(drill.same_plan, []).append(drill.name)
    most = max((len(names) for names in by_answer.values()), default=0)
    for same, names in sorted(by_answer.items(), key=lambda item: -len(item[1])):
        label = t.say("Same plan for all")
        if len(by_answer) > 1 and (len(names) < most or most == 1):
            label = t.say("Same plan for all ({drill})", drill=t.listing(names))
        yield label, _same_plan(same, t)


def _same_plan(same: bool | None, t: Translator) -> str:
    if same is None:
        return t.say("Unknown: not every contender has run.")
    if same:
        return t.say(
            "Yes: the digests of the shared plan (load, seed, timeline, image, limits) are identical, and the requests "
            "were sent as planned."
        )
    return t.say(
        "No: the digests of the shared plan differ, or requests were not sent as planned, so the contenders must not "
        "be compared."
    )


def _fault_proof(trials: tuple[TrialResults, ...], t: Translator) -> str:
    if not trials:
        return ""
    proved = sum(trial.fault_proved is True for trial in trials)
    return t.say(
        "The fault was proved to have taken effect in {proved:count} of {all:count} {all:plural:trial|trials}.",
        proved=proved,
        all=len(trials),
    )


def _capabilities(trials: tuple[TrialResults, ...], t: Translator) -> str:
    merged: dict[str, str] = {}
    for trial in trials:
        merged.update(trial.capabilities)
    return " · ".join(f"{t.label('capability', name)}: {how}" for name, how in sorted(merged.items()))


def _host(results: RunResults, t: Translator) -> str:
    host = results.host
    parts = []
    if "cores" in host:
        parts.append(t.say("{cores:count} {cores:plural:core|cores}", cores=host["cores"]))
    if "memory_bytes" in host:
        parts.append(t.say("{memory:size} of memory", memory=host["memory_bytes"]))
    parts += [f"{host[name]}" for name in ("system", "release") if host.get(name)]
    if host.get("python"):
        parts.append(f"Python {host['python']}")
    return " · ".join(parts)


def _cleanliness(trials: tuple[TrialResults, ...], t: Translator) -> str:
    if not trials:
        return ""
    left = [thing for trial in trials for thing in trial.left_behind or ()]
    if left:
        return t.say("No: {things:list} was still on the machine afterwards.", things=left)
    if any(trial.left_behind is None for trial in trials):
        return t.say("Unknown: the check was not made after every trial.")
    return t.say("Checked after every trial: nothing of it was left on the machine.")


def method_tables(results: RunResults, t: Translator) -> tuple[Table, ...]:
    """Generators, plan digests, balance, the tool's own cost; tables without rows are left out."""
    tables = (
        _generators(results, t),
        _plans(results, t),
        _balance(results, t),
        _cost(results, t),
        _trial_cost(results, t),
    )
    return tuple(table for table in tables if table.rows)


def _generators(results: RunResults, t: Translator) -> Table:
    rows = []
    for trial in results.trials:
        for generator in trial.generators:
            trust = t.say("yes") if generator.trusted else t.say("no")
            if generator.why_not is not None:
                trust = f"{trust}: {t.reason(generator.why_not)}"
            rows.append(
                (
                    trial.id,
                    t.label("stream", generator.stream),
                    t.label("model", generator.model),
                    t.count(generator.intended),
                    t.count(generator.completed),
                    t.duration(generator.lag_p50_s),
                    t.duration(generator.lag_p99_s),
                    t.duration(generator.lag_max_s),
                    trust,
                )
            )
    head = (
        t.say("Trial"),
        t.say("Stream"),
        t.say("Model"),
        t.say("Intended"),
        t.say("Completed"),
        t.say("Lag p50"),
        t.say("Lag p99"),
        t.say("Lag max"),
        t.say("Trusted"),
    )
    note = t.say(
        "Lag is how late a request was sent. Where the generator itself was too slow, the verdict is unknown."
    )
    return Table(t.say("Generators"), head, tuple(rows), note)


def _plans(results: RunResults, t: Translator) -> Table:
    verdicts = {True: t.say("yes"), False: t.say("no"), None: t.say("not known")}
    rows = tuple(
        (
            trial.id,
            trial.plan.digest[:16],
            trial.plan.image_digest[:16] or t.duration(None),
            t.count(trial.plan.arrivals_checked),
            verdicts[trial.plan.arrivals_matched],
            verdicts[trial.fault_proved],
            t.label("trial_outcome", trial.outcome),
        )
        for trial in results.trials
    )
    head = (
        t.say("Trial"),
        t.say("Plan digest"),
        t.say("Image digest"),
        t.say("Arrivals checked"),
        t.say("Arrivals as planned"),
        t.say("Fault proved"),
        t.say("Ended"),
    )
    return Table(t.say("Plans and proofs"), head, rows)


def _balance(results: RunResults, t: Translator) -> Table:
    rows = tuple(
        (
            trial.id,
            ", ".join(f"{task}: {t.count(count)}" for task, count in sorted(trial.balance.per_task.items())),
            f"{trial.balance.largest_to_smallest:.2f}"
            if trial.balance.largest_to_smallest is not None
            else t.duration(None),
            f"{trial.balance.p_value:.2g}" if trial.balance.p_value is not None else t.duration(None),
        )
        for trial in results.trials
        if len(trial.balance.per_task) > 1
    )
    head = (
        t.say("Trial"),
        t.say("Requests per replica"),
        t.say("Largest ÷ smallest"),
        t.say("p-value (chi-square)"),
    )
    note = t.say(
        "While nothing was broken. A p-value above 0.05 gives no reason to doubt that the spread is even."
    )
    return Table(t.say("Load balance"), head, rows, note)


def _cost(results: RunResults, t: Translator) -> Table:
    rows = tuple(
        (
            t.label("process", cost.process),
            t.duration(cost.cpu_s),
            t.ratio(cost.cpu_s / cost.wall_s) if cost.wall_s > 0 else t.duration(None),
            t.size(cost.max_rss_bytes),
        )
        for cost in results.tool_cost
    )
    head = (t.say("Process"), t.say("CPU time"), t.say("Share of one core"), t.say("Largest memory"))
    return Table(t.say("What breakroom itself used"), head, rows)


def _trial_cost(results: RunResults, t: Translator) -> Table:
    """Trial by trial, against the machine and beside the replicas."""
    cores = int(results.host.get("cores") or 1)
    rows = []
    for trial in results.trials:
        cpu = sum(cost.cpu_s for cost in trial.tool_cost)
        lasted = max((cost.wall_s for cost in trial.tool_cost if cost.process == "main"), default=0.0)
        if not trial.tool_cost:
            continue
        rows.append(
            (
                trial.id,
                t.duration(cpu),
                t.ratio(cpu / (lasted * cores)) if lasted > 0 else t.duration(None),
                t.size(sum(cost.max_rss_bytes * cost.processes for cost in trial.tool_cost)),
                t.duration(trial.replica_use.cpu_s),
                t.size(trial.replica_use.max_memory_bytes),
            )
        )
    head = (
        t.say("Trial"),
        t.say("CPU time"),
        t.say("Share of the machine"),
        t.say("Memory at most"),
        t.say("The replicas' CPU time"),
        t.say("Largest replica"),
    )
    note = t.say(
        "Memory: the largest of each process, added up. What the main process did for contenders side by side is in "
        "each of them; the replicas are sampled twice a second."
    )
    return Table(t.say("What breakroom itself used, trial by trial"), head, tuple(rows), note)


def outage_table(trials: tuple[TrialResults, ...], t: Translator) -> Table:
    """Every outage of the given trials, in order of time."""
    rows = tuple(
        (
            trial.contender,
            str(trial.repeat),
            t.label("outage_kind", outage.kind),
            t.duration(outage.start_at_s),
            t.duration(outage.end_at_s) if outage.end_at_s is not None else t.say("not over"),
            marked(t.duration(outage.duration_s), t, modelled=trial.modelled and outage.kind == "total"),
            t.count(outage.failed),
            ", ".join(
                f"{t.label('outcome', name)} {t.count(count)}"
                for name, count in sorted(outage.outcomes.items(), key=lambda item: -item[1])
                if count and name != "ok"
            ),
        )
        for trial in trials
        for outage in trial.outages
    )
    head = (
        t.say("Contender"),
        t.say("Repeat"),
        t.say("Kind"),
        t.say("From"),
        t.say("To"),
        t.say("Duration"),
        t.say("Failed probes"),
        t.say("How they failed"),
    )
    return Table(
        t.say("Outages"),
        head,
        rows,
        t.say(
            "Times count from zero of the charts: the fault's effect, or that of the first act. A stretch may begin "
            "before it: requests sent just before were still waiting for their answers."
        ),
    )
