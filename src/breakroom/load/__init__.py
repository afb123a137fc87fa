"""Request generation: the probe and the loads, each in worker processes of its own, and `breakroom load`.

Why its own processes: the generator must not disturb the orchestrator that it measures, nor be disturbed by the
drawing of a terminal. The director starts streams with `load.stream.open_stream`; the command line calls
`load.command.run_load`. A worker loads no numpy, so that it starts fast and stays small.

Inside a worker: `worker` (process and loop) → `models` (when to send) → `client` (connections, phase times, samples) →
`response` (reading HTTP) over `poller` (readiness and exact waits).
"""
