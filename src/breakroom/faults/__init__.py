"""Faults: one a file. Each is written to the undo journal, injected, proved to have taken effect, and undone."""
