"""Every key that the Compose specification has for a service, and what breakroom does with it.

Used for error messages, for the JSON Schema and for the table in docs/drill-file.md (a test compares them). A
key is *used* (it is a field in `spec.compose_shapes`), *accepted* (it does not change what is measured, so an
existing Compose file may keep it) or *refused* (it would change what is measured; ignoring it would make the
result a lie).

Source: Compose specification, `compose-spec.json`, definitions `service`, `deployment`, `healthcheck`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = [
    "ACCEPTED_DEPLOY",
    "ACCEPTED_SERVICE",
    "MISPLACED",
    "REFUSED_DEPLOY",
    "REFUSED_LIMITS",
    "REFUSED_SERVICE",
    "explain_with",
]

ACCEPTED_SERVICE: Mapping[str, str] = {
    "annotations": "notes for other tools",
    "attach": "breakroom keeps every task's log",
    "container_name": "used as the service's name in views",
    "develop": "for `compose watch` only",
    "hostname": "a name inside the container",
    "init": "breakroom ends a task with all of its processes",
    "logging": "breakroom keeps every task's log",
    "platform": "decided by the image",
    "profiles": "the service named by the drill always runs",
    "pull_policy": "images are the platform's matter",
    "pull_refresh_after": "images are the platform's matter",
    "stdin_open": "nobody types",
    "tty": "nobody looks",
}

_ONE_SERVICE = "a drill runs this one service and nothing else"
_HOST = "it concerns the container's isolation, which the local platform does not have"
_CPU = "use `cpus`"

REFUSED_SERVICE: Mapping[str, str] = {
    "blkio_config": _HOST,
    "cap_add": _HOST,
    "cap_drop": _HOST,
    "cgroup": _HOST,
    "cgroup_parent": _HOST,
    "configs": "put the file where the command finds it, or use `environment`",
    "cpu_count": _CPU,
    "cpu_percent": _CPU,
    "cpu_period": _CPU,
    "cpu_quota": _CPU,
    "cpu_rt_period": _CPU,
    "cpu_rt_runtime": _CPU,
    "cpu_shares": _CPU,
    "cpuset": _CPU,
    "credential_spec": _HOST,
    "depends_on": f"{_ONE_SERVICE}; start what it needs yourself",
    "device_cgroup_rules": _HOST,
    "devices": _HOST,
    "dns": _HOST,
    "dns_opt": _HOST,
    "dns_search": _HOST,
    "domainname": _HOST,
    "extends": "it is followed inside one Compose file only (`service: compose.yaml#web`)",
    "external_links": _ONE_SERVICE,
    "extra_hosts": _HOST,
    "gpus": _HOST,
    "group_add": _HOST,
    "ipc": _HOST,
    "isolation": _HOST,
    "label_file": "write the labels under `labels`",
    "links": _ONE_SERVICE,
    "mac_address": _HOST,
    "mem_reservation": "nothing is scheduled by it; use `mem_limit`",
    "mem_swappiness": "swap is never used, so that a memory limit is one",
    "memswap_limit": "swap is never used, so that a memory limit is one",
    "models": _ONE_SERVICE,
    "network_mode": "breakroom publishes the port itself",
    "networks": "breakroom publishes the port itself",
    "oom_kill_disable": "a service at its memory limit is killed; that is one of the failures shown",
    "oom_score_adj": _HOST,
    "pid": _HOST,
    "pids_limit": "only memory and cpus can be limited",
    "post_start": "only the command is run",
    "pre_stop": "only the stop signal is sent",
    "privileged": _HOST,
    "provider": _ONE_SERVICE,
    "read_only": _HOST,
    "runtime": _HOST,
    "scale": "write `deploy: {replicas: N}`",
    "secrets": "put the file where the command finds it, or use `environment`",
    "security_opt": _HOST,
    "shm_size": _HOST,
    "storage_opt": _HOST,
    "sysctls": _HOST,
    "tmpfs": _HOST,
    "ulimits": _HOST,
    "use_api_socket": _HOST,
    "user": "the command runs as you",
    "userns_mode": _HOST,
    "uts": _HOST,
    "volumes": "the command sees this machine's files as they are; replicas sharing a volume are not supported",
    "volumes_from": _ONE_SERVICE,
}

ACCEPTED_DEPLOY: Mapping[str, str] = {"labels": "notes for other tools"}
REFUSED_DEPLOY: Mapping[str, str] = {
    "endpoint_mode": "connections are always balanced over the tasks, as `vip` does",
    "placement": "a drill says nothing about nodes",
}
REFUSED_LIMITS: Mapping[str, str] = {"pids": "only memory and cpus can be limited"}

MISPLACED: Mapping[str, str] = {
    "replicas": "deploy: {replicas: 3}",
    "update_config": "deploy: {update_config: {parallelism: 1}}",
    "rollback_config": "deploy: {rollback_config: {parallelism: 1}}",
    "restart_policy": "deploy: {restart_policy: {condition: any}}",
    "resources": "deploy: {resources: {limits: {memory: 512m}}}",
    "limits": "deploy: {resources: {limits: {memory: 512m}}}",
    "memory": "mem_limit: 512m",
    "test": 'healthcheck: {test: ["CMD-SHELL", "curl -f http://localhost:3000/health"]}',
    "interval": "healthcheck: {interval: 10s}",
    "retries": "healthcheck: {retries: 3}",
    "start_period": "healthcheck: {start_period: 10s}",
    "probe": "probe: belongs to the drill, beside service:",
    "load": "load: belongs to the drill, beside service:",
}
"""Keys that people write one level too high → how they are written."""


def explain_with(
    refused: Mapping[str, str], misplaced: Mapping[str, str] | None = None
) -> Callable[[str], tuple[str, str, str] | None]:
    """For `shapes.Fields.explain`: names a key that Compose has and breakroom does not use, or that is misplaced."""

    def explain(key: str) -> tuple[str, str, str] | None:
        if key in refused:
            return (
                f"Compose knows `{key}`, breakroom does not use it",
                refused[key],
                (
                    "remove it here; or, for a service in a Compose file, take it away with null:\n"
                    f"service: {{from: compose.yaml#web, {key}: null}}"
                ),
            )
        if misplaced and key in misplaced:
            return f"`{key}` does not belong here", "it is one level too high", misplaced[key]
        return None

    return explain
