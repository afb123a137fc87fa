"""Benchmarks: breakroom beside its peers, and how its cost grows. Run by `scripts/bench`; no part of the package.

`__main__` takes the command, `rows` is the shape that all figures have, `catalogue` lists the benchmarks, `table`
prints and writes them. Nothing here is a test: whether a goal is reached never decides an exit code, only whether a
benchmark is broken does.
"""
