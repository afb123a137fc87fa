"""The smallest server worth a replica: answers every connection with 200 and its task id. For `bench_replicas.py`.

It waits in `accept`, so idle replicas cost no CPU and the benchmark sees the orchestrator's alone.
"""

import os
import socket

with socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=64) as server:
    body = os.environ.get("BREAKROOM_TASK_ID", "").encode()
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    while True:
        client, _ = server.accept()
        with client:
            if client.recv(4096):
                client.sendall(answer)
