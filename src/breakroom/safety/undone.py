"""The undo journal of a run that was cut off: what was planned to be taken back and never was, and what became of it.

Used by `safety.cleanup` when the run's things are gone. Reads the run's journal and appends `UndoDone` to it, so that
the next reader (`breakroom report`) knows; nothing else of the run's directory is touched.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from breakroom.i18n.terms import N_
from breakroom.journal.records import UndoDone, UndoPlanned
from breakroom.journal.registry import RegisteredRun
from breakroom.journal.store import JOURNAL_NAME, Journal, JournalError, JournalWriter, read_journal
from breakroom.safety.deeds import Deed, said

__all__ = ["close_undo_journal", "pending_undos"]

_SHORT_ID = 12
"""As `docker ps` shortens ids."""


def pending_undos(journal: Journal) -> list[UndoPlanned]:
    """What was planned to be undone and is not said to have been, in the order of the faults."""
    done = {(record.trial, record.undo) for record in journal.records if isinstance(record, UndoDone)}
    return [
        record
        for record in journal.records
        if isinstance(record, UndoPlanned) and (record.trial, record.undo) not in done
    ]


def close_undo_journal(run: RegisteredRun, *, all_gone: bool, dry_run: bool) -> list[Deed]:
    """Say of each pending undo of a cut-off run what became of it, in the run's journal and in the deeds.

    Args:
        run: the run.
        all_gone: whether everything that it had made is gone, and with it every fault on it.
        dry_run: say only what is pending.
    """
    try:
        journal = read_journal(run.directory)
    except JournalError:
        return []  # its directory was removed: there is nobody to tell
    pending = pending_undos(journal)
    if dry_run or not pending:
        return [_deed(run, undo, "would") for undo in pending]
    message = "undone by breakroom cleanup: what it was done to is gone or restored"
    if not all_gone:
        message = "breakroom cleanup could not undo everything of this run; it can be run again"
    _end_torn_line(run.directory / JOURNAL_NAME)
    try:
        writer = JournalWriter(run.directory)
    except JournalError as error:
        why = said(N_("{trouble}"), trouble=str(error))
        return [
            Deed(done="note", thing="undo", name=_name(undo), run=run.run_id, why=why) for undo in pending
        ]
    # After a restart of the machine its clock counts from nought again; time never goes back in a journal.
    now = max(time.monotonic_ns(), *(record.t for record in journal.records))
    for undo in pending:
        writer.append(UndoDone(t=now, trial=undo.trial, undo=undo.undo, ok=all_gone, message=message))
    writer.close()
    return [_deed(run, undo, "restored" if all_gone else "failed") for undo in pending]


def _deed(run: RegisteredRun, undo: UndoPlanned, done: str) -> Deed:
    why = said(N_("something of the run is still there")) if done == "failed" else said("")
    return Deed(done=done, thing="undo", name=_name(undo), run=run.run_id, why=why)  # type: ignore[arg-type]  # the callers' words


def _name(undo: UndoPlanned) -> str:
    """Which trial's step, how it was to be undone, and on what: `kill/single/1 step-2: unpause (6ovmkk8wbccr)`."""
    subjects = undo.args.get("subjects") or undo.args.get("task") or ()
    names = [subjects] if isinstance(subjects, str) else [str(subject) for subject in subjects]
    shown = ", ".join(name[:_SHORT_ID] for name in names)
    return f"{undo.trial} {undo.undo}: {undo.kind}" + (f" ({shown})" if shown else "")


def _end_torn_line(path: Path) -> None:
    """A last line without its end would swallow the next one."""
    try:
        with path.open("rb+") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
    except OSError:
        return
