"""Services: as many slots as replicas, each with its task; what `service create|update|scale|rm` do.

Called by the orchestrator with commands that have been found legal. The rules are swarmkit's
(`manager/orchestrator/replicated`): scaling up fills the lowest free slot numbers; scaling down keeps running slots,
takes from the node with most tasks of the service first, and among equals the highest slot.
"""

from __future__ import annotations

from breakroom.engine.core import history
from breakroom.engine.core.lifecycle import Lifecycle
from breakroom.engine.core.model import Desired, Task, TaskState
from breakroom.engine.core.restart import RestartSupervisor
from breakroom.engine.core.store import Revision, ServiceRecord, Store
from breakroom.engine.core.update import UpdateSupervisor
from breakroom.spec.service import ServiceSpec

__all__ = ["Reconciler"]


class Reconciler:
    """Keeps each service at its number of slots."""

    def __init__(
        self, store: Store, life: Lifecycle, restarts: RestartSupervisor, updates: UpdateSupervisor
    ) -> None:
        self._store = store
        self._life = life
        self._restarts = restarts
        self._updates = updates
        updates.resize = self.resize

    def create(self, spec: ServiceSpec) -> None:
        """`service create`."""
        service = ServiceRecord(id=self._store.ids.take(), name=spec.name, current=Revision(1, spec))
        self._store.services[spec.name] = service
        self.resize(service)

    def scale(self, service: ServiceRecord, replicas: int) -> None:
        """`service scale`: an update of the spec like any other. A rollback after it brings the number before back."""
        self.update(service, service.current.scaled(replicas).spec)

    def update(self, service: ServiceRecord, spec: ServiceSpec) -> None:
        """`service update`: the present spec becomes the one to go back to, and whatever was under way is begun anew.

        Also where the spec is as it was, or differs in its replicas alone: a paused update is resumed by it, the
        delay between two slots cut short (swarmkit `manager/controlapi/service.go`, seen on a Swarm too).
        """
        present = service.current
        same = present.scaled(spec.deploy.replicas)
        service.previous = present
        if spec == present.spec and self._updates.under_way(service):
            # An update is working towards this goal already (swarmkit `update.Supervisor.Update`).
            return
        service.use(same if same.spec == spec else Revision(max(service.templates) + 1, spec))
        self._updates.cancel(service)
        self._updates.report(service, "", "")
        self.resize(service)
        self._updates.begin(service, "update")

    def roll_back(self, service: ServiceRecord) -> None:
        """`service rollback`: the previous spec and the current one change places."""
        assert service.previous is not None, "checked before the command was admitted"
        present = service.current
        service.use(service.previous)
        service.previous = present
        self._updates.start_rollback(service, "manually requested rollback")

    def remove(self, service: ServiceRecord) -> None:
        """`service rm`: every task stops gracefully; the name is free when the last has stopped."""
        service.removing = True
        self._updates.cancel(service)
        self._updates.report(service, "", "")
        for slot in sorted(service.slots):
            self._remove_slot(service, slot)
        self.forget_if_gone(service)

    def forget_if_gone(self, service: ServiceRecord) -> None:
        """Drop a service that is being removed when none of its tasks is left."""
        if service.removing and not self._store.has_tasks(service.name):
            self._store.services.pop(service.name, None)
            for node in self._store.nodes.values():
                node.failures.pop(service.name, None)

    def resize(self, service: ServiceRecord) -> None:
        """Add or remove slots until there are as many as replicas."""
        replicas = service.current.spec.deploy.replicas
        for slot in self._surplus(service, replicas):
            service.slots.discard(slot)
            self._remove_slot(service, slot)
        slot = 0
        while len(service.slots) < replicas:
            slot += 1
            if slot not in service.slots:
                service.slots.add(slot)
                self._life.create(service.name, slot, service.current, desired=Desired.RUNNING)

    def _surplus(self, service: ServiceRecord, replicas: int) -> list[int]:
        """The slots to give up, by swarmkit's order of who stays."""
        if len(service.slots) <= replicas:
            return []
        holders = {slot: self._holder(service, slot) for slot in service.slots}
        by_state = sorted(service.slots, key=lambda slot: (not _runs(holders[slot]), slot))
        nth_on_node: dict[str, int] = {}
        rank: dict[int, tuple[bool, int]] = {}
        for slot in by_state:
            holder = holders[slot]
            if holder is None or not holder.node:
                rank[slot] = (True, 0)
                continue
            nth_on_node[holder.node] = nth_on_node.get(holder.node, 0) + 1
            rank[slot] = (False, nth_on_node[holder.node])
        return sorted(by_state, key=lambda slot: rank[slot])[replicas:]

    def _holder(self, service: ServiceRecord, slot: int) -> Task | None:
        """The task that stands for the slot; None where it has no wanted one."""
        wanted = self._store.wanted_in_slot(service.name, slot)
        return max(wanted, key=lambda task: task.state, default=None)

    def _remove_slot(self, service: ServiceRecord, slot: int) -> None:
        self._restarts.forget_slot(service.name, slot)
        for task in self._store.in_slot(service.name, slot):
            self._life.stop(task, Desired.REMOVE)
        history.prune(self._store, service.name, slot)


def _runs(task: Task | None) -> bool:
    return task is not None and task.state == TaskState.RUNNING
