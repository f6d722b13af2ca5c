"""Writes the mesh's root into the webhook configurations, so that the API server trusts our certificate."""

import asyncio
import base64
import logging
from functools import partial
from typing import Any

from kubeclient import ApiError, Client, Event, Informer, Resource
from kubeclient.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS

log = logging.getLogger(__name__)
Obj = dict[str, Any]


def bundle_patch(config: Obj, service_namespace: str, bundle: str) -> list[Obj]:
    """The JSON patch that sets `bundle` (base64) in every webhook that calls our istiod; empty when all is well."""
    patch = []
    for index, webhook in enumerate(config.get("webhooks") or []):
        client = webhook.get("clientConfig") or {}
        service = client.get("service") or {}
        ours = service.get("name") == "istiod" and service.get("namespace") == service_namespace
        if ours and client.get("caBundle") != bundle:
            patch.append({"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle})
    return patch


class BundleWriter:
    """Keeps the CA bundle of our webhook configurations."""

    def __init__(self, client: Client, namespace: str, root_pem: bytes) -> None:
        self._client, self._namespace = client, namespace
        self._bundle = base64.b64encode(root_pem).decode()
        self._due: asyncio.Queue[tuple[Resource, Obj]] = asyncio.Queue()

    async def run(self) -> None:
        """Never ends by itself."""
        async with asyncio.TaskGroup() as group:
            for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
                informer = Informer(self._client, resource)
                informer.subscribe(partial(self._on_event, resource))
                group.create_task(informer.run())
            while True:
                await self._write(*await self._due.get())

    def _on_event(self, resource: Resource, event: Event) -> None:
        if event.type != "DELETED":
            self._due.put_nowait((resource, event.obj))

    async def _write(self, resource: Resource, config: Obj) -> None:
        patch = bundle_patch(config, self._namespace, self._bundle)
        if not patch:
            return
        name = config["metadata"]["name"]
        try:
            await self._client.patch(resource, name, patch, type="json")
            log.info("wrote the CA bundle into %s %s", resource.kind, name)
        except ApiError as error:
            if not error.is_not_found:
                log.warning("CA bundle of %s %s: %s", resource.kind, name, error)
