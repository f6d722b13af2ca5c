"""Services and their EndpointSlices as one view, kept current by two informers.

The service proxy and DNS of a node share it: two watches a node instead of four.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from kubeclient import Client, Informer
from kubeclient.resources import ENDPOINT_SLICES, SERVICES
from kubeclient.watch import Event

Obj = dict[str, Any]
Key = tuple[str, str]
SERVICE_LABEL = "kubernetes.io/service-name"


class ServiceWatch:
    """`service` and `slices` answer by (namespace, name of the Service); `run` never ends by itself.

    Handlers of `subscribe` are called, in the loop, with the key of a Service that changed or whose slices did.
    """

    def __init__(self, client: Client) -> None:
        self._services = Informer(client, SERVICES)
        self._slices = Informer(client, ENDPOINT_SLICES)
        self._by_service: dict[Key, dict[str, Obj]] = {}
        self._handlers: list[Callable[[Key], None]] = []
        self._services.subscribe(self.on_service)
        self._slices.subscribe(self.on_slice)

    async def run(self) -> None:
        """Watch both until cancelled."""
        await asyncio.gather(self._services.run(), self._slices.run())

    async def wait_synced(self) -> None:
        """Until both have been listed once."""
        await self._services.synced.wait()
        await self._slices.synced.wait()

    def names(self) -> Iterable[Key]:
        """All Services known."""
        return self._services.store.keys()

    def service(self, key: Key) -> Obj | None:
        """The Service of that key, or None."""
        return self._services.store.get(key)

    def slices(self, key: Key) -> list[Obj]:
        """Its EndpointSlices."""
        return list(self._by_service.get(key, {}).values())

    def subscribe(self, handler: Callable[[Key], None]) -> None:
        """Call `handler` with the key of every Service concerned by a change, from now on."""
        self._handlers.append(handler)

    def on_service(self, event: Event) -> None:
        """A Service came, changed or went."""
        metadata = event.obj["metadata"]
        self._tell((metadata["namespace"], metadata["name"]))

    def on_slice(self, event: Event) -> None:
        """An EndpointSlice came, changed or went; its label may have been moved to another Service."""
        before = _owner(event.old) if event.old else None
        after = None if event.type == "DELETED" else _owner(event.obj)
        name = event.obj["metadata"]["name"]
        if before is not None and before != after:
            self._forget(before, name)
        if event.type == "DELETED" and (gone := _owner(event.obj)) is not None:
            self._forget(gone, name)
            before = before or gone
        if after is not None:
            self._by_service.setdefault(after, {})[name] = event.obj
        for key in {before, after} - {None}:
            if key is not None:
                self._tell(key)

    def _forget(self, key: Key, name: str) -> None:
        slices = self._by_service.get(key, {})
        slices.pop(name, None)
        if not slices:
            self._by_service.pop(key, None)

    def _tell(self, key: Key) -> None:
        for handler in self._handlers:
            handler(key)


def _owner(slice_: Obj) -> Key | None:
    metadata = slice_["metadata"]
    service = (metadata.get("labels") or {}).get(SERVICE_LABEL)
    return (metadata["namespace"], service) if service else None
