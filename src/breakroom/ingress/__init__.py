"""The published port: balances client connections over the tasks in rotation, and can impair a task's link.

A process of its own (`python -m breakroom.ingress --control-fd N`), started by the engine's shell and told what to do
over an inherited socket, one JSON message a line (`breakroom.ingress.messages`). It may touch sockets and its clock; it
knows nothing of services, drills or journals. docs/ingress.md says what it does to a connection and why.

Callers import `messages` alone; everything else is the process's own.
"""
