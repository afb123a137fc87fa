"""A sentence or two for each code of a `PlatformError`: what happened, and the way out.

Read by `i18n.translator` for readers of another language than English, for whom the platform's own words (which are
composed, or Docker's and the kernel's, and in no catalogue) only follow: in the problems of a journal as
`platform.CODE`, and on the command line. A code without a sentence has that of `platform.*` in `i18n.messages`.
"""

from __future__ import annotations

from breakroom.i18n.terms import N_

__all__ = ["PLATFORM_ERRORS"]

PLATFORM_ERRORS: dict[str, str] = {
    "platform.act-failed": N_("What was to be done to a task could not be done."),
    "platform.agent-silent": N_(
        "Breakroom's agent on a node does not answer. See whether the node is alive."
    ),
    "platform.base-missing": N_(
        "The base image cannot be had. Pull it where there is a network, or name another with --base."
    ),
    "platform.build-failed": N_("An image could not be built. The last line of the builder says why."),
    "platform.consent-needed": N_("Breakroom makes a Swarm only with your consent: --init-swarm gives it."),
    "platform.daemon-died": N_(
        "The Docker daemon stopped answering in mid-run. Start it, then `breakroom cleanup` removes what is left."
    ),
    "platform.daemon-missing": N_(
        "No Docker daemon can be reached. Start Docker, or run the drills without it: `breakroom run --platform local`."
    ),
    "platform.docker-config": N_(
        "Docker's configuration on this machine cannot be used. Mend or remove the file named."
    ),
    "platform.docker-error": N_("Docker reported an error of its own."),
    "platform.docker-host": N_(
        "This is no address of a Docker daemon. See DOCKER_HOST and `docker context ls`."
    ),
    "platform.engine-died": N_("What runs the service is there no more."),
    "platform.engine-failed": N_("The orchestrator could not be started."),
    "platform.engine-silent": N_("The orchestrator does not answer."),
    "platform.image-missing": N_(
        "An image is missing or too old. `breakroom images` builds the sample services', `docker pull` gets others."
    ),
    "platform.image-unknown": N_(
        "The local platform knows only the sample services' images by name. Give another service a `command`."
    ),
    "platform.ingress-failed": N_("The process that carries the connections could not be started."),
    "platform.ingress-silent": N_("The process that carries the connections does not answer."),
    "platform.name-taken": N_(
        "A name that is needed is taken. If a run left it, `breakroom cleanup` removes it."
    ),
    "platform.no-answer": N_("The service did not answer."),
    "platform.not-a-manager": N_("This node is no manager of its Swarm. Run it on a manager."),
    "platform.not-found": N_("It is not there, or no more."),
    "platform.not-healed": N_("A fault was taken back, and what it spoiled is still not as it was."),
    "platform.permission-denied": N_(
        "You may not use Docker here. Join the group `docker` or use sudo; `--platform local` needs no rights."
    ),
    "platform.port-missing": N_("The service publishes no port, so users cannot reach it. Give it `ports`."),
    "platform.port-taken": N_(
        "A port is taken by another program. End that (`ss -ltnp` shows it), or publish another port."
    ),
    "platform.program-missing": N_("The service's program is not there. Install it, or mend `command`."),
    "platform.refused": N_("The request was refused."),
    "platform.ssh-failed": N_(
        "The Docker daemon cannot be reached over ssh. See whether `ssh` to that machine works by itself."
    ),
    "platform.swarm-in-use": N_("The Swarm has services of somebody else. --use-swarm uses it all the same."),
    "platform.swarm-no-answer": N_("The Swarm does not answer. `docker node ls` shows how its managers are."),
    "platform.swarm-not-ready": N_("The Swarm is not ready. `docker node ls` shows which node it waits for."),
    "platform.tls-failed": N_(
        "The connection to the Docker daemon could not be secured. See DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."
    ),
    "platform.unknown-node": N_("There is no such node. `docker node ls` shows the names."),
    "platform.unsupported": N_("This is not possible with this platform or this drill file."),
}
"""`platform.CODE` → what happened, and the way out."""
