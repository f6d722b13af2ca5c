"""What all pods of a node share: its client, images, addresses, caches of config maps and secrets, events."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Coroutine
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any

from kubeclient import Client, Informer, KubeError
from kubeclient.resources import CONFIG_MAPS, EVENTS, SECRETS
from meshtest.embedded.config import NodeConfig
from meshtest.embedded.images.registry import Registry
from meshtest.embedded.network.services_watch import ServiceWatch
from meshtest.embedded.node.environment import Facts
from meshtest.embedded.node.runtime import Runtime
from meshtest.embedded.node.servicelinks import kubernetes, links
from meshtest.embedded.node.states import Obj

log = logging.getLogger(__name__)

REQUESTS_AT_A_TIME = 4
"""Ten pods at once would otherwise open ten connections, and a TLS handshake costs more than their requests."""


class AddressesExhausted(RuntimeError):
    """The node's pod range is used up."""


class Addresses:
    """Pod addresses of one node. The one unused longest comes first, so that stale connections meet nobody."""

    def __init__(self, cidr: str) -> None:
        hosts = [str(host) for host in IPv4Network(cidr).hosts()]
        self._cidr = cidr
        self._free = deque(hosts[1:])  # the first is kept back, as other networks use it for the gateway

    def take(self) -> str:
        """An address. AddressesExhausted when there is none."""
        if not self._free:
            raise AddressesExhausted(f"no address left in {self._cidr}: use more nodes or fewer pods")
        return self._free.popleft()

    def give_back(self, address: str) -> None:
        """The address may be given to another pod."""
        self._free.append(address)


class Host:
    """The node as its pods' workers see it. turn: to be held during a request of theirs to the API server."""

    def __init__(self, config: NodeConfig, client: Client, runtime: Runtime, services: ServiceWatch) -> None:
        self.config = config
        self.client = client
        self.runtime = runtime
        self.images = Registry()
        self.addresses = Addresses(config.pod_cidr)
        self.config_maps = Informer(client, CONFIG_MAPS)
        self.secrets = Informer(client, SECRETS)
        self._services = services
        self._kubernetes = kubernetes(config.kubernetes_service_ip)
        self.turn = asyncio.Semaphore(REQUESTS_AT_A_TIME)
        self._background: set[asyncio.Task[None]] = set()

    def facts(self, pod: Obj, pod_ip: str) -> Facts:
        """What a pod with that address may be told."""
        linked = self._linked(pod) if pod["spec"].get("enableServiceLinks") is not False else []
        return Facts(
            node=self.config.name,
            node_ip=self.config.address,
            pod_ip=pod_ip,
            config_map=self.config_maps.get,
            secret=self.secrets.get,
            service_env=links([*linked, self._kubernetes]),
            dns_ip=self.config.dns_address,
            dns_domain=self.config.dns_domain,
        )

    def _linked(self, pod: Obj) -> list[Obj]:
        namespace = pod["metadata"].get("namespace", "default")
        found = (self._services.service(key) for key in sorted(self._services.names()) if key[0] == namespace)
        return [service for service in found if service is not None]

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something whose result nobody waits for."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def event(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        """Record an Event (``Normal`` or ``Warning``) about a pod; failing to is only logged."""
        self.in_background(self._record(pod, kind, reason, message))

    async def _record(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        metadata = pod["metadata"]
        namespace = metadata.get("namespace", "default")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": namespace,
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": "kubelet", "host": self.config.name},
            "reportingComponent": "kubelet",
            "reportingInstance": self.config.name,
        }
        try:
            async with self.turn:
                await self.client.create(EVENTS, event, namespace)
        except KubeError as error:
            log.info("event %s of %s: %s", reason, metadata["name"], error)
