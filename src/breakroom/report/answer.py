"""The one sentence that answers the drill's question: what did the failure cost users, at best and at worst.

Used at the top of every report and by the command line's summary. Reads medians of the findings only. Pure.
"""

from __future__ import annotations

from breakroom.analysis.results import ContenderResults, DrillResults, RunResults
from breakroom.i18n import Translator

__all__ = ["drill_answer", "run_answer"]


def run_answer(results: RunResults, t: Translator) -> str:
    """The answer of the whole run: of its drills, one after the other."""
    if not results.drills:
        return t.say("Nothing was measured: the run ended before its first trial was over.")
    return " ".join(drill_answer(drill, t) for drill in results.drills)


def drill_answer(drill: DrillResults, t: Translator) -> str:
    """One sentence on the best and the worst contender, by outage, then by failed requests."""
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
    if not values["worst_outage"]:
        return t.say(
            "No way of deploying lost the service altogether: with “{best}” {best_failed:count} "
            "{best_failed:plural:request|requests} failed, with “{worst}” {worst_failed:count}.",
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
