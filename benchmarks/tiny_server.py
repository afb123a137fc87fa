"""The smallest server worth a replica: answers every connection with 200 and its task id. For `fleet`.

It waits in `accept`, so idle replicas cost no CPU and the benchmark sees the orchestrator's alone. When it listens it
says so with a datagram to BENCH_READY; so readiness is seen alike whoever started it, and nobody has to ask.
"""

import os
import socket

with socket.create_server(
    ("127.0.0.1", int(os.environ.get("BENCH_PORT") or os.environ["PORT"])), backlog=64
) as server:
    body = os.environ.get("BREAKROOM_TASK_ID", "").encode()
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    if place := os.environ.get("BENCH_READY"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.sendto(b"%d" % os.getpid(), place)
    while True:
        client, _ = server.accept()
        with client:
            if client.recv(4096):
                client.sendall(answer)
