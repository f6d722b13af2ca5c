"""The node's process: puts kubelet, service proxy and DNS together and runs them until it is killed."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Coroutine
from dataclasses import dataclass

from kubeclient import Client, connection_from_kubeconfig
from meshtest.embedded.config import NodeConfig
from meshtest.embedded.network.dns import DnsServer
from meshtest.embedded.network.services import ServiceProxy
from meshtest.embedded.network.services_watch import ServiceWatch
from meshtest.embedded.node.dial import DialServer
from meshtest.embedded.node.host import Host
from meshtest.embedded.node.kubelet import Kubelet
from meshtest.embedded.node.runtime import Runtime
from meshtest.embedded.node.server import KubeletServer

log = logging.getLogger(__name__)


class WarmGone(Exception):
    """The warm process ended: no container can be started any more."""


def run(config: NodeConfig) -> None:
    """For ever. Raises when a part that the node cannot do without fails; the supervisor reports it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(_main(config))


async def _main(config: NodeConfig) -> None:
    runtime = Runtime(socket.socket(fileno=config.warm_fd))
    connection = connection_from_kubeconfig(config.kubeconfig)
    async with Client(connection, user_agent=f"meshtest-node/{config.name}") as client, asyncio.TaskGroup() as group:
        network = _network(config, client)
        host = Host(config, client, runtime, network.watch)
        kubelet = Kubelet(host)
        await KubeletServer(kubelet).run()
        kubelet.start()
        for informer in (kubelet.pods, host.config_maps, host.secrets):
            group.create_task(informer.run())
        for part in network.parts():
            group.create_task(part)
        if config.dial_path is not None:
            group.create_task(DialServer(kubelet, config.dial_path).run())
        group.create_task(_watch_warm(runtime))
        await kubelet.register()
        await network.synced()
        group.create_task(kubelet.heartbeat())
        if config.ready_fd is not None:
            os.write(config.ready_fd, b"r")
            os.close(config.ready_fd)


async def _watch_warm(runtime: Runtime) -> None:
    await runtime.gone.wait()
    raise WarmGone("the warm process has closed its socket, see warm.log")


@dataclass(frozen=True, slots=True)
class _Network:
    """Service proxy and DNS of this node, on one watch of Services."""

    watch: ServiceWatch
    proxy: ServiceProxy
    dns: DnsServer

    def parts(self) -> list[Coroutine[None, None, None]]:
        """What has to run for ever."""
        return [self.watch.run(), self.proxy.run(), self.dns.run()]

    async def synced(self) -> None:
        """Until all that exists is in force."""
        await self.proxy.synced.wait()
        await self.dns.synced.wait()


def _network(config: NodeConfig, client: Client) -> _Network:
    watch = ServiceWatch(client)
    proxy = ServiceProxy(
        client,
        config.netns_fd,
        node_name=config.name,
        node_address=config.address,
        service_cidrs=config.service_cidrs,
        local=[config.dns_address],
        watch=watch,
    )
    dns = DnsServer(client, config.netns_fd, config.dns_address, config.dns_domain, watch=watch)
    return _Network(watch, proxy, dns)
