"""Namespaces: what each one starts with, and how one is emptied when it goes."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from kubeclient import ApiError, Event, Obj, Resource
from kubeclient.resources import CONFIG_MAPS, CRDS, EVENTS, NAMESPACES, PODS, SERVICE_ACCOUNTS
from meshtest.embedded.controllers.actions import Action, Create, Patch, Plan, patch_status
from meshtest.embedded.controllers.objects import is_deleting, with_condition
from meshtest.embedded.controllers.queue import WorkQueue
from meshtest.embedded.controllers.world import World

log = logging.getLogger(__name__)
ROOT_CA = "kube-root-ca.crt"
LOOK_AGAIN = 0.05
PODS_STOPPING = 1.0
"""Seconds between looks at a namespace whose content goes slowly. That the last pod is gone is noticed at once."""


def plan(namespace: Obj, account: Obj | None, root_ca: Obj | None, ca_pem: str) -> Plan:
    """`account`: its default service account; `root_ca`: its config map with the cluster's authority."""
    if is_deleting(namespace):
        return Plan()
    name = namespace["metadata"]["name"]
    actions: list[Action] = []
    data = {"ca.crt": ca_pem}
    if account is None:
        actions.append(Create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": name}}))
    if root_ca is None:
        note = {"kubernetes.io/description": "The authority that signs the API server's certificate."}
        metadata = {"name": ROOT_CA, "namespace": name, "annotations": note}
        actions.append(Create(CONFIG_MAPS, {"metadata": metadata, "data": data}))
    elif root_ca.get("data") != data:
        actions.append(Patch(CONFIG_MAPS, root_ca, {"data": data}))
    return Plan(actions)


class Namespaces:
    """Runs `plan`, and drains namespaces that are being deleted."""

    def __init__(self, world: World, ca_pem: str) -> None:
        self._world, self._ca_pem = world, ca_pem
        self._namespaces = world.view(NAMESPACES)
        self._accounts, self._config_maps = world.view(SERVICE_ACCOUNTS), world.view(CONFIG_MAPS)
        self._pods = world.view(PODS)
        self._resources: Sequence[Resource] | None = None
        self._queue: WorkQueue[str] = WorkQueue("namespaces", self._work, world.ready)
        self._namespaces.subscribe(self._changed)
        self._accounts.subscribe(lambda event: self._content_gone(event, "default"))
        self._config_maps.subscribe(lambda event: self._content_gone(event, ROOT_CA))
        self._pods.subscribe(self._pod_gone)
        world.view(CRDS).subscribe(self._forget_resources)

    async def close(self) -> None:
        """Ends work under way."""
        await self._queue.close()

    def _changed(self, event: Event) -> None:
        if event.type != "DELETED":
            self._queue.add(event.obj["metadata"]["name"])

    def _content_gone(self, event: Event, name: str) -> None:
        if event.obj["metadata"]["name"] == name and event.type != "ADDED":
            self._queue.add(event.obj["metadata"]["namespace"])

    def _pod_gone(self, event: Event) -> None:
        name = event.obj["metadata"]["namespace"]
        if event.type == "DELETED":
            namespace = self._namespaces.get("", name)
            if namespace is not None and is_deleting(namespace) and not any(self._pods.in_namespace(name)):
                self._queue.add(name)

    def _forget_resources(self, _event: Event) -> None:
        self._resources = None

    async def _work(self, name: str) -> float | None:
        namespace = self._namespaces.get("", name)
        if namespace is None:
            return None
        if is_deleting(namespace):
            return await self._drain(namespace)
        steps = plan(namespace, self._accounts.get(name, "default"), self._config_maps.get(name, ROOT_CA), self._ca_pem)
        await self._world.execute(steps.actions)
        return None

    async def _drain(self, namespace: Obj) -> float | None:
        name = namespace["metadata"]["name"]
        if "kubernetes" not in (namespace["spec"].get("finalizers") or ()):
            return None
        if self._resources is None:
            self._resources = [item for item in await self._world.client.discover() if item.namespaced]
        # Events last: the deletion of the others writes some.
        resources = [item for item in self._resources if item.plural != "events"]
        counts = await asyncio.gather(*(self._empty(item, name) for item in resources))
        left = {str(resource): count for resource, count in zip(resources, counts, strict=True) if count}
        if left:
            await self._world.execute(_remaining(namespace, left))
            return PODS_STOPPING if str(PODS) in left else LOOK_AGAIN
        await self._empty(EVENTS, name)
        kept = [item for item in namespace["spec"]["finalizers"] if item != "kubernetes"]
        body = {**namespace, "spec": {**namespace["spec"], "finalizers": kept}}
        try:
            await self._world.client.request("PUT", NAMESPACES.path(name=name, subresource="finalize"), body=body)
        except ApiError as error:
            if not error.is_not_found:
                raise
        return None

    async def _empty(self, resource: Resource, namespace: str) -> int:
        """Asks for the deletion of all objects of one resource; how many are still there."""
        client = self._world.client
        try:
            found = await client.list(resource, namespace)
            if found and not all(is_deleting(item) for item in found):
                await client.delete_all(resource, namespace)
                found = await client.list(resource, namespace)
        except ApiError as error:
            if error.code in (404, 405):
                return 0  # its CRD went meanwhile, or it is no collection
            raise
        return len(found)


def _remaining(namespace: Obj, left: dict[str, int]) -> list[Action]:
    listed = ", ".join(f"{resource} has {count} resource instances" for resource, count in sorted(left.items()))
    message = f"Some resources are remaining: {listed}"
    new = {"type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain", "message": message}
    conditions = with_condition((namespace.get("status") or {}).get("conditions") or (), new, datetime.now(UTC))
    return patch_status(NAMESPACES, namespace, {"conditions": conditions})
