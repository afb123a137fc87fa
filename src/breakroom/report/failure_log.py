"""`failure-log.txt`: what the course's learners note by hand when a container falls over, with the machine's own times.

Called by `report.write`. One line a task that ended or was found sick, in order of time: local time to the millisecond,
trial, task, what happened, how it ended, memory of its limit, the last line of its log. Pure but for the machine's time
zone.
"""

from __future__ import annotations

import re
from datetime import datetime

from breakroom.analysis.results import FailureMoment, RunResults
from breakroom.i18n import Translator
from breakroom.report.kinds import exit_of, last_line, memory_of

__all__ = ["render_failure_log"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def render_failure_log(results: RunResults, t: Translator) -> str:
    """The whole file, ending in a newline; of a run without a failure it says so."""
    found = [(moment, trial.id) for trial in results.trials for moment in trial.failures]
    found.sort(key=lambda pair: pair[0].unix_s)
    lines = [_line(moment, trial, t) for moment, trial in found]
    if not lines:
        lines = [t.say("No task ended by itself or was found sick in this run.")]
    return "\n".join([f"# breakroom {results.run_id} · {results.platform} · {results.pace}", *lines]) + "\n"


def _line(moment: FailureMoment, trial: str, t: Translator) -> str:
    local = datetime.fromtimestamp(moment.unix_s).astimezone().isoformat(timespec="milliseconds")
    what = t.label("state", moment.state)
    if moment.error:
        what += f" ({moment.error})"
    parts = [
        trial,
        t.say("{task} (slot {slot})", task=moment.task, slot=str(moment.slot)),
        what,
        exit_of(moment.exit_code, moment.signal, t, oom=moment.oom),
    ]
    memory = memory_of(moment.memory_bytes, moment.memory_limit_bytes, t)
    if memory:
        parts.append(t.say("memory {memory}", memory=memory))
    log = last_line(moment.log_tail)
    if log:
        parts.append(t.say("last log line: {line}", line=log))
    return f"{local}: " + _CONTROL.sub(" ", "; ".join(part for part in parts if part))
