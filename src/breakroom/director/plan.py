"""What a run is going to do, before it does it: which drills, contenders and repeats, in which order.

Built by the command line from its arguments, carried out by `director.run`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from breakroom.spec.drill import Contender, Drill
from breakroom.spec.drill_steps import OomStep, ends_at

__all__ = [
    "LeftOut",
    "PlanError",
    "RunPlan",
    "TrialPlan",
    "batches",
    "expected_ns",
    "in_turns",
    "longest_ns",
    "only_runnable",
    "plan_run",
]


class PlanError(ValueError):
    """The arguments ask for something that no drill has; the text names what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """One drill on one contender, once."""

    drill: Drill
    contender: Contender
    repeat: int
    seed: int
    """The run's seed + repeat: the same for every contender of that repeat."""

    @property
    def id(self) -> str:
        """`DRILL/CONTENDER/REPEAT`."""
        return f"{self.drill.name}/{self.contender.name}/{self.repeat}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """All trials of one command, in order."""

    drills: tuple[Drill, ...]
    trials: tuple[TrialPlan, ...]
    platform: str
    pace: str
    seed: int
    repeat: int
    left_out: tuple[LeftOut, ...] = ()
    chosen: bool = True
    """Whether the drills were named; otherwise they are all there are, whatever the platform can do."""


def in_turns(plan: RunPlan) -> RunPlan:
    """The plan with no contenders side by side, whatever the drills say."""
    drills = tuple(replace(drill, side_by_side=False) for drill in plan.drills)
    return replace(plan, drills=drills, trials=_trials(drills, plan.seed, plan.repeat))


def _one_port(drill: Drill) -> bool:
    """Whether two of the contenders want the same published port, so that they cannot run at the same time."""
    fixed = [port.published for one in drill.contenders for port in one.service.ports if port.published]
    return len(set(fixed)) < len(fixed)


def batches(plan: RunPlan) -> tuple[tuple[TrialPlan, ...], ...]:
    """The trials in order, those that run side by side together: one repeat of a drill that allows it."""
    found: list[list[TrialPlan]] = []
    for trial in plan.trials:
        last = found[-1][-1] if found else None
        together = last is not None and last.drill.side_by_side and last.drill.name == trial.drill.name
        if together and last is not None and last.repeat == trial.repeat:
            found[-1].append(trial)
        else:
            found.append([trial])
    return tuple(tuple(batch) for batch in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A contender that the platform cannot run, so that it is not in the plan."""

    drill: str
    contender: str
    runs_as: str
    """What it would have to be run as."""


def plan_run(
    drills: tuple[Drill, ...],
    *,
    platform: str,
    pace: str,
    seed: int,
    repeat: int,
    contenders: tuple[str, ...],
    one_by_one: bool = False,
    chosen: bool = True,
) -> RunPlan:
    """Order the trials: drill by drill; within a drill repeat by repeat, and within a repeat contender by contender.

    Contenders alternate, so that a machine that grows slower or faster over the run does so for all of them.
    `contenders` keeps only those named, and the conditions about them; empty keeps all. `one_by_one` lets no
    contenders run side by side, whatever the drills say; nor do contenders that publish the same fixed port.
    `chosen`: whether somebody named the drills.

    Raises:
        PlanError: a contender that no drill has, or one drill twice.
    """
    known = {contender.name for drill in drills for contender in drill.contenders}
    for name in contenders:
        if name not in known:
            raise PlanError(f"no contender is called {name!r}; there are: {', '.join(sorted(known))}")
    names = [drill.name for drill in drills]
    for name in names:
        if names.count(name) > 1:
            raise PlanError(f"the drill {name!r} is given more than once; --repeat N runs it N times")
    if contenders:
        kept = (_only(drill, contenders) for drill in drills)
        drills = tuple(drill for drill in kept if drill.contenders)
    drills = tuple(replace(drill, side_by_side=False) if _one_port(drill) else drill for drill in drills)
    plan = RunPlan(
        drills=drills,
        trials=_trials(drills, seed, repeat),
        platform=platform,
        pace=pace,
        seed=seed,
        repeat=repeat,
        chosen=chosen,
    )
    return in_turns(plan) if one_by_one else plan


def only_runnable(plan: RunPlan, runs_as: frozenset[str]) -> RunPlan:
    """The plan without the contenders that the platform cannot run, and without drills that have no other.

    Raises:
        PlanError: none is left.
    """
    kept = [
        _only(drill, tuple(contender.name for contender in drill.contenders if contender.runs_as in runs_as))
        for drill in plan.drills
    ]
    drills = tuple(drill for drill in kept if drill.contenders)
    left_out = tuple(
        LeftOut(drill=drill.name, contender=contender.name, runs_as=contender.runs_as)
        for drill in plan.drills
        for contender in drill.contenders
        if contender.runs_as not in runs_as
    )
    if not drills:
        names = ", ".join(sorted({f"{one.contender} (a {one.runs_as})" for one in left_out}))
        raise PlanError(
            f"--platform {plan.platform} runs none of these contenders: {names}; it runs contenders that are a "
            f"{' or a '.join(sorted(runs_as))}"
        )
    return replace(plan, drills=drills, trials=_trials(drills, plan.seed, plan.repeat), left_out=left_out)


def _trials(drills: tuple[Drill, ...], seed: int, repeat: int) -> tuple[TrialPlan, ...]:
    return tuple(
        TrialPlan(drill=drill, contender=contender, repeat=number, seed=seed + number)
        for drill in drills
        for number in range(1, repeat + 1)
        for contender in drill.contenders
    )


def _only(drill: Drill, contenders: tuple[str, ...]) -> Drill:
    """The drill with these contenders alone; what is expected of the others is not asked."""
    return replace(
        drill,
        contenders=tuple(contender for contender in drill.contenders if contender.name in contenders),
        expect=tuple(condition for condition in drill.expect if condition.contender in contenders),
    )


def longest_ns(trial: TrialPlan) -> int:
    """How long after the begin of its timeline the trial is over at the latest, a minute of clean-up included."""
    last_step = max((ends_at(step) for step in trial.drill.timeline), default=0)
    return max(last_step, _load_ends(trial)) + trial.drill.recovered.within + 60_000_000_000


def expected_ns(trial: TrialPlan) -> int:
    """About how long the trial takes, for the progress display; a guess from the drill's own waits."""
    drill, contender = trial.drill, trial.contender
    # What an `oom` waits for comes about half-way, if the drill is what it should be.
    last_step = max(
        (
            step.at + step.within // 2 if isinstance(step, OomStep) else ends_at(step)
            for step in drill.timeline
        ),
        default=0,
    )
    recovery = 0
    if contender.runs_as == "service":
        recovery = contender.service.deploy.restart_policy.delay
    elif contender.operator is not None:
        recovery = contender.operator.reacts_after + contender.operator.acts_for
    fixed = 2_500_000_000
    played = max(last_step + recovery, _load_ends(trial))
    return fixed + drill.steady_state.duration + played + drill.recovered.stable


def _load_ends(trial: TrialPlan) -> int:
    """When a load that the timeline begins has come to the end of its stages; 0 where there is none."""
    load = trial.drill.load
    if load is None or load.at is None:
        return 0
    return load.at + sum(stage.duration for stage in load.stages)
