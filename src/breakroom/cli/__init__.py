"""The command line: thin commands that parse, call a room, print, and choose the exit code."""
