"""The English sentence for every `Reason` code of the analysis.

A sentence's placeholders are the code's parameters (`analysis.reasons.CODES`); a test holds both together. How a
placeholder is printed is said after its colon: `{s:duration}`, see `i18n.translator`.
"""

from __future__ import annotations

from breakroom.i18n.scaling import SCALING
from breakroom.i18n.terms import N_

__all__ = ["REASONS"]

REASONS: dict[str, str] = {
    # Why a trial's numbers cannot be trusted.
    "unknown.no-fault": N_("No fault was injected before the trial ended, so there is nothing to compare."),
    "unknown.fault-unproved": N_(
        "The fault ({kind:action}) was injected, but nothing proves that it took effect."
    ),
    "unknown.fault-failed": N_("The fault ({kind:action}) could not be injected."),
    "unknown.not-steady": N_(
        "The service did not reach its steady state within {within_s:duration}, so nothing was broken."
    ),
    "unknown.cut-off": N_(
        "The journal ends in the middle of the trial (while {phase:trial_phase}): breakroom was killed."
    ),
    "unknown.aborted": N_("The run was interrupted before the trial was over."),
    "unknown.skipped": N_("Not run, because the platform cannot do what this needs: {message}"),
    "unknown.failed": N_("The trial failed: {message}"),
    "unknown.ingress-limited": N_(
        "Breakroom's own balancer could not carry all connections ({problem}): "
        "what users saw was not the service's doing."
    ),
    "unknown.engine-limited": N_(
        "Breakroom's own orchestrator reached a limit of this machine ({message}): what became of the tasks was not "
        "the service's doing."
    ),
    "unknown.part-stood-still": N_(
        "{part:own_part} stood still for {still_s:duration} (allowed {limit_s:duration}): what users saw then was not "
        "the service's doing."
    ),
    "unknown.part-starved": N_(
        "{part:own_part} stood still for {share:ratio} of the observed time (allowed {limit:ratio}): what users saw "
        "was not the service's doing alone."
    ),
    "unknown.no-probe": N_(
        "Not one probe request lies in the observed time, so what users saw is not known."
    ),
    "unknown.stream-not-closed": N_(
        "The generator of the {stream:stream} did not report at its end; requests may be missing."
    ),
    "unknown.generator-lag": N_(
        "The generator of the {stream:stream} sent too late (p99 {lag_s:duration}, allowed {limit_s:duration}): "
        "it, not the service, may have been the limit."
    ),
    "unknown.probe-blind": N_(
        "The {stream:stream} stood still for up to {lag_s:duration} (allowed {limit_s:duration}): "
        "it may have missed an outage."
    ),
    "unknown.generator-bottleneck": N_(
        "The generator of the {stream:stream} was itself the limit: {bottleneck}"
    ),
    "unknown.generator-cpu": N_(
        "The generator of the {stream:stream} used a whole processor core: it, not the service, may have been the "
        "limit."
    ),
    "unknown.generator-starved": N_(
        "The generator of the {stream:stream} stood still or waited for a processor for {share:ratio} of its time, "
        "{still_s:duration} at the longest: the times are in part its own."
    ),
    "unknown.worker-died": N_("A worker process of the {stream:stream} died, so its requests are missing."),
    "unknown.samples-unwritable": N_(
        "The samples of the {stream:stream} could not be written (a full disk, for instance)."
    ),
    "unknown.not-sent": N_(
        "The generator of the {stream:stream} could not send {count:count} {count:plural:request|requests}."
    ),
    "unknown.samples-missing": N_(
        "Samples of the {stream:stream} are missing: {samples:count} on disk, {completed:count} completed."
    ),
    "unknown.requests-missing": N_(
        "Requests of the {stream:stream} have no outcome: {completed:count} completed of {intended:count} intended."
    ),
    "unknown.plan-mismatch": N_(
        "The requests of the {stream:stream} were not sent when the plan says ({checked:count} checked)."
    ),
    # Why users lost the time they lost.
    "lost.nothing": N_("No request failed after the fault."),
    "lost.waiting-for-operator": N_(
        "Users waited {s:duration} ({share:ratio} of the lost time) for a person to restart the "
        "service{modelled:modelled}."
    ),
    "lost.detection": N_(
        "{s:duration} ({share:ratio} of the lost time) passed until the platform noticed the failure."
    ),
    "lost.replacement": N_(
        "{s:duration} ({share:ratio} of the lost time) passed between noticing the failure and making a new replica."
    ),
    "lost.restart-delay": N_(
        "The new replica waited {s:duration} ({share:ratio} of the lost time) before it was started "
        "(the policy's restart delay: {delay_s:delay})."
    ),
    "lost.fault-in-force": N_(
        "For {s:duration} ({share:ratio} of the lost time) the fault ({kind:action}) was in force, and nothing but its "
        "end brought the service back."
    ),
    "lost.after-undo": N_(
        "The fault was taken back, yet requests kept failing for {s:duration} ({share:ratio} of the lost time)."
    ),
    "lost.app-start": N_(
        "The application itself took {s:duration} ({share:ratio} of the lost time) from its start until it answered."
    ),
    "lost.first-health-probe": N_(
        "The new process ran, but {s:duration} ({share:ratio} of the lost time) passed until a health probe found it "
        "healthy (interval {interval_s:duration})."
    ),
    "lost.rotation": N_(
        "The new replica ran, but for {s:duration} ({share:ratio} of the lost time) no connection was sent to it."
    ),
    "lost.after-return": N_(
        "The new replica was in rotation and had answered, yet requests kept failing for {s:duration} "
        "({share:ratio} of the lost time)."
    ),
    "lost.failed-again": N_(
        "What was started anew ran and then failed as well: {s:duration} ({share:ratio} of the time until it was back "
        "for good)."
    ),
    "lost.unexplained": N_(
        "For {s:duration} ({share:ratio} of the lost time) the recorded events do not say why."
    ),
    "lost.cut-connections": N_(
        "Only requests on connections of what was hit failed: {failed:count} failed; {open:count} were open there "
        "and {refused:count} refused. The other replicas served on."
    ),
    "lost.more-than-cut": N_(
        "More requests failed ({failed:count}) than were on the connections of what was hit "
        "({open:count} open, {refused:count} refused)."
    ),
    "lost.single-failures": N_(
        "{failed:count} {failed:plural:request|requests} failed; how many connections were open on "
        "the target is not known."
    ),
    "lost.never-recovered": N_(
        "The service did not come back in the {s:duration} it was watched; it was stuck {part:stuck}."
    ),
    "lost.not-lasting": N_(
        "Users were served again after {s:duration}, but watched for {watched_s:duration} only from then on: "
        "{stable_s:duration} without a failure count as recovered."
    ),
    # Why capacity was reduced while users were served by the rest.
    "capacity.fault-in-force": N_(
        "Back at full capacity: for {s:duration} ({share:ratio} of that time) the fault ({kind:action}) was in force."
    ),
    "capacity.after-undo": N_(
        "Back at full capacity: {s:duration} ({share:ratio} of that time) went by after the fault was taken back."
    ),
    "capacity.detection": N_(
        "Back at full capacity: {s:duration} ({share:ratio} of that time) went by until the "
        "platform noticed the failure."
    ),
    "capacity.replacement": N_(
        "Back at full capacity: {s:duration} ({share:ratio} of that time) went by between noticing "
        "the failure and making "
        "a new replica."
    ),
    "capacity.restart-delay": N_(
        "Back at full capacity: the new replica waited {s:duration} ({share:ratio} of that time) before it was started "
        "(the policy's restart delay: {delay_s:delay})."
    ),
    "capacity.first-health-probe": N_(
        "Back at full capacity: {s:duration} ({share:ratio} of that time) went by from the new process's start until a "
        "health probe found it healthy (interval {interval_s:duration})."
    ),
    "capacity.rotation": N_(
        "Back at full capacity: the new replica ran for {s:duration} ({share:ratio} of that time) "
        "before it entered rotation."
    ),
    "capacity.waiting-for-operator": N_(
        "Back at full capacity: {s:duration} ({share:ratio} of that time) went by until a person "
        "acted{modelled:modelled}."
    ),
    "capacity.failed-again": N_(
        "Back at full capacity: for {s:duration} ({share:ratio} of that time) replacements failed as well."
    ),
    "capacity.unexplained": N_(
        "Back at full capacity: for {s:duration} ({share:ratio} of that time) the recorded events do not say why."
    ),
    "capacity.reduced": N_(
        "For {s:duration} fewer replicas were in rotation than wanted: {lowest:count} of {wanted:count} at the lowest."
    ),
    "capacity.never-restored": N_(
        "Full capacity did not come back in the {s:duration} it was watched: {lowest:count} of {wanted:count} replicas "
        "in rotation at the lowest."
    ),
    # Lines in plots.
    "mark.fault": N_("fault: {kind:action}"),
    "mark.fault-unproved": N_("fault (unproved): {kind:action}"),
    "mark.first-error": N_("first error"),
    "mark.detected": N_("detected"),
    "mark.replaced": N_("replacement created"),
    "mark.running": N_("replacement running"),
    "mark.in-rotation": N_("in rotation"),
    "mark.first-success": N_("service restored"),
    "mark.full-capacity": N_("full capacity"),
    "mark.stable": N_("stable"),
    "mark.operator-act": N_("operator: {kind:action}{modelled:modelled}"),
    "mark.undone": N_("undone: {kind:action}"),
    # Why a condition has its verdict.
    "condition.no-trial": N_("Contender {contender} was not run."),
    "condition.not-measured": N_(
        "{metric:metric} is known in only {known:count} of {of:count} {of:plural:trial|trials}."
    ),
    "condition.skipped": N_(
        "{contender} was not run, because the platform cannot do what this needs: {message}"
    ),
    "condition.untrusted": N_(
        "{unknown:count} of {of:count} {of:plural:trial|trials} of {contender} cannot be trusted."
    ),
    "condition.own-lag": N_(
        "{metric:metric}: up to {own_s:duration} of it is the generator's own lag, without which the answer could be "
        "another."
    ),
    "condition.never": N_("{metric:metric}: it did not come to an end while it was watched."),
    "condition.within-resolution": N_(
        "Value and limit are closer together than the measurement can tell apart ({resolution})."
    ),
    # Why a drill has its verdict.
    "verdict.condition-not-met": N_("Not met: {text} (measured: {value})."),
    "verdict.condition-unknown": N_("Cannot be judged: {text}."),
    "verdict.trials-unknown": N_(
        "{unknown:count} of {of:count} {of:plural:trial|trials} of {contender} cannot be trusted."
    ),
    "verdict.trials-skipped": N_(
        "{contender} was not run, because the platform cannot do what this needs: {message}"
    ),
    "verdict.trials-missing": N_(
        "Of {contender}, only {known:count} of {of:count} {of:plural:trial|trials} were run."
    ),
    "verdict.plans-differ": N_("The contenders did not run the same plan, so they must not be compared."),
    "verdict.plans-unknown": N_("Whether the contenders ran the same plan is not known."),
    "verdict.all-met": N_(
        "{conditions:plural:The condition is|All conditions are} met ({conditions:count})."
    ),
    "verdict.no-conditions": N_("The drill sets no conditions; it measures and does not judge."),
    # Why a claim of the course has its verdict.
    "claim.measured": N_("Measured: {value:ratio}; the course says {limit:ratio}."),
    "claim.within-resolution": N_(
        "Measured: {value:ratio}; the course says {limit:ratio}. The difference is smaller than the measurement can "
        "tell apart ({resolution:ratio})."
    ),
    "claim.measured-time": N_(
        "Measured: {value_s:duration}; the course says {low_s:range_from}{high_s:duration}."
    ),
    "claim.modelled-time": N_(
        "{value_s:duration}, set by the operator model and not measured; the course says "
        "{low_s:range_from}{high_s:duration}."
    ),
    "claim.scaled": N_(
        "At the pace “{pace}” the operator model's time is shortened ({value_s:duration}), so it "
        "says nothing on this claim."
    ),
    "claim.no-drill": N_("No drill of the run says anything on this."),
    "claim.no-contender": N_("None of the run's contenders is of that kind."),
    "claim.not-measured": N_("The trials do not know this value."),
    "claim.never-recovered": N_(
        "It did not recover while it was watched; the course says {limit_s:duration}."
    ),
    "claim.not-saturating": N_(
        "The load did not ask for all the capacity, so {kept:ratio} served says nothing on the capacity that was left."
    ),
    "claim.no-work-to-save": N_(
        "The single container needed no act of a person either, so there was nothing to save."
    ),
    "claim.acts": N_(
        "Acts of a person: {single:count} with the single container, {orchestrated:count} "
        "orchestrated; saved {saved:ratio}."
    ),
    # Why the autoscaler decided as it did.
    **SCALING,
    # What a reader of the whole run must know.
    "problem.torn-lines": N_(
        "{count:count} {count:plural:line|lines} of the journal could not be read and {count:plural:was|were} skipped."
    ),
    "problem.unknown-trial": N_(
        "The journal has records of the trial {trial} but not its start; they were left out."
    ),
    "problem.trials-missing": N_(
        "{count:count} of {planned:count} planned {planned:plural:trial|trials} {count:plural:was|were} not run."
    ),
    # What there is to say of one kind of failure.
    "act.no-failures": N_("No request failed under the load."),
    "act.failures": N_(
        "The load was more than could be served: {failed:count} {failed:plural:request|requests} failed, and for "
        "{s:duration} nobody was served."
    ),
    "act.inapplicable": N_("A contender of this kind has no such act ({kind:action}); it stayed as it was."),
    "update.completed": N_(
        "The update was completed in {s:duration}; at least {lowest:count} of {wanted:count} replicas served all the "
        "while, and {failed:count} {failed:plural:request|requests} failed."
    ),
    "update.rollback-completed": N_(
        "The rollback was completed in {s:duration}; at least {lowest:count} of {wanted:count} replicas served all the "
        "while, and {failed:count} {failed:plural:request|requests} failed."
    ),
    "update.replaced": N_(
        "The container was stopped and made anew in {s:duration}; {failed:count} {failed:plural:request|requests} "
        "failed from the command on."
    ),
    "update.paused": N_(
        "The orchestrator paused the update after {s:duration}: {message}. {met:count} {met:plural:request|requests} "
        "met the version {version}, {failed:count} failed; at least {lowest:count} of {wanted:count} replicas served."
    ),
    "update.rolled-back": N_(
        "The orchestrator took the update back, which was over after {s:duration}: {message}. {met:count} "
        "{met:plural:request|requests} met the version {version}, {failed:count} failed; at least {lowest:count} of "
        "{wanted:count} replicas served."
    ),
    "update.rollback-paused": N_(
        "The orchestrator began to take the update back and gave that up: {message}. {met:count} "
        "{met:plural:request|requests} met the version {version}, {failed:count} failed; at least {lowest:count} of "
        "{wanted:count} replicas served."
    ),
    "update.under-way": N_(
        "The update was not over when observation ended. {met:count} {met:plural:request|requests} met the version "
        "{version}, {failed:count} failed; at least {lowest:count} of {wanted:count} replicas served."
    ),
    "scale.up": N_(
        "{to_replicas:count} replicas instead of {from_replicas:count} served after {s:duration}"
        "{gain:goodput}; {failed:count} {failed:plural:request|requests} failed."
    ),
    "scale.down": N_(
        "Only {to_replicas:count} replicas of {from_replicas:count} were left after {s:duration}"
        "{gain:goodput}; {failed:count} {failed:plural:request|requests} failed."
    ),
    "scale.not-reached": N_(
        "{to_replicas:count} replicas instead of {from_replicas:count} were asked for and never reached; "
        "{failed:count} {failed:plural:request|requests} failed."
    ),
    "scale.inapplicable": N_(
        "{to_replicas:count} replicas were asked for, but of a container there is one; nothing was "
        "done{gain:goodput}."
    ),
    "scale.many": N_(
        "The number of replicas was changed {count:count} times, between {lowest:count} and {highest:count}; "
        "{failed:count} {failed:plural:request|requests} failed meanwhile."
    ),
    "impairment.slower": N_(
        "While the link was bad, half of the answers took at most {during_s:duration} (before: {before_s:duration}, "
        "predicted: {predicted_s:duration}), and {failed:ratio} of the probes failed."
    ),
    "impairment.as-predicted": N_("That is what follows from the link alone."),
    "impairment.otherwise": N_(
        "That is not what follows from the link alone: the service did something beside it."
    ),
    "leak.killed": N_(
        "The memory limit killed {kills:count} {kills:plural:replica|replicas}; each request took "
        "{bytes_per_request:size} for ever."
    ),
    "leak.slower": N_(
        "The killed replicas had become slower before: half of their first answers took at most {first_s:duration}, "
        "of their last ones {last_s:duration}."
    ),
    "leak.cured": N_(
        "Restarted replicas no longer grow as the first ones did ({restarted:size} a request instead of {first:size})."
    ),
    "leak.not-cured": N_(
        "Restarting hides the leak and does not cure it: restarted replicas grow by {restarted:size} a request, the "
        "first ones grew by {first:size}."
    ),
    # How a prediction comes about.
    "impairment.delay": N_(
        "A request on a new connection crosses the bad link {passages:count} times, with {delay_s:duration} ± "
        "{jitter_s:duration} each; {share:ratio} of the connections cross it. Agreement within {relative:ratio} and "
        "{absolute_s:duration}."
    ),
    "impairment.loss": N_(
        "Of the packets of a request on a new connection, {packets:count} can be lost, each with a probability of "
        "{loss:ratio}; {share:ratio} of the connections cross the bad link, so {hit:ratio} of the requests wait for at "
        "least one retransmission: 1 s or more for the handshake, 200 ms or more for data. Agreement within "
        "{relative:ratio} and {absolute_s:duration}."
    ),
    "impairment.partition": N_(
        "Nothing crosses the link: {share:ratio} of the connections, averaged over that time, wait in vain for "
        "{timeout_s:duration}, unless it is over when one of them is tried again, 1 or 3 s later."
    ),
    "impairment.not-predicted": N_("What follows from such a link is not computed."),
    # The one setting that would have shortened the way back most.
    "advice.restart-policy": N_(
        "`{setting}: {better}` instead of `{now}`: the container engine starts the container again at once, and "
        "nobody waits for a person ({saves_s:duration} of {s:duration} saved)."
    ),
    "advice.orchestrator": N_(
        "No restart policy sees a process that lives and does not answer: an orchestrator with a health check "
        "({better}) replaces it ({saves_s:duration} of {s:duration} saved)."
    ),
    "advice.restart-delay": N_(
        "`{setting}: {better}` instead of `{now}`: the replacement is started at once ({saves_s:duration} of "
        "{s:duration} saved)."
    ),
    "advice.health-check": N_(
        "A `{setting}` every {better}: without one nobody notices a replica that does not answer "
        "({saves_s:duration} of {s:duration} saved)."
    ),
    "advice.health-interval": N_(
        "`{setting}: {better}` instead of `{now}`: a sick replica is found out sooner (up to {saves_s:duration} of "
        "{s:duration} saved)."
    ),
    "advice.start-interval": N_(
        "`{setting}: {better}` within a `start_period`, instead of `{now}`: a replica that is ready gets requests "
        "sooner (up to {saves_s:duration} of {s:duration} saved)."
    ),
    "advice.stop-grace": N_(
        "`{setting}: {better}` instead of `{now}`: a replica that does not hear its stop signal is ended sooner "
        "(up to {saves_s:duration} of {s:duration} saved), at the price of requests that take longer than that."
    ),
    "advice.replicas": N_(
        "`{setting}: {better}` instead of `{now}`: another replica serves meanwhile ({saves_s:duration} of "
        "{s:duration} saved)."
    ),
    "advice.rolling-update": N_(
        "{better} replicas or more under an orchestrator are updated one after the other, and another one serves "
        "meanwhile ({saves_s:duration} of {s:duration} saved)."
    ),
    "advice.update-order": N_(
        "`{setting}: {better}` instead of `{now}`: each new replica serves before an old one is stopped "
        "({saves_s:duration} of {s:duration} with fewer replicas than wanted saved)."
    ),
    # Lines in plots.
    "mark.action": N_("{kind:action}"),
    "mark.scale": N_("scale to {replicas:count}"),
    "mark.inapplicable": N_("no {kind:action} here"),
    "mark.update-completed": N_("update completed"),
    "mark.update-paused": N_("update paused"),
    "mark.rollback-started": N_("rollback begins"),
    "mark.rollback-completed": N_("rollback completed"),
    "mark.rollback-paused": N_("rollback paused"),
}
"""code → sentence."""
