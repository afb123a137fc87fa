"""The English sentence for every decision of the autoscaler (`scaling.…`). Part of `i18n.reasons`; see there."""

from __future__ import annotations

from breakroom.i18n.terms import N_

__all__ = ["SCALING"]

SCALING: dict[str, str] = {
    # What the metric asks for.
    "scaling.up-utilisation": N_(
        "A load of {offered:rate} over {replicas:count} {replicas:plural:replica|replicas} of {capacity:rate} each is "
        "{observed:ratio} of capacity, above the target of {target:ratio}: {replicas:count} → {decided:count}."
    ),
    "scaling.down-utilisation": N_(
        "A load of {offered:rate} over {replicas:count} {replicas:plural:replica|replicas} of {capacity:rate} each is "
        "{observed:ratio} of capacity, below the target of {target:ratio}: {replicas:count} → {decided:count}."
    ),
    "scaling.on-target": N_(
        "A load of {offered:rate} over {replicas:count} {replicas:plural:replica|replicas} of {capacity:rate} each is "
        "{observed:ratio} of capacity, within {tolerance:ratio} of the target of {target:ratio}: nothing changes."
    ),
    "scaling.none-to-spare": N_(
        "A load of {offered:rate} over {replicas:count} {replicas:plural:replica|replicas} of {capacity:rate} each is "
        "{observed:ratio} of capacity, below the target of {target:ratio}, but one fewer would be above it."
    ),
    "scaling.up-latency": N_(
        "A latency (p90) of {observed:duration} is above the target of {target:duration} and not falling: half as many "
        "again, {replicas:count} → {decided:count}."
    ),
    "scaling.down-latency": N_(
        "A latency (p90) of {observed:duration} is below half of the target of {target:duration}: one fewer, "
        "{replicas:count} → {decided:count}."
    ),
    "scaling.latency-good": N_(
        "A latency (p90) of {observed:duration} with {replicas:count} {replicas:plural:replica|replicas} suits the "
        "target of {target:duration}: nothing changes."
    ),
    "scaling.first-look": N_(
        "A latency (p90) of {observed:duration} is above the target of {target:duration}, but this is the first look "
        "at {replicas:count} {replicas:plural:replica|replicas}: it may be falling already."
    ),
    "scaling.improving": N_(
        "A latency (p90) of {observed:duration} is above the target of {target:duration}, but it falls (before: "
        "{before:duration}): {replicas:count} {replicas:plural:replica is|replicas are} working off what has piled up."
    ),
    "scaling.tried-before": N_(
        "{replicas:count} replicas stay: {fewer:count} {fewer:plural:was|were} too slow for {too_much:rate}, and the "
        "load is {offered:rate}."
    ),
    "scaling.unsettled": N_(
        "Not exactly the wanted replicas served all through the interval ({serving:count} in rotation, "
        "{replicas:count} wanted), so latency says nothing about their number."
    ),
    "scaling.nothing-observed": N_("Nothing was to be seen of the service, so nothing changes."),
    # What a limit makes of it.
    "scaling.outside-bounds": N_(
        "{replicas:count} {replicas:plural:replica is|replicas are} outside of the bounds {minimum:count} to "
        "{maximum:count}: {replicas:count} → {decided:count}."
    ),
    "scaling.up-doubled": N_(
        "{proposed:count} replicas are asked for; one decision at most doubles: {replicas:count} → {decided:count}."
    ),
    "scaling.up-to-maximum": N_(
        "{proposed:count} replicas are asked for; up to the maximum: {replicas:count} → {decided:count}."
    ),
    "scaling.at-maximum": N_(
        "{proposed:count} replicas are asked for, but there are {replicas:count} and the maximum is {maximum:count}."
    ),
    "scaling.cooling-up": N_(
        "{proposed:count} replicas are asked for, but the number was changed lately: nothing is added to "
        "{replicas:count} for another {left_s:duration}."
    ),
    "scaling.down-to-minimum": N_(
        "{proposed:count} {proposed:plural:replica is|replicas are} asked for; down to the minimum: {replicas:count} → "
        "{decided:count}."
    ),
    "scaling.at-minimum": N_(
        "{proposed:count} {proposed:plural:replica is|replicas are} asked for, but there {replicas:plural:is|are} "
        "{replicas:count} and the minimum is {minimum:count}."
    ),
    "scaling.incomplete": N_(
        "{proposed:count} {proposed:plural:replica is|replicas are} asked for, but only {serving:count} of "
        "{replicas:count} serve: nothing is taken away before they are all there."
    ),
    "scaling.cooling-down": N_(
        "{proposed:count} {proposed:plural:replica is|replicas are} asked for, but the number was changed lately: "
        "nothing is taken from {replicas:count} for another {left_s:duration}."
    ),
    "scaling.stabilising": N_(
        "{proposed:count} {proposed:plural:replica is|replicas are} asked for, but {replicas:count} were needed within "
        "the last {window_s:duration}: it may be a dip."
    ),
    "scaling.down-stabilised": N_(
        "{proposed:count} {proposed:plural:replica is|replicas are} asked for; down to what was needed within the last "
        "{window_s:duration}: {replicas:count} → {decided:count}."
    ),
}
"""code → sentence."""
