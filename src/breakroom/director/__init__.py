"""Plays drills against contenders: the only room that makes a platform, the load and the faults act together."""
