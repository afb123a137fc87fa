"""From the journal to findings: pure functions, no clock, no process. Every number shown is computed here."""
