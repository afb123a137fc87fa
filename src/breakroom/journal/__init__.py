"""What happened: the append-only record of a run, and its reader. Everything shown is computed from it."""
