"""`python -m breakroom.agent act|stay|serve|relay`: what runs on a node.

`act` reads one JSON act, a line, and prints one JSON answer; exit 0 if it was done, 1 if not. With `--linger` it goes
on until what the act left running has ended: in a container, the end of the first process is the end of all. `stay` is
what acts leave running. `serve` and `relay` are the Swarm agent and the way to it.
"""

from __future__ import annotations

import json
import sys
import time

from breakroom.agent.errors import ActError


def main(words: list[str]) -> int:
    """Do what the words say; the exit code."""
    match words:
        case ["act"]:
            return _act(linger=False)
        case ["act", "--linger"]:
            return _act(linger=True)
        case ["stay", mark, task]:
            return _stay(mark, json.loads(task))
        case ["serve"]:
            from breakroom.agent.resident import serve

            serve()
            return 0
        case ["relay"]:
            from breakroom.agent.relay import relay

            relay()
            return 0
    print(__doc__, file=sys.stderr)
    return 2


def _act(*, linger: bool) -> int:
    from breakroom.agent.acts import perform

    try:
        act = json.loads(sys.stdin.readline())
    except ValueError as error:
        print(json.dumps({"ok": False, "code": "bad-act", "message": f"not JSON: {error}"}))
        return 1
    outcome = perform(act)
    print(json.dumps(outcome.answer), flush=True)
    if linger and outcome.stays is not None:
        outcome.stays.wait()
    return 0 if outcome.answer["ok"] else 1


def _stay(mark: str, task: dict[str, object]) -> int:
    from breakroom.agent import memory, stay

    if task.get("kind") == memory.KIND:
        memory.hold(task)
    else:
        stay.heal(mark, task, clock=time.monotonic)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ActError as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
