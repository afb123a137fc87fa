"""The autoscaler of a trial: looks at the load every interval, decides by `autoscale.rule`, and scales the service.

Run by `director.trial` beside a service that has `autoscale`, from the steady state on. Every decision is written
(`ScalingDecided`), also one that changes nothing; a change is an action as any other, by `autoscaler`:

    intended → done → proved     all of the new number are in rotation, or the surplus is out of it
                    → unproved   not in time, overtaken by another number, or the trial ended
             → failed            the platform refused; the next decision may ask again

A decision is taken at fixed moments that do not drift, while the proof of an earlier one is still awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from breakroom.autoscale.model import Decision, Memory, Observation
from breakroom.autoscale.rule import decide
from breakroom.director.observed import LoadWatch
from breakroom.director.state import TrialState
from breakroom.journal.records import ActionChanged, RotationChanged, ScalingDecided, StreamOpened
from breakroom.platforms.base import Deployment, Emit, PlatformError
from breakroom.spec.drill import AutoscaleSpec

__all__ = ["PROOF_WITHIN", "autoscale"]

_SECOND = 1_000_000_000
PROOF_WITHIN = 60 * _SECOND
"""How long the new number is waited for."""
_LATE = _SECOND
"""A record may be that much later in the list than its own time says."""


async def autoscale(
    spec: AutoscaleSpec, deployment: Deployment, state: TrialState, emit: Emit, now: Callable[[], int]
) -> None:
    """Follow the load for as long as this runs. Ends by cancellation.

    Args:
        spec: The contender's.
        deployment: The service that is scaled.
        state: The trial as it stands; its wanted number follows the scaling.
        emit: Takes the records.
        now: The journal's clock.
    """
    scaler = _Autoscaler(spec, deployment, state, emit, now)
    try:
        await scaler.run()
    finally:
        scaler.give_up()


@dataclass(slots=True, kw_only=True)
class _Change:
    """A change that the platform has accepted and that is not proved yet."""

    action: str
    before: int
    replicas: int
    since: int

    @property
    def up(self) -> bool:
        return self.replicas > self.before


class _Autoscaler:
    def __init__(
        self,
        spec: AutoscaleSpec,
        deployment: Deployment,
        state: TrialState,
        emit: Emit,
        now: Callable[[], int],
    ) -> None:
        self._spec = spec
        self._deployment = deployment
        self._state = state
        self._emit = emit
        self._now = now
        self._watch = LoadWatch(state.directory)
        self._memory = Memory.begin(now(), state.wanted)
        self._wanted_since = 0
        self._changes = 0
        self._pending: list[_Change] = []

    async def run(self) -> None:
        """Decide at every tick, and settle changes whenever the trial's state moves."""
        interval = self._spec.interval
        tick = self._now() + interval
        while True:
            left = max(0.0, (tick - self._now()) / 1e9)
            if await self._state.until(self._something_settled, within=left):
                self._settle()
                continue
            await self._decide(tick)
            # Should a decision have taken longer than the interval, the moments it missed are left out.
            missed = max(0, self._now() - tick) // interval
            tick += (missed + 1) * interval

    # --- deciding -------------------------------------------------------------------------------------------------

    async def _decide(self, tick: int) -> None:
        wanted = self._state.wanted
        if wanted != self._memory.replicas:
            self._wanted_since = tick  # a step of the timeline was here
        decision, self._memory = decide(self._spec, self._look(tick), self._memory)
        spec, metric = self._spec, self._spec.metric
        self._emit(
            ScalingDecided(
                t=self._now(),
                trial=self._state.trial,
                metric=metric,
                observed=decision.observed,
                target=spec.target if metric == "utilisation" else spec.target / _SECOND,
                replicas=wanted,
                proposed=decision.proposed,
                decided=decision.decided,
                decision=decision.decision,
                reason=decision.reason,
                params=decision.params,
                dry_run=spec.dry_run,
            )
        )
        if decision.decision != "hold" and not spec.dry_run:
            await self._scale(tick, wanted, decision)

    def _look(self, tick: int) -> Observation:
        state, start = self._state, tick - self._spec.interval
        self._watch.opened(record for record in state.records if isinstance(record, StreamOpened))
        offered, latency = self._watch.look(start, tick)
        moved = self._wanted_since > start or bool(self._rotation(start))
        return Observation(
            at=tick,
            replicas=state.wanted,
            serving=state.serving,
            settled=state.serving == state.wanted and not moved,
            offered=offered,
            latency=latency,
        )

    def _rotation(self, since: int) -> list[RotationChanged]:
        """What entered or left the rotation since then, the newest first."""
        found = []
        for record in reversed(self._state.records):
            if record.t < since - _LATE:
                break
            if isinstance(record, RotationChanged) and record.t >= since:
                found.append(record)
        return found

    # --- scaling --------------------------------------------------------------------------------------------------

    async def _scale(self, tick: int, before: int, decision: Decision) -> None:
        self._changes += 1
        change = _Change(
            action=f"autoscale-{self._changes}", before=before, replicas=decision.decided, since=self._now()
        )
        self._write(change, "intended")
        try:
            await self._deployment.scale(decision.decided)
        except PlatformError as error:
            self._write(change, "failed", reason=str(error))
            return
        self._write(change, "done")
        self._state.set_wanted(decision.decided)
        self._memory = self._memory.changed(tick, decision.decided)
        self._wanted_since = self._now()
        self._pending.append(change)

    # --- proving --------------------------------------------------------------------------------------------------

    def _something_settled(self) -> bool:
        return any(self._verdict(change) for change in self._pending)

    def _verdict(self, change: _Change) -> str:
        """`proved`, why it will not be, or empty: it is still open."""
        serving = self._state.serving
        if serving >= change.replicas if change.up else serving <= change.replicas:
            return "proved"
        if self._state.wanted < change.replicas if change.up else self._state.wanted > change.replicas:
            return "overtaken by another number"
        if self._now() > change.since + PROOF_WITHIN:
            return "not in time"
        return ""

    def _settle(self) -> None:
        for change in list(self._pending):
            verdict = self._verdict(change)
            if verdict:
                self._pending.remove(change)
                if verdict == "proved":
                    self._write_proof(change)
                else:
                    self._write(change, "unproved", reason=verdict)

    def _write_proof(self, change: _Change) -> None:
        moved = [record for record in self._rotation(change.since) if record.in_rotation == change.up]
        self._write(
            change,
            "proved",
            # Nothing moved where the surplus was out of rotation before, being dead already.
            proved_t=max((record.t for record in moved), default=self._now()),
            tasks=tuple(dict.fromkeys(record.task for record in reversed(moved))),
        )

    def give_up(self) -> None:
        """The trial ends: what is not proved by now will not be."""
        for change in self._pending:
            self._write(change, "unproved", reason="the trial ended")
        self._pending.clear()

    def _write(
        self,
        change: _Change,
        stage: Literal["intended", "done", "proved", "unproved", "failed"],
        *,
        proved_t: int | None = None,
        tasks: tuple[str, ...] = (),
        reason: str = "",
    ) -> None:
        detail = {"from": change.before, "replicas": change.replicas}
        self._emit(
            ActionChanged(
                t=self._now(),
                trial=self._state.trial,
                action=change.action,
                kind="scale",
                by="autoscaler",
                stage=stage,
                tasks=tasks,
                proved_t=proved_t,
                detail={**detail, "reason": reason} if reason else detail,
            )
        )
