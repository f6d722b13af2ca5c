"""Binds the endpoints plan to the world: a pod's change concerns the Services that select it, or did."""

from kubeclient import Event, Obj
from kubeclient.resources import ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES
from meshtest.embedded.controllers import endpoints
from meshtest.embedded.controllers.actions import Delete
from meshtest.embedded.controllers.objects import namespace_of
from meshtest.embedded.controllers.queue import WorkQueue
from meshtest.embedded.controllers.world import World

Key = tuple[str, str]


class ServiceEndpoints:
    """Keeps EndpointSlices and Endpoints of Services that have a selector."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._services, self._pods, self._nodes = world.view(SERVICES), world.view(PODS), world.view(NODES)
        self._slices, self._endpoints = world.view(ENDPOINT_SLICES), world.view(ENDPOINTS)
        self._queue: WorkQueue[Key] = WorkQueue("endpoints", self._work, world.ready)
        self._services.subscribe(self._service_changed)
        self._pods.subscribe(self._pod_changed)
        self._slices.subscribe(self._slice_changed)

    async def close(self) -> None:
        """Ends work under way."""
        await self._queue.close()

    def _service_changed(self, event: Event) -> None:
        if event.type != "DELETED":
            self._queue.add((namespace_of(event.obj), event.obj["metadata"]["name"]))
        elif (left := self._endpoints.get(namespace_of(event.obj), event.obj["metadata"]["name"])) is not None:
            self._queue.add((namespace_of(left), left["metadata"]["name"]))

    def _pod_changed(self, event: Event) -> None:
        old, new = event.old, event.obj
        if (
            old is not None
            and event.type != "DELETED"
            and endpoints.endpoint_facts(old) == endpoints.endpoint_facts(new)
        ):
            return
        for service in self._services.in_namespace(namespace_of(new)):
            if any(pod is not None and endpoints.selects(service, pod["metadata"].get("labels")) for pod in (old, new)):
                self._queue.add((namespace_of(new), service["metadata"]["name"]))

    def _slice_changed(self, event: Event) -> None:
        # Only what somebody else did to a slice matters: it was deleted, or it turned up when we had not made it.
        if event.type == "DELETED" and (
            name := (event.obj["metadata"].get("labels") or {}).get(endpoints.SERVICE_NAME)
        ):
            self._queue.add((namespace_of(event.obj), name))

    async def _work(self, key: Key) -> float | None:
        namespace, name = key
        service = self._services.get(namespace, name)
        known = self._endpoints.get(namespace, name)
        if service is None:
            await self._drop(known)
            return None
        pods = [
            pod
            for pod in self._pods.in_namespace(namespace)
            if endpoints.selects(service, pod["metadata"].get("labels"))
        ]
        slices = [
            piece
            for piece in self._slices.in_namespace(namespace)
            if (piece["metadata"].get("labels") or {}).get(endpoints.SERVICE_NAME) == name
        ]
        nodes = {node["metadata"]["name"]: node for node in self._nodes.all()}
        plan = endpoints.plan(service, pods, nodes, slices, known)
        await self._world.execute(plan.actions)
        return None

    async def _drop(self, known: Obj | None) -> None:
        """Endpoints have no owner reference in Kubernetes; their controller removes them with the Service."""
        if known is not None:
            await self._world.execute([Delete(ENDPOINTS, known)])
