"""The service proxy of one node with 1,000 Services, in a network namespace of its own and with a scripted API."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from typing import cast

from kubeclient import Client, Obj
from kubeclient.client import ObjectList
from kubeclient.resources import Resource
from kubeclient.watch import Event
from meshtest.embedded.network import wiring
from meshtest.embedded.network.services import ServiceProxy

SERVICES, CHANGES = 1000, 10
NODE = "172.31.255.2"


class ScriptedApi:
    """As much of a Client as informers use: one list, then events."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Obj]] = {
            "services": [_service(number) for number in range(SERVICES)],
            "endpointslices": [_endpoints(number) for number in range(SERVICES)],
        }
        self._queues: dict[str, asyncio.Queue[Event]] = {}

    def tell(self, plural: str, obj: Obj) -> None:
        """An object has changed."""
        self._queue(plural).put_nowait(Event("MODIFIED", obj))

    def _queue(self, plural: str) -> asyncio.Queue[Event]:
        return self._queues.setdefault(plural, asyncio.Queue())

    async def list(self, resource: Resource, _namespace: str | None = None, **_: object) -> ObjectList:
        """All of a kind."""
        return ObjectList(self.objects.get(resource.plural, []), "1")

    async def watch(self, resource: Resource, _namespace: str | None = None, **_: object) -> AsyncIterator[Event]:
        """What is told, for ever."""
        while True:
            yield await self._queue(resource.plural).get()


def load_and_change() -> dict[str, float]:
    """`services1000_load_ms`, `service_change_ms` (median), nft's work included. Errors: OSError unless root."""
    fabric = wiring.make_fabric({"benchbr": "172.31.255.1/24"}, ["172.31.254.1"])
    node = wiring.make_node(fabric, "benchbr", "n", 0, f"{NODE}/24", "172.31.255.1", "172.31.254.0/24", ["10.96.0.10"])
    try:
        load, changes = asyncio.run(_measure(node))
    finally:
        os.close(node)
        os.close(fabric)
    return {"services1000_load_ms": 1000 * load, "service_change_ms": 1000 * statistics.median(changes)}


async def _measure(netns: int) -> tuple[float, list[float]]:
    api = ScriptedApi()
    proxy = ServiceProxy(cast(Client, api), netns, node_name="n", node_address=NODE)
    began = time.perf_counter()
    running = asyncio.create_task(proxy.run())
    try:
        async with asyncio.timeout(30):
            await proxy.synced.wait()
            load = time.perf_counter() - began
            return load, [await _change(api, proxy, version) for version in range(2, 2 + CHANGES)]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _change(api: ScriptedApi, proxy: ServiceProxy, version: int) -> float:
    runs = proxy.applied
    began = time.perf_counter()
    api.tell("endpointslices", _endpoints(500, version))
    async with proxy.progress:
        await proxy.progress.wait_for(lambda: proxy.applied > runs and not proxy.busy)
    return time.perf_counter() - began


def _service(number: int) -> Obj:
    address = f"10.96.{1 + number // 250}.{1 + number % 250}"
    port = {"name": "main", "port": 80, "protocol": "TCP"}
    return {"metadata": _metadata(f"s{number}", 1), "spec": {"clusterIP": address, "ports": [port]}, "status": {}}


def _endpoints(number: int, version: int = 1) -> Obj:
    addresses = [f"10.244.{number // 250}.{1 + number % 250}", f"10.244.{100 + version}.{1 + number % 250}"]
    return {
        "metadata": _metadata(f"s{number}-1", version) | {"labels": {"kubernetes.io/service-name": f"s{number}"}},
        "addressType": "IPv4",
        "ports": [{"name": "main", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}, "nodeName": "n"} for each in addresses],
    }


def _metadata(name: str, version: int) -> Obj:
    return {"name": name, "namespace": "default", "uid": name, "resourceVersion": str(version)}
