"""The sample services that drills break: small, real HTTP servers on the standard library alone.

Nothing in breakroom imports this package: a platform runs its files as processes (`python -I -S FILE`) or as images.
Read `improved_app.py` first, then `base.py`, `server.py` and `wire.py`. The guide is docs/sample-apps.md.
"""

__all__: list[str] = []
