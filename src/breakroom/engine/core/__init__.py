"""The orchestrator's decisions: events in, instructions out; no clock, no I/O. Every call is given the time."""
