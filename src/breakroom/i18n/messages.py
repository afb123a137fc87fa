"""The English text for every message code that is not a finding: problem records, notes of the director.

To add one: put `"code": N_("Sentence with {placeholder:kind}.")` into `MESSAGES`, run `python -m
breakroom.i18n.build`, and fill in what it reports as missing in `locale/ko/LC_MESSAGES/breakroom.po`. Texts that
need no code can stand where they are used, in `translator.say("…")`; extraction finds both.
"""

from __future__ import annotations

from breakroom.i18n.terms import N_

__all__ = ["MESSAGES"]

MESSAGES: dict[str, str] = {
    "worker-died": N_("A worker process of the {stream:stream} died ({reason}); its requests are missing."),
    "samples-unwritable": N_(
        "The samples of the {stream:stream} could not be written ({reason}), so requests are missing. Is the disk full?"
    ),
    "engine-died": N_("What runs the service is there no more: {message}"),
    "engine-failed": N_("The orchestrator stopped because of a mistake in itself: {message}"),
    "ingress-died": N_("The process that carries the connections ended unexpectedly: {message}"),
    "ingress-fd-exhausted": N_(
        "The process that carries the connections reached a limit of this machine: {message}"
    ),
    "ingress-connect-failed": N_("The process that carries the connections could not begin one: {message}"),
    "engine-limited": N_("The orchestrator reached a limit of this machine: {message}"),
    "bad-message": N_("A process of breakroom sent what could not be understood: {message}"),
    "not-steady": N_("The service did not reach its steady state: {message}"),
    "service-wrote": N_("{task} wrote at its end (all of it: {file}): {tail}"),
    "never-answered": N_(
        "Not one probe was answered with HTTP. Does the program listen on the port it is told, in the variable PORT or "
        "by the placeholder for the port in its command?"
    ),
    "trial-skipped": N_("Skipped, because the platform cannot do what this needs: {message}"),
    "contender-left-out": N_(
        "{drill}: the contender {contender} is left out: the platform {platform} runs no {runs_as}s."
    ),
    "undo-failed": N_("A fault could not be taken back ({undo}): {message}"),
    "docker-warning": N_("Docker says: {message}"),
    "no-start-interval": N_(
        "Docker {version} does not know `start_interval`: the first health probe comes after {seconds:duration}, "
        "as each later one does."
    ),
    "swarm-found": N_(
        "The Swarm of {daemon}, of {nodes:count} {nodes:plural:node|nodes}, was there before this run and stays."
    ),
    "swarm-leftovers": N_(
        "Earlier runs of breakroom left services in this Swarm: {services}. `breakroom cleanup` removes them."
    ),
    "swarm-no-answer": N_(
        "For a while the Swarm did not answer, so tasks may have changed unseen: {message}"
    ),
    "left-behind": N_("Left on the machine after the trial: {what}"),
    "registry-unwritable": N_(
        "The run could not be entered in the registry of runs, which `breakroom cleanup` works from: {message}"
    ),
    "platform.*": N_("The platform could not do its part: {message}{hint:aside}"),
    "fault.*": N_("The fault could not be injected: {message}"),
}
"""code → text; `NAME.*` stands for every code that begins with `NAME.` and has no text of its own.

A code is stable: it stands in journals and results; its text may be bettered at any time.
"""
