"""What a run that was killed left behind: found and removed; and what works on this machine: tried and told."""
