"""The whole analysis: a journal → `RunResults`.

Called by the director at the end of a run, and by `breakroom report` at any time later. The journal was read
by `journal.store.read_journal`; sample files are read here, trial by trial, through `analysis.reading`, so
memory holds one trial's samples at a time. All else is pure. A journal that was cut off anywhere gives
results too: what is not known is None or *unknown*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import msgspec

from breakroom.analysis.claims import claims
from breakroom.analysis.contenders import Repeats
from breakroom.analysis.cost import run_cost
from breakroom.analysis.drills import AnalysedTrial, drill_results, group
from breakroom.analysis.facts import TrialFacts, trial_facts
from breakroom.analysis.overall import overall
from breakroom.analysis.reading import read_stream
from breakroom.analysis.reasons import reason
from breakroom.analysis.results import (
    SCHEMA_VERSION,
    Reason,
    RunResults,
    Verdict,
)
from breakroom.analysis.series import Reader, unix_seconds
from breakroom.analysis.trial import analyse_trial
from breakroom.journal.records import Problem, Record, RunEnded, RunStarted, ToolCost, TrialStarted
from breakroom.journal.store import Journal

__all__ = ["analyse"]


def analyse(journal: Journal, *, read: Reader = read_stream) -> RunResults:
    """Everything that can be found out about a run.

    Args:
        journal: As `journal.store.read_journal` gives it.
        read: Reads one stream's samples; the default reads the files in the journal's directory.

    Raises:
        OSError: a sample file exists but cannot be read.
    """
    records = journal.records
    started = next((record for record in records if isinstance(record, RunStarted)), None)
    ended = next((record for record in reversed(records) if isinstance(record, RunEnded)), None)
    trials = _trials(journal, read)
    planned = started.trials if started is not None else ()
    seed = started.seed if started is not None else 0
    grouped = group(trials, planned, seed)
    chosen = started is None or started.chosen
    drills = tuple(
        msgspec.structs.replace(
            drill_results(name, contenders), counts=chosen or _played(contenders.values())
        )
        for name, contenders in grouped.items()
    )
    pace = started.pace if started is not None else ""
    first_t, last_t = min(record.t for record in records), max(record.t for record in records)
    return RunResults(
        schema=SCHEMA_VERSION,
        run_id=started.run_id if started is not None else journal.directory.name,
        version=started.version if started is not None else "",
        started_unix_s=unix_seconds(journal, started.t if started is not None else first_t),
        duration_s=(last_t - first_t) / 1e9,
        outcome=ended.outcome if ended is not None else "cut-off",
        platform=started.platform if started is not None else "",
        pace=pace,
        seed=seed,
        repeat=started.repeat if started is not None else 0,
        host=dict(started.host) if started is not None else {},
        verdict=_verdict(
            [drill.verdict for drill in drills if drill.counts],
            _drills_missing(planned, grouped),
        ),
        drills=drills,
        claims=claims([one for contenders in grouped.values() for one in contenders.values()], pace),
        trials=tuple(trial.results for trial in trials),
        tool_cost=run_cost([record for record in records if isinstance(record, ToolCost)]),
        problems=_problems(journal, trials, planned),
        overall=overall(grouped, planned),
    )


def _trials(journal: Journal, read: Reader) -> list[AnalysedTrial]:
    """Each trial in the order of its start; its samples are let go of before the next trial's are read."""
    by_trial: dict[str, list[Record]] = {}
    for record in journal.records:
        if record.trial:
            by_trial.setdefault(record.trial, []).append(record)
    facts = [found for records in by_trial.values() if (found := trial_facts(records)) is not None]
    beside = _side_by_side(facts)
    return [_analysed(journal, found, read, side_by_side=found.id in beside) for found in facts]


def _side_by_side(facts: Sequence[TrialFacts]) -> set[str]:
    """Trials of one drill and repeat that were under way at the same time as another one of it."""
    found: set[str] = set()
    for one, other in combinations(facts, 2):
        same = (one.started.drill, one.started.repeat) == (other.started.drill, other.started.repeat)
        if same and one.started.t < _over(other) and other.started.t < _over(one):
            found |= {one.id, other.id}
    return found


def _over(facts: TrialFacts) -> int:
    return facts.ended.t if facts.ended is not None else facts.last_t


def _analysed(journal: Journal, facts: TrialFacts, read: Reader, *, side_by_side: bool) -> AnalysedTrial:
    streams = {
        name: read(journal.directory, opened, facts.closed.get(name)) for name, opened in facts.opened.items()
    }
    results = analyse_trial(facts, streams, unix_seconds(journal, facts.zero))
    return AnalysedTrial(facts, msgspec.structs.replace(results, side_by_side=side_by_side))


def _played(contenders: Iterable[Repeats]) -> bool:
    """Whether the platform could play the drill against any contender."""
    return any(trial.outcome != "skipped" for repeats in contenders for trial in repeats.trials)


def _drills_missing(planned: Iterable[str], found: Iterable[str]) -> bool:
    return not {trial.split("/", 1)[0] for trial in planned}.issubset(found)


def _verdict(verdicts: Sequence[Verdict], missing: bool) -> Verdict:
    """*Not met* if any drill is not; *unknown* if any is, or one never ran, or there is none."""
    if "not met" in verdicts:
        return "not met"
    if missing or not verdicts or "unknown" in verdicts:
        return "unknown"
    return "met"


def _problems(
    journal: Journal, trials: Sequence[AnalysedTrial], planned: Sequence[str]
) -> tuple[Reason, ...]:
    """The journal's own problems, one and the same once for a trial, and what is wrong with the journal."""
    found: list[Reason] = []
    for record in journal.records:
        if isinstance(record, Problem):
            params = dict(record.params) | ({"trial": record.trial} if record.trial else {})
            problem = Reason(code=record.code, params=params)
            if problem not in found:
                found.append(problem)
    known = {trial.facts.id for trial in trials}
    started = {record.trial for record in journal.records if isinstance(record, TrialStarted)}
    strange = sorted({record.trial for record in journal.records if record.trial} - started)
    found += [reason("problem.unknown-trial", trial=trial) for trial in strange]
    missing = [trial for trial in planned if trial not in known]
    if missing:
        found.append(reason("problem.trials-missing", count=len(missing), planned=len(planned)))
    if journal.torn_lines:
        found.append(reason("problem.torn-lines", count=journal.torn_lines))
    return tuple(found)
