"""Binds the workload controllers' plans to the world: which events make which object's plan run again."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from kubeclient import ApiError, Event, Obj, Resource
from kubeclient.resources import DAEMON_SETS, DEPLOYMENTS, JOBS, NODES, PODS, REPLICA_SETS, STATEFUL_SETS
from meshtest.embedded.controllers import daemonset, deployment, job, replicaset, statefulset
from meshtest.embedded.controllers.actions import Action, Plan
from meshtest.embedded.controllers.objects import controller_of, matches, namespace_of
from meshtest.embedded.controllers.queue import WorkQueue
from meshtest.embedded.controllers.world import View, World

Key = tuple[str, str]
Planner = Callable[[Obj], Plan]
Refused = Callable[[Obj, str], Sequence[Action]]


class Controller:
    """Runs one plan for each object of a resource that something happened to: to itself or to what it manages.

    `refused` says what to do, beside trying again, when the API server refuses an action of a plan.
    """

    def __init__(self, world: World, resource: Resource, planner: Planner, refused: Refused | None = None) -> None:
        self._world, self._view, self._planner, self._refused = world, world.view(resource), planner, refused
        self._queue: WorkQueue[Key] = WorkQueue(resource.kind, self._work, world.ready)
        self._view.subscribe(lambda event: self.touch(event.obj))

    async def close(self) -> None:
        """Ends work under way."""
        await self._queue.close()

    def touch(self, obj: Obj) -> None:
        """Plan for this object again."""
        self._queue.add((namespace_of(obj), obj["metadata"]["name"]))

    def touch_all(self) -> None:
        """Plan for every object again."""
        for obj in self._view.all():
            self.touch(obj)

    def touch_manager(self, event: Event) -> None:
        """Plan again for whoever manages the object of this event, or managed it before."""
        for obj in (event.obj, event.old):
            reference = controller_of(obj) if obj is not None else None
            if reference is not None and (owner := self._view.by_uid.get(reference["uid"])) is not None:
                self.touch(owner)

    def touch_adopters(self, event: Event, selects: Callable[[Obj, Obj], bool]) -> None:
        """Plan again for those that could adopt an object without manager."""
        if controller_of(event.obj) is None:
            for owner in self._view.in_namespace(namespace_of(event.obj)):
                if selects(owner, event.obj):
                    self.touch(owner)

    async def _work(self, key: Key) -> float | None:
        if (obj := self._view.get(*key)) is None:
            return None
        plan = self._planner(obj)
        try:
            await self._world.execute(plan.actions)
        except ApiError as error:
            if self._refused is not None and not error.is_conflict:
                await self._world.execute(self._refused(obj, error.message))
            raise
        return plan.again_after


def _now() -> datetime:
    return datetime.now(UTC)


def _selects(owner: Obj, pod: Obj) -> bool:
    return matches(owner["spec"].get("selector"), pod["metadata"].get("labels"))


def _orphans(pods: View, owner: Obj) -> list[Obj]:
    return [
        pod for pod in pods.in_namespace(namespace_of(owner)) if controller_of(pod) is None and _selects(owner, pod)
    ]


def workload_controllers(world: World) -> list[Controller]:
    """Deployment, ReplicaSet, StatefulSet, DaemonSet and Job, wired to the events that concern them."""
    pods, replica_sets, nodes = world.view(PODS), world.view(REPLICA_SETS), world.view(NODES)

    def pods_of(owners: Iterable[Obj]) -> list[Obj]:
        return [pod for owner in owners for pod in pods.controlled_by(owner)]

    def plan_deployment(obj: Obj) -> Plan:
        owned = replica_sets.controlled_by(obj)
        return deployment.plan(obj, owned, pods_of(owned), _now())

    def plan_replica_set(obj: Obj) -> Plan:
        return replicaset.plan(obj, [*pods.controlled_by(obj), *_orphans(pods, obj)], _now())

    deployments = Controller(world, DEPLOYMENTS, plan_deployment)
    sets = Controller(
        world, REPLICA_SETS, plan_replica_set, lambda obj, error: replicaset.failure_status(obj, error, _now())
    )
    stateful = Controller(world, STATEFUL_SETS, lambda obj: statefulset.plan(obj, pods.controlled_by(obj), _now()))
    daemons = Controller(
        world, DAEMON_SETS, lambda obj: daemonset.plan(obj, pods.controlled_by(obj), list(nodes.all()))
    )
    jobs = Controller(world, JOBS, lambda obj: job.plan(obj, pods.controlled_by(obj), _now()))

    def pod_changed(event: Event) -> None:
        for controller in (sets, stateful, daemons, jobs):
            controller.touch_manager(event)
        sets.touch_adopters(event, _selects)
        if event.type == "DELETED":
            # A deployment that recreates waits for its last old pod to be gone, which no ReplicaSet's status tells.
            reference = controller_of(event.obj)
            owner = replica_sets.by_uid.get(reference["uid"]) if reference else None
            if owner is not None:
                deployments.touch_manager(Event("MODIFIED", owner))

    def node_changed(event: Event) -> None:
        old, new = event.old, event.obj
        if old is None or event.type == "DELETED" or _traits(old) != _traits(new):
            daemons.touch_all()

    replica_sets.subscribe(deployments.touch_manager)
    pods.subscribe(pod_changed)
    nodes.subscribe(node_changed)
    return [deployments, sets, stateful, daemons, jobs]


def _traits(node: Obj) -> tuple[object, object]:
    return node.get("spec"), node["metadata"].get("labels")
