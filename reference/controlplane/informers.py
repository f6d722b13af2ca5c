"""The kinds that the control plane watches, their stores, and their way into ledger and pusher."""

from collections.abc import Callable
from functools import partial
from typing import Any

from kubeclient import Client, Event, Informer, Resource
from kubeclient.resources import CONFIG_MAPS, ENDPOINT_SLICES, NAMESPACES, NODES, PODS, SERVICES
from reference.api import resource_types
from reference.controlplane.push.ledger import Key, Ledger, Watched

Obj = dict[str, Any]
MESH_CONFIG_MAP = "istio"
INJECTOR_CONFIG_MAP = "istio-sidecar-injector"


def watched_resources() -> list[Resource]:
    """All kinds that are watched in every namespace."""
    own = [Resource(each.group, each.versions[0], each.plural, each.kind) for each in resource_types()]
    return [SERVICES, ENDPOINT_SLICES, PODS, NODES, NAMESPACES, *own]


class Informers:
    """One informer a kind. `record` is called with each change once `connect` was."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._namespace = namespace
        self.by_kind = {each.kind: Informer(client, each) for each in watched_resources()}
        self.config_maps = Informer(client, CONFIG_MAPS, namespace)

    def all(self) -> list[Informer]:
        return [*self.by_kind.values(), self.config_maps]

    async def synced(self) -> None:
        for each in self.all():
            await each.synced.wait()

    def connect(self, ledger: Ledger, record: Callable[[Key], None]) -> None:
        """Hands every change on; the ledger learns where to look objects up."""
        for each in self.by_kind.values():
            watched = Watched(partial(_get, each), partial(_version, each))
            ledger.watch(each.resource.group, each.resource.kind, watched)
            each.subscribe(partial(self._on_event, each.resource, record))
        config_maps = Watched(partial(_get, self.config_maps), partial(_version, self.config_maps), self._namespace)
        ledger.watch("", "ConfigMap", config_maps)
        self.config_maps.subscribe(partial(self._on_event, CONFIG_MAPS, record))

    @staticmethod
    def _on_event(resource: Resource, record: Callable[[Key], None], event: Event) -> None:
        metadata = event.obj["metadata"]
        record((resource.group, resource.kind, metadata.get("namespace") or "", metadata["name"]))

    def config(self, name: str, key: str) -> str:
        """One entry of a config map in the control plane's namespace, empty when there is none."""
        found = self.config_maps.get(self._namespace, name)
        return str((found.get("data") or {}).get(key, "")) if found else ""


def _get(informer: Informer, namespace: str, name: str) -> Obj | None:
    return informer.get(namespace, name)


def _version(informer: Informer) -> int:
    version = informer.resource_version
    return int(version) if version.isdigit() else 0
