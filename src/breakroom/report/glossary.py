"""The words of a report, each with a sentence: shown as hints in the HTML and as a list at its end.

The longer texts are in docs/glossary.md; a test keeps the terms of both in step. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from breakroom.i18n import Translator
from breakroom.i18n.terms import N_

__all__ = ["TERMS", "Term", "glossary"]

TERMS: tuple[tuple[str, str], ...] = (
    (N_("availability"), N_("The share of requests that were answered correctly and in time.")),
    (N_("blast radius"), N_("How much of the traffic saw the failure.")),
    (
        N_("capacity kept"),
        N_("Served work during the fault against served work before it, under saturating load."),
    ),
    (
        N_("contender"),
        N_("One way of deploying the service; all contenders meet the same failure under the same load."),
    ),
    (N_("degraded"), N_("A stretch in which some requests failed and others succeeded.")),
    (N_("drill"), N_("One failure scenario.")),
    (N_("fault"), N_("What is broken on purpose; its effect is proved by independent evidence.")),
    (N_("goodput"), N_("Successful answers per second: the work that was really served.")),
    (N_("in rotation"), N_("The ingress sends new connections to this replica.")),
    (N_("modelled"), N_("Calculated from an assumption, not measured: an unattended run's operator.")),
    (
        N_("outage"),
        N_("A stretch in which nobody was served: no probe request succeeded, and none of the load."),
    ),
    (N_("probe"), N_("A constant stream of requests, independent of the load, that sees what users see.")),
    (N_("recovery time"), N_("From the fault's effect to the first success after the last error.")),
    (N_("replica"), N_("One of several running copies of the service.")),
    (N_("resolution"), N_("The smallest difference that the measurement could see.")),
    (N_("trial"), N_("One drill on one contender, once.")),
    (N_("95% interval"), N_("Where the true median lies with 95% confidence, judged from the repeats.")),
)
"""Term and sentence in English, in the order of the list."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word and what it means."""

    word: str
    meaning: str


def glossary(t: Translator) -> tuple[Term, ...]:
    """All terms in the translator's language."""
    return tuple(Term(t.gettext(word), t.gettext(meaning)) for word, meaning in TERMS)
