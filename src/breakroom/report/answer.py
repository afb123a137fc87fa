"""The one sentence that answers the drill's question: what did the failure cost users, at best and at worst.

Used at the top of every report and by the command line's summary. Reads medians of the findings only. Pure.
"""

from __future__ import annotations

from breakroom.analysis.results import ContenderResults, DrillResults, OverallRow, RunResults
from breakroom.i18n import Translator
from breakroom.report.doubts import impossible
from breakroom.report.judged import shown
from breakroom.report.telling import telling_cells, telling_metric

__all__ = ["drill_answer", "run_answer"]

FEW = 2
"""Drills that are answered one by one; of more, the answer is over all of them."""


def run_answer(results: RunResults, t: Translator) -> str:
    """The answer of the whole run: of its drills, one after the other."""
    if not results.drills:
        return t.say("Nothing was measured: the run ended before its first trial was over.")
    rows = [row for row in results.overall.rows if row.availability is not None]
    if len(results.drills) > FEW and rows:
        return _over_all(results, rows, t)
    return " ".join(drill_answer(drill, results, t) for drill in results.drills)


def _over_all(results: RunResults, rows: list[OverallRow], t: Translator) -> str:
    """Of many drills: the best and the worst contender by availability over those they share; the verdicts' count."""
    best = max(rows, key=lambda row: row.availability or 0.0)
    worst = min(rows, key=lambda row: row.availability or 0.0)
    values = {
        "count": len(results.overall.drills),
        "best": best.contender,
        "best_share": best.availability,
        "worst": worst.contender,
        "worst_share": worst.availability,
        "modelled": worst.modelled,
    }
    if best is worst:
        text = t.say(
            "Over {count:count} failures, “{best}” answered {best_share:ratio} of its users' requests.",
            **values,
        )
    else:
        text = t.say(
            "Over the same {count:count} failures, “{best}” answered {best_share:ratio} of its users' requests and "
            "“{worst}” {worst_share:ratio}{modelled:modelled}.",
            **values,
        )
    return " ".join(part for part in (text, _by_whom(best, worst, t), _counted(results, t)) if part)


def _by_whom(best: OverallRow, worst: OverallRow, t: Translator) -> str:
    """How soon both were back, and how often a person had to act; empty where that is not known of both."""
    known = [best.recovery_median_s, worst.recovery_median_s, best.operator_acts, worst.operator_acts]
    if best is worst or None in known:
        return ""
    return t.say(
        "Median time until it was back: {best_s:duration} against {worst_s:duration}; acts of a person: "
        "{best_acts:count} against {worst_acts:count}{modelled:modelled}.",
        best_s=best.recovery_median_s,
        worst_s=worst.recovery_median_s,
        best_acts=best.operator_acts,
        worst_acts=worst.operator_acts,
        modelled=worst.modelled or best.modelled,
    )


def _counted(results: RunResults, t: Translator) -> str:
    verdicts = [shown(drill) for drill in results.drills]
    text = t.say(
        "Drills met: {met:count}, not met: {missed:count}, unknown: {unknown:count}",
        met=verdicts.count("met"),
        missed=verdicts.count("not met"),
        unknown=verdicts.count("unknown"),
    )
    if "impossible" in verdicts:
        text += t.say(", not possible on this platform: {count:count}", count=verdicts.count("impossible"))
    return text + "."


def drill_answer(drill: DrillResults, results: RunResults, t: Translator) -> str:
    """On the best and the worst contender by outage, then by failed requests; then on what the drill is about."""
    if not drill.counts:
        return impossible(drill, results, t)
    answer = _by_outage(drill, t)
    metric, cells = telling_cells(drill, results, t)
    if telling_metric(drill, results.trials) in {"outage", "failed_requests", "availability"}:
        return answer
    values = [t.say("{name} {value}", name=cell.contender, value=cell.text) for cell in cells]
    return f"{answer} " + t.say("{metric}: {values:list}", metric=metric, values=values)


def _by_outage(drill: DrillResults, t: Translator) -> str:
    known = [contender for contender in drill.contenders if _median(contender, "outage") is not None]
    if not known:
        return t.say("What the failure cost users is unknown; the reasons are listed below.")
    ranked = sorted(known, key=lambda c: (_median(c, "outage") or 0.0, _median(c, "failed_requests") or 0.0))
    best, worst = ranked[0], ranked[-1]
    sentence = _sentence(best, worst, t)
    if _modelled(worst):
        sentence += " " + t.say("The operator's reaction time in it is modelled, not measured.")
    return sentence


def _sentence(best: ContenderResults, worst: ContenderResults, t: Translator) -> str:
    values = {
        "best": best.name,
        "worst": worst.name,
        "best_outage": _median(best, "outage"),
        "worst_outage": _median(worst, "outage"),
        "best_failed": _median(best, "failed_requests"),
        "worst_failed": _median(worst, "failed_requests"),
    }
    if best is worst and not values["best_outage"]:
        return t.say(
            "With “{best}”, users had no outage; {best_failed:count} {best_failed:plural:request|requests} failed.",
            **values,
        )
    if best is worst:
        return t.say(
            "With “{best}”, the service was down for {best_outage:duration} and {best_failed:count} "
            "{best_failed:plural:request|requests} failed.",
            **values,
        )
    if not values["worst_outage"] and None in {values["best_failed"], values["worst_failed"]}:
        return t.say("No way of deploying lost the service altogether.")
    if not values["worst_outage"]:
        return t.say(
            "No way of deploying lost the service altogether: with “{best}” {best_failed:count} "
            "{best_failed:plural:request|requests} failed, with “{worst}” {worst_failed:count}.",
            **values,
        )
    if not values["best_outage"] and values["best_failed"] is None:
        return t.say(
            "With “{best}”, users had no outage; with “{worst}”, the service was down for {worst_outage:duration}.",
            **values,
        )
    if not values["best_outage"]:
        return t.say(
            "With “{best}”, users had no outage ({best_failed:count} failed {best_failed:plural:request|requests}); "
            "with “{worst}”, the service was down for {worst_outage:duration}.",
            **values,
        )
    return t.say(
        "With “{best}”, the service was down for {best_outage:duration}; with “{worst}”, for {worst_outage:duration}.",
        **values,
    )


def _median(contender: ContenderResults, metric: str) -> float | None:
    spread = contender.metrics.get(metric)
    return spread.median if spread else None


def _modelled(contender: ContenderResults) -> bool:
    spread = contender.metrics.get("outage")
    return spread is not None and spread.modelled
