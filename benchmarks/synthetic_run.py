"""A program of its own: writes a synthetic run with many samples, or analyses one and writes its report.

    synthetic_run.py write DIRECTORY SAMPLES [closed|open] [WORKERS]
    synthetic_run.py analyse DIRECTORY        prints its seconds, peak memory and the report's size as JSON

Run by the benchmark of the analysis and by the growth plots, each in a process of its own: so the peak memory is the
analysis's alone (Linux lets a child's peak begin at its parent's size). One trial with a probe and a large load.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from breakroom.analysis.run import analyse
from breakroom.journal.records import (
    ActionChanged,
    PhaseStarted,
    RotationChanged,
    RunEnded,
    RunStarted,
    StreamClosed,
    StreamOpened,
    TaskChanged,
    TrialEnded,
    TrialStarted,
)
from breakroom.journal.samples import Outcome, sample_dtype
from breakroom.journal.store import JournalWriter, read_journal
from breakroom.report.write import write_report
from breakroom.spec.drill import LoadSpec, ProbeSpec

TRIAL = "kill/orchestrated/1"
S = 1_000_000_000
SPAN = 100 * S
FAULT = 40 * S
RATE_LIMIT = 1_000_000


def main() -> None:
    what, directory = sys.argv[1], Path(sys.argv[2])
    if what == "write":
        model = sys.argv[4] if len(sys.argv) > 4 else "closed"
        write_run(directory, int(sys.argv[3]), model, int(sys.argv[5]) if len(sys.argv) > 5 else 2)
    else:
        print(json.dumps(measure(directory)))


def measure(directory: Path) -> dict[str, float]:
    """Analyse, then report."""
    idle = peak_mb()
    began = time.perf_counter()
    journal = read_journal(directory)
    results = analyse(journal)
    analysed = time.perf_counter() - began
    analysis_peak = peak_mb()
    (trial,) = results.trials
    assert trial.cut.failed_requests > 0, "the synthetic fault must be seen"
    assert not trial.reasons_unknown, trial.reasons_unknown
    began = time.perf_counter()
    paths = write_report(directory, results, journal, "en")
    return {
        "analysis_s": analysed,
        "analysis_mb": analysis_peak,
        "before_mb": idle,
        "report_s": time.perf_counter() - began,
        "report_mb": paths.html.stat().st_size / 1e6,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def write_run(directory: Path, samples: int, model: str, workers: int) -> None:
    """A kill at 40 s of 100 s; for 2 s one request in 50 is reset."""
    probe = ProbeSpec()
    rate = min(samples / (SPAN / S), RATE_LIMIT)
    load = (
        LoadSpec(model="closed", concurrency=100) if model == "closed" else LoadSpec(model="open", rate=rate)
    )
    probes = write_samples(directory, "probe", SPAN // S * 100, 1)
    loads = write_samples(directory, "load", samples, workers)
    journal = JournalWriter(directory)
    trial: dict[str, Any] = {"trial": TRIAL}
    journal.append(
        RunStarted(
            t=0,
            run_id="bench",
            version="",
            unix_ns=0,
            argv=(),
            platform="",
            pace="",
            seed=1,
            repeat=1,
            trials=(TRIAL,),
        )
    )
    service: dict[str, Any] = {"deploy": {"replicas": 3}}
    plan: dict[str, Any] = {"contenders": [{"name": "orchestrated", "service": service}]}
    journal.append(
        TrialStarted(
            t=0,
            drill="kill",
            contender="orchestrated",
            repeat=1,
            runs_as="service",
            seed=1,
            shared_plan={},
            plan_digest="",
            plan=plan,
            **trial,
        )
    )
    for slot in (1, 2, 3):
        task: dict[str, Any] = {
            "task": f"t{slot}",
            "service": "web",
            "slot": slot,
            "node": "n",
            "desired": "running",
            **trial,
        }
        journal.append(TaskChanged(t=0, state="running", **task))
        journal.append(RotationChanged(t=0, task=f"t{slot}", in_rotation=True, **trial))
    for name, spec, files in (("probe", probe, probes), ("load", load, loads)):
        opened: dict[str, Any] = {
            "stream": name,
            "t0": 0,
            "files": files,
            "plan": msgspec.to_builtins(spec),
            "url": "",
            **trial,
        }
        journal.append(
            StreamOpened(t=0, model="closed" if name == "load" and model == "closed" else "open", **opened)
        )
    journal.append(PhaseStarted(t=FAULT - S, phase="faulting", **trial))
    action: dict[str, Any] = {"action": "step-1", "kind": "kill", "by": "timeline", "tasks": ("t2",), **trial}
    journal.append(ActionChanged(t=FAULT, stage="intended", **action))
    journal.append(ActionChanged(t=FAULT, stage="proved", proved_t=FAULT, **action))
    journal.append(RotationChanged(t=FAULT, task="t2", in_rotation=False, open_connections=9, **trial))
    journal.append(RotationChanged(t=FAULT + 2 * S, task="t2", in_rotation=True, **trial))
    journal.append(PhaseStarted(t=SPAN - S, phase="undoing", **trial))
    for name, count in (("probe", SPAN // S * 100), ("load", samples)):
        counts: dict[str, Any] = {"intended": count, "sent": count, "completed": count}
        journal.append(StreamClosed(t=SPAN, stream=name, **counts, **trial))
    journal.append(TrialEnded(t=SPAN, outcome="completed", **trial))
    journal.append(RunEnded(t=SPAN, outcome="completed"))
    journal.close()


def write_samples(directory: Path, name: str, count: int, workers: int) -> tuple[str, ...]:
    """Evenly spaced requests in order of completion, as workers write them."""
    random = np.random.default_rng(1)
    files = tuple(f"{name}-{worker}.bin" for worker in range(workers))
    for worker, file in enumerate(files):
        number = np.arange(worker, count, workers, dtype=np.int64)
        rows = np.zeros(len(number), sample_dtype())
        rows["intended"] = number * SPAN // count
        rows["total"] = random.gamma(4, 2_000, len(number)).astype(np.uint32)
        rows["lag"] = 20
        rows["task"] = number % 3 + 1
        rows["version"] = 4
        hit = (rows["intended"] >= FAULT) & (rows["intended"] < FAULT + 2 * S) & (number % 50 == 0)
        rows["outcome"][hit] = Outcome.RESET
        ends = rows["intended"] + rows["total"].astype(np.int64) * 1_000
        rows[np.argsort(ends, kind="stable")].tofile(directory / file)
        (directory / f"{file}.names").write_text("t1\nt2\nt3\nv1\n")
    return files


if __name__ == "__main__":
    main()
