"""A sentence for each code of a `PlatformError`: what happened and the way out, before the words of whoever said no.

Read by `i18n.translator` for the problems of a journal (`platform.CODE`), and by the command line where the reader's
language is not English. `{message}` is what Docker, the kernel or a program said, which is in no catalogue. A code
without a sentence of its own has that of `platform.*` in `i18n.messages`.
"""

from __future__ import annotations

from breakroom.i18n.terms import N_

__all__ = ["PLATFORM_ERRORS"]

PLATFORM_ERRORS: dict[str, str] = {
    "platform.act-failed": N_("What was to be done to a task could not be done: {message}{hint:aside}"),
    "platform.agent-silent": N_("Breakroom's agent on a node does not answer: {message}{hint:aside}"),
    "platform.build-failed": N_("An image could not be built: {message}{hint:aside}"),
    "platform.consent-needed": N_("Breakroom makes a Swarm only with your consent: {message}{hint:aside}"),
    "platform.daemon-died": N_(
        "The Docker daemon stopped answering in the middle of it: {message}{hint:aside}"
    ),
    "platform.daemon-missing": N_("No Docker daemon can be reached: {message}{hint:aside}"),
    "platform.docker-config": N_(
        "Docker's configuration on this machine cannot be used: {message}{hint:aside}"
    ),
    "platform.docker-error": N_("Docker reported an error of its own: {message}{hint:aside}"),
    "platform.docker-host": N_("This is no address of a Docker daemon: {message}{hint:aside}"),
    "platform.engine-died": N_("What runs the service is there no more: {message}{hint:aside}"),
    "platform.engine-failed": N_("The orchestrator could not be started: {message}{hint:aside}"),
    "platform.engine-silent": N_("The orchestrator does not answer: {message}{hint:aside}"),
    "platform.image-missing": N_("An image is missing: {message}{hint:aside}"),
    "platform.image-unknown": N_("The local platform knows the sample services only: {message}{hint:aside}"),
    "platform.ingress-failed": N_(
        "The process that carries the connections could not be started: {message}{hint:aside}"
    ),
    "platform.ingress-silent": N_(
        "The process that carries the connections does not answer: {message}{hint:aside}"
    ),
    "platform.name-taken": N_("A name that is needed is taken: {message}{hint:aside}"),
    "platform.no-answer": N_("The service did not answer: {message}{hint:aside}"),
    "platform.not-a-manager": N_("This node is no manager of its Swarm: {message}{hint:aside}"),
    "platform.not-found": N_("Docker does not know it (any more): {message}{hint:aside}"),
    "platform.not-healed": N_("What was spoiled is not as it was: {message}{hint:aside}"),
    "platform.permission-denied": N_("You may not do this on this machine: {message}{hint:aside}"),
    "platform.port-taken": N_("A port is taken: {message}{hint:aside}"),
    "platform.program-missing": N_("The service's program is not there: {message}{hint:aside}"),
    "platform.refused": N_("Docker refused a request: {message}{hint:aside}"),
    "platform.ssh-failed": N_("The Docker daemon cannot be reached over ssh: {message}{hint:aside}"),
    "platform.swarm-in-use": N_("The Swarm has services of somebody else: {message}{hint:aside}"),
    "platform.swarm-no-answer": N_("The Swarm does not answer: {message}{hint:aside}"),
    "platform.swarm-not-ready": N_("The Swarm is not ready: {message}{hint:aside}"),
    "platform.tls-failed": N_(
        "The connection to the Docker daemon could not be secured: {message}{hint:aside}"
    ),
    "platform.unknown-node": N_("There is no such node: {message}{hint:aside}"),
    "platform.unsupported": N_("The platform cannot do this: {message}{hint:aside}"),
}
"""`platform.CODE` → text."""
