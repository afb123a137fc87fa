"""What locust does in the benchmark: FastHttpUser without pauses. Run by locust itself, in its own environment.

Counts only what comes between the last user's start and the end, with the process's CPU time of that span alone, and
writes one line of JSON to the file that BENCH_OUT names.
"""

import json
import os
import resource
import time

import gevent
from locust import FastHttpUser, constant, events, task


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Visitor(FastHttpUser):
    wait_time = constant(0)

    @task
    def get(self):
        self.client.get("/")


def measure(environment):
    before, begun, spent = environment.stats.total.num_requests, time.perf_counter(), cpu()
    gevent.sleep(float(os.environ["BENCH_SECONDS"]))
    requests = environment.stats.total.num_requests - before
    figures = {"requests": requests, "wall_s": time.perf_counter() - begun, "cpu_s": cpu() - spent}
    figures["total"] = None
    environment.runner.stop()
    figures["total"] = environment.stats.total.num_requests
    figures["failures"] = environment.stats.total.num_failures
    with open(os.environ["BENCH_OUT"], "w") as out:
        json.dump(figures, out)
    environment.runner.quit()


@events.spawning_complete.add_listener
def spawned(**_):
    gevent.spawn(measure, ENVIRONMENT[0])


ENVIRONMENT = []


@events.init.add_listener
def initialised(environment, **_):
    ENVIRONMENT.append(environment)
