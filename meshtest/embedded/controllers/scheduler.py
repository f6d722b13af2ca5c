"""The scheduler: binds each pod to the fitting node that has the fewest."""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from kubeclient import ApiError, Event, Obj
from kubeclient.resources import NODES, PODS
from meshtest.embedded.controllers.actions import Action, Record, patch_status
from meshtest.embedded.controllers.fit import is_schedulable, preference, selects_node, tolerates
from meshtest.embedded.controllers.objects import is_deleting, is_pod_finished, with_condition
from meshtest.embedded.controllers.queue import WorkQueue
from meshtest.embedded.controllers.world import World

log = logging.getLogger(__name__)
NAME = "default-scheduler"


def is_waiting(pod: Obj) -> bool:
    """Not bound, not finished, and ours to bind."""
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and (spec.get("schedulerName") or NAME) == NAME
        and not is_deleting(pod)
        and not is_pod_finished(pod)
    )


def choose(pod: Obj, nodes: Iterable[Obj], load: Counter[str]) -> str | None:
    """The node to bind `pod` to: most preferred, then fewest pods (`load`, by node), then by name; None when
    none fits.
    """
    spec = pod["spec"]
    fitting = [
        (-preference(spec, node), load[node["metadata"]["name"]], node["metadata"]["name"])
        for node in nodes
        if is_schedulable(node) and selects_node(spec, node) and tolerates(spec, node)
    ]
    return min(fitting)[2] if fitting else None


def why_not(pod: Obj, nodes: Iterable[Obj]) -> str:
    """Why no node takes the pod, in the words of Kubernetes' scheduler."""
    spec, reasons, total = pod["spec"], Counter[str](), 0
    for node in nodes:
        total += 1
        if not is_schedulable(node):
            reasons["node(s) were unschedulable"] += 1
        elif not tolerates(spec, node):
            reasons["node(s) had untolerated taint(s)"] += 1
        elif not selects_node(spec, node):
            reasons["node(s) didn't match Pod's node affinity/selector"] += 1
    listed = (
        ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no nodes available to schedule pods"
    )
    return f"0/{total} nodes are available: {listed}."


def _traits(node: Obj) -> tuple[object, object]:
    return node.get("spec"), node["metadata"].get("labels")


class Scheduler:
    """Binds pods as soon as they are seen, and those that fitted nowhere when a node changes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pods, self._nodes = world.view(PODS), world.view(NODES)
        self._load: Counter[str] = Counter()
        self._assumed: dict[str, str] = {}
        self._homeless: set[tuple[str, str]] = set()
        self._queue: WorkQueue[tuple[str, str]] = WorkQueue("scheduler", self._bind, world.ready)
        self._pods.subscribe(self._pod_changed)
        self._nodes.subscribe(self._node_changed)

    async def close(self) -> None:
        """Ends bindings under way."""
        await self._queue.close()

    def _pod_changed(self, event: Event) -> None:
        if event.old is not None and (node := event.old["spec"].get("nodeName")):
            self._load[node] -= 1
        pod = event.obj
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        if event.type == "DELETED":
            self._release(pod["metadata"]["uid"])
            self._homeless.discard(key)
            return
        if node := pod["spec"].get("nodeName"):
            self._release(pod["metadata"]["uid"])
            self._load[node] += 1
        elif is_waiting(pod):
            self._queue.add(key)

    def _node_changed(self, event: Event) -> None:
        if event.type == "DELETED" or (event.old is not None and _traits(event.old) == _traits(event.obj)):
            return
        for key in list(self._homeless):
            self._queue.add(key)

    def _release(self, uid: str) -> None:
        if (node := self._assumed.pop(uid, None)) is not None:
            self._load[node] -= 1

    async def _bind(self, key: tuple[str, str]) -> float | None:
        pod = self._pods.get(*key)
        if pod is None or not is_waiting(pod):
            return None
        metadata = pod["metadata"]
        if metadata["uid"] in self._assumed:
            return None
        node = choose(pod, self._nodes.all(), self._load)
        if node is None:
            self._homeless.add(key)
            await self._world.execute(self._unschedulable(pod))
            return None
        self._homeless.discard(key)
        # Counted before the API server answers, so that pods bound at the same time spread.
        self._assumed[metadata["uid"]] = node
        self._load[node] += 1
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._world.client.create(
                PODS, binding, metadata["namespace"], name=metadata["name"], subresource="binding"
            )
        except ApiError as error:
            self._release(metadata["uid"])
            if error.code not in (404, 409):
                raise
            return None
        message = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
        self._world.record(Record(pod, "Scheduled", message, component=NAME))
        return None

    def _unschedulable(self, pod: Obj) -> list[Action]:
        message = why_not(pod, self._nodes.all())
        new = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        conditions = with_condition((pod.get("status") or {}).get("conditions") or (), new, datetime.now(UTC))
        patches = patch_status(PODS, pod, {"conditions": conditions})
        return [*patches, Record(pod, "FailedScheduling", message, "Warning", NAME)] if patches else []
