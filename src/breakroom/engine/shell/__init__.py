"""The engine's hands: a small asyncio process that carries out what the core decides, on this machine.

Started by `platforms.local` as `python -m breakroom.engine`; nothing else calls it. `engine` drives the core,
`node` carries out instructions, `processes` owns every child, and the rest are one concern each.
"""
